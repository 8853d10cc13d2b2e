//! Sessions through the real binary, as browsers use them: the list of sessions, signing out elsewhere, tokens for a
//! page's scripts, pages of other origins, services behind the gateway; and two gateways on one Redis.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

#[path = "sessions/at_services.rs"]
mod at_services;
#[path = "sessions/cors.rs"]
mod cors;
#[path = "sessions/redis.rs"]
mod redis;
#[path = "sessions/signed_in.rs"]
mod signed_in;
#[path = "sessions/tokens.rs"]
mod tokens;

use common::{Gateway, Response, browser::Browser};
use serde_json::Value;

/// The headers that a page of the gateway sends.
const OURS: [(&str, &str); 1] = [("Sec-Fetch-Site", "same-origin")];

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A browser with a signed-in person.
fn signed_in(gateway: &Gateway, person: &str) -> Browser {
    signed_in_with(gateway, person, &[])
}

/// As above, with these headers.
fn signed_in_with(gateway: &Gateway, person: &str, headers: &[(&str, &str)]) -> Browser {
    let mut browser = Browser::default();
    let callback = browser.leave(gateway, "/login/stand-in").decide(&format!("person={person}"));
    browser.call(gateway, "GET", &callback, headers).expect(303);
    browser
}

fn sessions(browser: &mut Browser, gateway: &Gateway) -> Vec<Value> {
    browser.get(gateway, "/sessions").expect(200).json()["sessions"].as_array().unwrap().clone()
}

/// `POST /session/token`: the access token and the refresh token.
fn token_pair(browser: &mut Browser, gateway: &Gateway) -> (String, String) {
    let pair = browser.call(gateway, "POST", "/session/token", &OURS).expect(200).json();
    (text(&pair["access_token"]).to_owned(), text(&pair["refresh_token"]).to_owned())
}

fn refresh(gateway: &Gateway, token: &str) -> Response {
    gateway.post("/tokens/refresh", &serde_json::json!({"refresh_token": token}))
}
