//! A person with a browser and a password.

use serde_json::{Value, json};

use crate::{
    PASSWORD,
    common::{Gateway, Response, browser::Browser},
};

impl Browser {
    /// Sends JSON as a page of the gateway does.
    pub(crate) fn send(&mut self, gateway: &Gateway, method: &str, target: &str, body: &Value) -> Response {
        self.send_from(gateway, method, target, body, &[("Sec-Fetch-Site", "same-origin")])
    }

    /// As above, with these headers instead.
    pub(crate) fn send_from(
        &mut self,
        gateway: &Gateway,
        method: &str,
        target: &str,
        body: &Value,
        more: &[(&str, &str)],
    ) -> Response {
        let headers = [&[("Content-Type", "application/json")], more].concat();
        self.call_with(gateway, method, target, &headers, body.to_string().as_bytes())
    }

    /// Signs up with the usual password.
    #[track_caller]
    pub(crate) fn sign_up(&mut self, gateway: &Gateway, email: &str) -> Value {
        let wish = json!({"email": email, "password": PASSWORD, "name": "Jane"});
        self.send(gateway, "POST", "/accounts/signup", &wish).expect(200).json()
    }

    pub(crate) fn log_in(&mut self, gateway: &Gateway, email: &str, password: &str) -> Response {
        self.send(gateway, "POST", "/accounts/login", &json!({"email": email, "password": password}))
    }

    pub(crate) fn me(&mut self, gateway: &Gateway) -> Response {
        self.get(gateway, "/accounts/me")
    }
}
