//! The provider as seen by a client and a browser.

mod dialects;
mod flow;
mod page;
mod refusals;
mod switches;

use base64::engine::general_purpose::STANDARD;
use poem::{
    Body, Request,
    endpoint::BoxEndpoint,
    http::{HeaderMap, Method},
};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::*;
use crate::{adapters::entropy::SystemEntropy, ports::testing::TestClock};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "http://localhost:9000";
const CLIENT: &str = "gateway";
/// Contains every character that an encoding could get wrong.
const SECRET: &str = "a+b: 100% & c=d/비밀";
/// Has a query of its own, which must survive.
const REDIRECT: &str = "http://127.0.0.1:8080/callback?via=stand-in";
const STATE: &str = "a state & more";
const NONCE: &str = "n-0S6_WzA2Mj";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn provider(issuer: &str, clock: Arc<TestClock>) -> StandIn {
    StandIn::new(issuer, CLIENT, SECRET, clock, Arc::new(SystemEntropy::default())).unwrap()
}

struct Received {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The parameters of the URL in a redirect.
    fn sent_back(&self) -> Vec<(String, String)> {
        assert_eq!(self.status, 303, "{}", self.body);
        let location = self.header("location");
        assert!(location.starts_with(REDIRECT), "{location}");
        Url::parse(location).unwrap().query_pairs().into_owned().collect()
    }

    fn sent_back_with(&self, name: &str) -> Option<String> {
        self.sent_back().into_iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    #[track_caller]
    fn is_refused(&self, status: u16, code: &str) {
        let body = self.json();
        assert_eq!((self.status, &body["error"]), (status, &json!(code)), "{body}");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("www-authenticate").is_empty(), ![401, 403].contains(&status), "{body}");
    }
}

fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// `parameters` with some of them changed; an empty value removes one.
fn changed<'p>(parameters: &[(&'p str, &'p str)], changes: &[(&'p str, &'p str)]) -> Vec<(&'p str, &'p str)> {
    let mut result: Vec<_> =
        parameters.iter().filter(|(name, _)| !changes.iter().any(|(other, _)| name == other)).copied().collect();
    result.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    result
}

/// An authorization request in the gateway's form.
fn wish<'p>(changes: &[(&'p str, &'p str)]) -> Vec<(&'p str, &'p str)> {
    let parameters = [
        ("client_id", CLIENT),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile email"),
        ("state", STATE),
        ("nonce", NONCE),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    changed(&parameters, changes)
}

fn exchange_of<'p>(code: &'p str, changes: &[(&'p str, &'p str)]) -> Vec<(&'p str, &'p str)> {
    let parameters = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
    ];
    changed(&parameters, changes)
}

fn refresh_of<'p>(token: &'p str, changes: &[(&'p str, &'p str)]) -> Vec<(&'p str, &'p str)> {
    let parameters =
        [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", CLIENT), ("client_secret", SECRET)];
    changed(&parameters, changes)
}

/// `client_secret_basic`, as in RFC 6749 §2.3.1.
fn basic(id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", base64::Engine::encode(&STANDARD, format!("{}:{}", encoded(id), encoded(secret))))
}

/// The provider without a socket, with a fixed clock.
struct Site {
    endpoint: BoxEndpoint<'static, Response>,
    clock: Arc<TestClock>,
}

impl Site {
    fn new() -> Self {
        let clock = TestClock::at(NOW);
        Self { endpoint: endpoint(provider(ISSUER, clock.clone())).boxed(), clock }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Received {
        let mut request = Request::builder().method(method).uri_str(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.endpoint.get_response(request.body(Body::from_string(body.to_owned()))).await;
        let (parts, body) = response.into_parts();
        let body = body.into_string().await.unwrap();
        Received { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Received {
        self.ask(Method::GET, path, &[], "").await
    }

    async fn post(&self, path: &str, parameters: &[(&str, &str)]) -> Received {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.ask(Method::POST, path, &headers, &form(parameters)).await
    }

    async fn authorize(&self, changes: &[(&str, &str)]) -> Received {
        self.get(&format!("/authorize?{}", form(&wish(changes)))).await
    }

    /// A code for Alice.
    async fn code(&self, changes: &[(&str, &str)]) -> String {
        let response = self.post("/authorize", &changed(&wish(changes), &[("person", "alice")])).await;
        response.sent_back_with("code").unwrap()
    }

    /// Alice's tokens.
    async fn tokens(&self) -> Value {
        let code = self.code(&[]).await;
        let response = self.post("/token", &exchange_of(&code, &[])).await;
        assert_eq!(response.status, 200, "{}", response.body);
        response.json()
    }

    async fn refresh(&self, token: &Value) -> Received {
        self.post("/token", &refresh_of(token.as_str().unwrap(), &[])).await
    }

    async fn revoke(&self, token: &str) -> Received {
        self.post("/revoke", &[("token", token), ("client_id", CLIENT), ("client_secret", SECRET)]).await
    }

    async fn userinfo(&self, token: &Value) -> Received {
        let bearer = format!("Bearer {}", token.as_str().unwrap());
        self.ask(Method::GET, "/userinfo", &[("Authorization", &bearer)], "").await
    }

    async fn switch(&self, switches: Value) -> Received {
        self.ask(Method::PUT, "/switches", &[], &switches.to_string()).await
    }
}
