//! The stand-in provider as a client: signing in without a browser, and setting its switches.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Gateway, Response, call};

/// The binding of a code that is requested by hand: the verifier and the challenge of RFC 7636 appendix B, and a nonce.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const NONCE: &str = "by-hand";

/// The stand-in provider that a gateway started, as its banner says.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    pub(crate) redirect_uri: String,
}

impl StandIn {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let line = gateway.printed("service stand-in ");
        let address = line.split_whitespace().last().unwrap().parse().unwrap();
        let by_hand: url::Url = gateway.printed("/authorize?").trim().parse().unwrap();
        let (_, redirect_uri) = by_hand.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap();
        Self { address, redirect_uri: redirect_uri.into_owned() }
    }

    /// Variables for another gateway to use this provider under the same name.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OIDC_STAND_IN_ISSUER", format!("http://{}", self.address)),
            ("OIDC_STAND_IN_CLIENT_ID", "gateway".to_owned()),
            ("OIDC_STAND_IN_CLIENT_SECRET", "development".to_owned()),
            ("OAUTH_REDIRECT_URIS", self.redirect_uri.clone()),
        ]
    }

    /// Variables for another gateway to use this provider as Naver, Kakao and Microsoft Entra, for people of every
    /// tenant.
    pub(crate) fn settings_of_others(&self) -> Vec<(String, String)> {
        let at = |path: &str| format!("http://{}{path}", self.address);
        let mut settings: Vec<_> = ["NAVER", "KAKAO", "ENTRA"]
            .into_iter()
            .flat_map(|prefix| {
                let [id, secret] = ["CLIENT_ID", "CLIENT_SECRET"].map(|name| format!("{prefix}_{name}"));
                [(id, "gateway".to_owned()), (secret, "development".to_owned())]
            })
            .collect();
        for (prefix, path, revoke) in [("NAVER", "/naver", "revoke"), ("KAKAO", "/kakao", "unlink")] {
            for endpoint in ["authorize", "token", "userinfo", "jwks"] {
                let name = format!("{prefix}_{}_URL", endpoint.to_uppercase());
                settings.push((name, at(&format!("{path}/{endpoint}"))));
            }
            settings.push((format!("{prefix}_REVOKE_URL"), at(&format!("{path}/{revoke}"))));
        }
        settings.push(("ENTRA_AUTHORITY_URL".to_owned(), at("/entra")));
        settings.push(("ENTRA_TENANT".to_owned(), "common".to_owned()));
        settings
    }

    /// The person presses the button, and the code arrives in the address bar.
    pub(crate) fn code_of(&self, person: &str) -> String {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", "gateway"),
                ("redirect_uri", &self.redirect_uri),
                ("scope", "openid email profile"),
                ("state", "by-hand"),
                ("code_challenge", CHALLENGE),
                ("code_challenge_method", "S256"),
                ("nonce", NONCE),
                ("person", person),
            ])
            .finish();
        let form_type = ("Content-Type", "application/x-www-form-urlencoded");
        let response = call(self.address, "POST", "/authorize", &[form_type], form.as_bytes()).expect(303);
        let location: url::Url = response.header("location").unwrap().parse().unwrap();
        location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    pub(crate) fn switch(&self, switches: &Value) {
        let json = ("Content-Type", "application/json");
        assert!(call(self.address, "PUT", "/switches", &[json], switches.to_string().as_bytes()).status < 300);
    }

    pub(crate) fn statistic(&self, name: &str) -> u64 {
        call(self.address, "GET", "/statistics", &[], b"").json()[name].as_u64().unwrap()
    }

    /// The exchange of this code.
    pub(crate) fn request(&self, code: &str) -> Value {
        json!({
            "provider": "stand-in", "code": code, "redirect_uri": self.redirect_uri,
            "code_verifier": VERIFIER, "nonce": NONCE,
        })
    }

    pub(crate) fn exchange(&self, gateway: &Gateway, person: &str) -> Value {
        gateway.post("/oauth", &self.request(&self.code_of(person))).expect(200).json()
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub(crate) fn with_token(gateway: &Gateway, method: &str, path: &str, token: &str) -> Response {
    gateway.call(method, path, &[("Authorization", &format!("Bearer {token}"))], b"")
}
