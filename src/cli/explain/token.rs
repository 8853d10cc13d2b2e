//! Whether a token passes an access rule, by the claims in it. Its signature is not checked: the keys are in the store
//! of the running gateway, and so are revocations.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    adapters::clock::WallClock,
    app::expectations,
    config::{Environment, Settings},
    domain::gateway::models::{
        access::{Accepted, Access},
        token::{AccessClaims, Expectations},
    },
    ports::Clock,
    problem::Problem,
};

const UNCHECKED: &str =
    "only its claims were read: neither its signature nor whether it is revoked was checked; POST /tokens/verify does";

/// What was found out.
pub(super) struct TokenReport {
    /// The reason why it does not pass, if it does not.
    refused: Option<String>,
    claims: Option<AccessClaims>,
    /// What was not checked.
    unchecked: Vec<String>,
}

/// Judges a token by what is written in it.
pub(super) fn report(settings: &Settings, access: &Access, token: &str) -> TokenReport {
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    let Some(claims) = claims(token) else {
        let text = match settings.environment {
            Environment::Development => {
                "it is not an access token of a gateway; if it is a dummy token, the running gateway knows"
            }
            Environment::Production => "it is not an access token of a gateway",
        };
        return TokenReport { refused: Some(text.to_owned()), claims: None, unchecked: Vec::new() };
    };
    let expected: Expectations = expectations(settings);
    let refused = claims.validate(&expected, WallClock.now()).err().map(|why| why.to_string());
    let refused = refused.or_else(|| denied(access, &claims));
    let of_provider = access.provider().map(|provider| {
        format!("the route also needs an identity at {provider}, which only the running gateway knows")
    });
    TokenReport {
        refused,
        claims: Some(claims),
        unchecked: of_provider.into_iter().chain([UNCHECKED.to_owned()]).collect(),
    }
}

/// The claims, without any check.
fn claims(token: &str) -> Option<AccessClaims> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload).ok().filter(|_| parts.next().is_none())?;
    AccessClaims::parse(&payload).ok()
}

fn denied(access: &Access, claims: &AccessClaims) -> Option<String> {
    if *access != Access::Open && access.accepted() == Accepted::Session {
        return Some("the route accepts sessions of browsers alone, and no token".to_owned());
    }
    // The identity at a provider is not in the token: it is named as not checked.
    let outcome = access.authorise(Some(Arc::new(claims.identity())), access.provider());
    outcome.err().map(|denied| Problem::denied(denied).detail.into_owned())
}

impl TokenReport {
    pub(super) fn passes(&self) -> bool {
        self.refused.is_none()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let verdict = match &self.refused {
            None => "passes".to_owned(),
            Some(why) => format!("does not pass: {why}"),
        };
        let claims = self.claims.as_ref().map(|claims| {
            let AccessClaims { subject, scope, issuer, expires_at, .. } = claims;
            let scope = if scope.is_empty() { "no scope".to_owned() } else { format!("scope {scope}") };
            format!("subject {subject}, {scope}, issued by {issuer}, valid until {expires_at}")
        });
        [verdict].into_iter().chain(claims).chain(self.unchecked.iter().cloned())
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "passes": self.passes(),
            "reason": self.refused,
            "claims": self.claims.as_ref().map(AccessClaims::to_json),
            "signature_checked": false,
            "not_checked": self.unchecked,
        })
    }
}
