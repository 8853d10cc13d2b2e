//! A minimal browser for signing in: it keeps cookies, and follows redirects to the provider and back.

use std::collections::BTreeMap;

use url::Url;

use super::{Gateway, Response, call, eventually, newest_stand_in};

/// A browser's cookies, and whether it accepts pages.
#[derive(Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) wants_pages: bool,
}

/// A browser that is at the provider.
pub(crate) struct Away {
    /// The URL of the redirect.
    pub(crate) authorize: Url,
}

impl Browser {
    /// A browser that accepts pages.
    pub(crate) fn with_pages() -> Self {
        Self { wants_pages: true, ..Self::default() }
    }

    pub(crate) fn call(&mut self, gateway: &Gateway, method: &str, target: &str, more: &[(&str, &str)]) -> Response {
        self.call_with(gateway, method, target, more, b"")
    }

    /// As above, with a body.
    pub(crate) fn call_with(
        &mut self,
        gateway: &Gateway,
        method: &str,
        target: &str,
        more: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = more.to_vec();
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        if self.wants_pages {
            headers.push(("Accept", "text/html,application/xhtml+xml"));
        }
        let response = gateway.call(method, target, &headers, body);
        for (_, cookie) in response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    pub(crate) fn get(&mut self, gateway: &Gateway, target: &str) -> Response {
        self.call(gateway, "GET", target, &[])
    }

    /// The headers that a page of the gateway sends.
    pub(crate) fn call_as_our_page(&mut self, gateway: &Gateway, method: &str, target: &str) -> Response {
        self.call(gateway, method, target, &[("Sec-Fetch-Site", "same-origin")])
    }

    /// Sends a form as a page of the gateway does.
    pub(crate) fn send_form(&mut self, gateway: &Gateway, target: &str, form: &[(&str, &str)]) -> Response {
        self.send_form_from(gateway, target, form, &[("Sec-Fetch-Site", "same-origin")])
    }

    /// As above, with these headers instead.
    pub(crate) fn send_form_from(
        &mut self,
        gateway: &Gateway,
        target: &str,
        form: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let headers = [&[("Content-Type", "application/x-www-form-urlencoded")], more].concat();
        self.call_with(gateway, "POST", target, &headers, body.as_bytes())
    }

    /// Follows a sign-in link to the provider.
    #[track_caller]
    pub(crate) fn leave(&mut self, gateway: &Gateway, target: &str) -> Away {
        Away::following(&self.get(gateway, target).expect(303))
    }

    pub(crate) fn session(&self) -> Option<&String> {
        self.cookies.get("__Host-gateway_session")
    }

    /// The number of pending sign-ins.
    pub(crate) fn attempts(&self) -> usize {
        self.cookies.keys().filter(|name| name.starts_with("__Host-gateway_login_")).count()
    }
}

impl Away {
    /// The target of the redirect.
    pub(crate) fn following(response: &Response) -> Self {
        Self { authorize: response.header("location").unwrap().parse().unwrap() }
    }

    /// A parameter of the request, if it has one.
    pub(crate) fn sent(&self, name: &str) -> Option<String> {
        self.authorize.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    #[track_caller]
    pub(crate) fn parameter(&self, name: &str) -> String {
        self.sent(name).unwrap_or_else(|| panic!("no {name} in {}", self.authorize))
    }

    /// Changes a parameter; without a value, removes it.
    pub(crate) fn with(&self, name: &str, value: Option<&str>) -> Self {
        let others = self.authorize.query_pairs().filter(|(known, _)| known != name);
        let mut authorize = self.authorize.clone();
        authorize.query_pairs_mut().clear().extend_pairs(others).extend_pairs(value.map(|value| (name, value)));
        Self { authorize }
    }

    /// Makes the person's choice at the stand-in provider; returns the target of the callback.
    pub(crate) fn decide(&self, choice: &str) -> String {
        let response = self.choose("/authorize", choice).expect(303);
        target_of(response.header("location").unwrap())
    }

    /// As above, at the stand-in for Apple; returns the form with which the browser returns.
    pub(crate) fn decide_by_form(&self, choice: &str) -> Vec<(String, String)> {
        let page = self.choose("/apple/authorize", choice).expect(200).text();
        let plain = |text: &str| text.replace("&quot;", "\"").replace("&amp;", "&");
        let field = |input: &str| {
            let (name, value) = input.split_once("\" value=\"").unwrap();
            (name.to_owned(), plain(value.split_once('"').unwrap().0))
        };
        page.split("<input type=\"hidden\" name=\"").skip(1).map(field).collect()
    }

    /// Sends a choice to the stand-in. Browsers get there through the gateway, at its public address, which is
    /// unreachable here.
    fn choose(&self, path: &str, choice: &str) -> Response {
        let is_gateway_header = self.authorize.path().ends_with(&format!("/api/stand-in{path}"));
        if is_gateway_header {
            eventually("the console tells of the stand-in", || newest_stand_in().is_some());
        }
        let stand_in = newest_stand_in().filter(|_| is_gateway_header);
        let address = stand_in.unwrap_or_else(|| self.authorize.socket_addrs(|| None).unwrap()[0]);
        let form = format!("{}&{choice}", self.authorize.query().unwrap());
        let form_type = ("Content-Type", "application/x-www-form-urlencoded");
        let path = if is_gateway_header { path } else { self.authorize.path() };
        call(address, "POST", path, &[form_type], form.as_bytes())
    }
}

/// The request target of a URL: its path and query.
pub(crate) fn target_of(url: &str) -> String {
    let url: Url = url.parse().unwrap();
    format!("{}?{}", url.path(), url.query().unwrap())
}
