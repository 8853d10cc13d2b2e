//! Our access tokens and published keys in independent libraries.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    common::{Gateway, recorder::Recorder},
    programs::{Script, finished},
};

/// The exit code with which the scripts refuse a token.
const REFUSED: i32 = 3;

const ISSUER: &str = "https://www.jinmini.com";

/// The demands of a service on a token.
#[derive(Clone, Copy)]
struct Expected<'a> {
    issuer: &'a str,
    audience: &'a str,
    algorithm: &'a str,
    typ: &'a str,
}

/// A library, used like a service does.
struct Library(Script);

impl Library {
    /// The claims, or why the token is refused.
    #[track_caller]
    fn verify(&self, gateway: &Gateway, token: &str, expected: Expected<'_>) -> Result<Value, String> {
        let jwks = format!("http://{}/.well-known/jwks.json", gateway.address);
        let mut command = self.0.command();
        let Expected { issuer, audience, algorithm, typ } = expected;
        command.args([&jwks, issuer, audience, algorithm, typ]);
        let output = finished(command, token.as_bytes());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            Some(REFUSED) => Err(errors),
            _ => panic!("{errors}"),
        }
    }

    /// The assertion for a service names the caller, can be verified with the same keys, and is valid for that service
    /// alone.
    fn trusts_our_assertions(&self, algorithm: &str) {
        let service = Recorder::start();
        let route = "[[routes]]\npath = '/api/told'\nservice = 'told'\nassertion = true\n";
        let variables = [("TOKEN_ALGORITHM", algorithm), ("TOLD_SERVICE_URL", &*service.url())];
        let gateway = Gateway::with_routes(&variables, Some(route));
        let wish = json!({"subject": "alice", "scope": "users:read", "claims": {"team": "blue"}});
        let (token, _) = gateway.tokens(&wish);
        gateway.get_with_token("/api/told", &token).expect(200);
        let assertion = service.take()[0].all("x-gateway-assertion")[0].to_owned();
        let expected = Expected { issuer: ISSUER, audience: "told", algorithm, typ: "JWT" };
        let claims = self.verify(&gateway, &assertion, expected).unwrap();
        let stated = ["iss", "aud", "sub", "scope", "team", "client_id"].map(|name| &claims[name]);
        assert_eq!(json!(stated), json!([ISSUER, "told", "alice", "users:read", "blue", "gateway"]), "{claims}");
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(life, 60);
        for (reason, wrong) in
            [("aud", Expected { audience: "other", ..expected }), ("typ", Expected { typ: "at+jwt", ..expected })]
        {
            let said = self.verify(&gateway, &assertion, wrong).expect_err(reason).to_lowercase();
            assert!(said.contains(reason), "{said}");
        }
        // A copy of it is not accepted as an access token.
        gateway.get_with_token("/api/told", &assertion).expect_problem(401, "invalid_token");
    }

    fn trusts_our_tokens_and_no_others(&self, algorithm: &str) {
        let gateway = Gateway::with(&[("TOKEN_ALGORITHM", algorithm)]);
        let expected = Expected { issuer: ISSUER, audience: ISSUER, algorithm, typ: "at+jwt" };
        let (token, _) =
            gateway.tokens(&json!({"subject": "alice", "scope": "users:read", "claims": {"team": "blue"}}));
        let claims = self.verify(&gateway, &token, expected).unwrap();
        let stated = ["iss", "aud", "sub", "scope", "team"].map(|name| &claims[name]);
        assert_eq!(json!(stated), json!([ISSUER, ISSUER, "alice", "users:read", "blue"]), "{claims}");

        // A token for another service is valid there, and only there.
        let (foreign, _) = gateway.tokens(&json!({"audience": "https://reports.test"}));
        self.verify(&gateway, &foreign, Expected { audience: "https://reports.test", ..expected }).unwrap();

        let another_gateway = Gateway::with(&[("TOKEN_ALGORITHM", algorithm)]);
        let refused = [
            ("signature", with_claim(&token, "sub", &json!("mallory")), expected),
            ("signature", with_claim(&token, "exp", &json!(4_000_000_000_u32)), expected),
            ("signature", with_altered_signature(&token), expected),
            ("signature", format!("{}.", token.rsplit_once('.').unwrap().0), expected),
            ("signature|key", another_gateway.tokens(&json!({"subject": "alice"})).0, expected),
            ("alg", unsigned(&token), expected),
            ("alg", token.clone(), Expected { algorithm: "PS256", ..expected }),
            ("aud", foreign, expected),
            ("iss", token, Expected { issuer: "https://other.test", ..expected }),
        ];
        for (reasons, token, expected) in refused {
            let reason = self.verify(&gateway, &token, expected).expect_err(reasons).to_lowercase();
            assert!(
                reasons.split('|').any(|word| reason.contains(word)),
                "{algorithm}, not for its {reasons}: {reason}"
            );
        }
    }
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encode(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

fn with_claim(token: &str, name: &str, value: &Value) -> String {
    let [header, claims, signature] = parts(token);
    let mut claims = decode(claims);
    claims[name] = value.clone();
    format!("{header}.{}.{signature}", encode(&claims))
}

fn with_altered_signature(token: &str) -> String {
    let [header, claims, signature] = parts(token);
    let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    signature[10] ^= 1;
    format!("{header}.{claims}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn unsigned(token: &str) -> String {
    let [header, claims, _] = parts(token);
    let mut header = decode(header);
    header["alg"] = json!("none");
    format!("{}.{claims}.", encode(&header))
}

/// It knows no `EdDSA`.
#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn python_jose_trusts_our_tokens_and_no_others() {
    let python = Library(Script::python("verify.py", include_str!("verify.py")));
    for algorithm in ["ES256", "RS256"] {
        python.trusts_our_tokens_and_no_others(algorithm);
        python.trusts_our_assertions(algorithm);
    }
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn jose_trusts_our_tokens_and_no_others() {
    let node = Library(Script::node("verify.mjs", include_str!("verify.mjs")));
    for algorithm in ["ES256", "RS256", "EdDSA"] {
        node.trusts_our_tokens_and_no_others(algorithm);
        node.trusts_our_assertions(algorithm);
    }
}
