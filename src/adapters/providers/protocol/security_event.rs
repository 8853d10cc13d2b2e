//! Security Event Tokens (RFC 8417): an issuer's events about people, signed with the keys that its configuration
//! names.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tracing::info;
use url::Url;

use super::{
    cached_document::CachedDocument,
    flow::Flow,
    jwks::Jwks,
    jws::Jws,
    notice::time,
    response::{number, subject, text},
};
use crate::{
    domain::gateway::{
        models::{notice::NoticeKind, provider::is_loopback, values::secret::Secret},
        services::ports::{Acknowledgement, NoticeEvent, NoticeRefusal, ProviderError, Unacknowledged, VerifiedNotice},
    },
    ports::Clock,
};

/// How far the issuer's clock may be ahead of ours, in seconds.
const AHEAD: i64 = 60;

/// The valid types of such a token (RFC 8417 §2.3), besides the generic `JWT`.
const TYPES: [&str; 3] = ["secevent+jwt", "application/secevent+jwt", "jwt"];

/// The effects of events. Others are only logged: an account that is enabled again, a password that should be changed,
/// a test. Google's `tokens-revoked` concerns the tokens of a sign-in, for which Google requires that sessions end
/// (developers.google.com/identity/protocols/risc); Kakao's concerns tokens alone (developers.kakao.com, Kakao Login,
/// Webhook).
const EFFECTS: [(&str, NoticeKind); 9] = [
    ("https://schemas.openid.net/secevent/risc/event-type/sessions-revoked", NoticeKind::SessionsRevoked),
    ("https://schemas.openid.net/secevent/risc/event-type/credential-compromise", NoticeKind::SessionsRevoked),
    ("https://schemas.openid.net/secevent/caep/event-type/session-revoked", NoticeKind::SessionsRevoked),
    ("https://schemas.openid.net/secevent/risc/event-type/account-disabled", NoticeKind::EverythingRevoked),
    ("https://schemas.openid.net/secevent/risc/event-type/account-purged", NoticeKind::EverythingRevoked),
    ("https://schemas.openid.net/secevent/oauth/event-type/tokens-revoked", NoticeKind::EverythingRevoked),
    ("https://schemas.openid.net/secevent/oauth/event-type/token-revoked", NoticeKind::GrantsRevoked),
    ("https://schemas.kakao.com/events/oauth/user-unlinked", NoticeKind::GrantsRevoked),
    ("https://schemas.kakao.com/events/oauth/tokens-revoked", NoticeKind::GrantsRevoked),
];

/// The issuer of the tokens, and the URL of its keys.
struct Configuration {
    issuer: String,
    jwks: Url,
}

impl Configuration {
    fn of(document: &Value, from: &Url) -> Result<Self, ProviderError> {
        let lacks =
            |what: &str| ProviderError::BadResponse(format!("its configuration of security events lacks {what}"));
        let may_be_http = from.scheme() == "http";
        let is_safe =
            |url: &Url| url.scheme() == "https" || (may_be_http && url.scheme() == "http" && is_loopback(url));
        let jwks = text(document, "jwks_uri").and_then(|url| Url::parse(&url).ok()).filter(is_safe);
        Ok(Self {
            issuer: text(document, "issuer").ok_or_else(|| lacks("issuer"))?,
            jwks: jwks.ok_or_else(|| lacks("jwks_uri of https"))?,
        })
    }
}

/// Verifies the tokens of one issuer.
pub(in crate::adapters::providers) struct SecurityEvents {
    url: Url,
    configuration: CachedDocument<Configuration>,
    jwks: Jwks,
}

impl SecurityEvents {
    /// For the issuer whose configuration is at this URL.
    pub(in crate::adapters::providers) fn new(url: Url, clock: &Arc<dyn Clock>) -> Self {
        Self { url, configuration: CachedDocument::new(Arc::clone(clock)), jwks: Jwks::new(Arc::clone(clock)) }
    }

    /// Verifies a token and returns its events. It has no expiry: it reports the past (RFC 8417 §4.1). An issuer may
    /// repeat it, with the same `jti` (RFC 8935 §4).
    pub(in crate::adapters::providers) async fn verify(
        &self,
        flow: &Flow,
        token: &Secret,
    ) -> Result<VerifiedNotice, NoticeRefusal> {
        let token = Jws::parse(token.expose()).map_err(|_| NoticeRefusal::Malformed)?;
        // Other kinds of tokens are signed with the same keys (RFC 8725 §3.11).
        if token.typ().is_some_and(|typ| !TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known))) {
            return Err(NoticeRefusal::Malformed);
        }
        let fetch = async { Configuration::of(&flow.document(self.url.clone()).await?, &self.url) };
        let configuration = self.configuration.get(|_| true, fetch).await.map_err(NoticeRefusal::KeysUnavailable)?;
        if token.issuer() != Some(configuration.issuer.as_str()) {
            return Err(NoticeRefusal::WrongIssuer);
        }
        let keys = self.jwks.get_for_judgement(flow, &configuration.jwks, token.kid()).await;
        let keys = keys.map_err(NoticeRefusal::KeysUnavailable)?;
        let key = keys.find(token.kid());
        let claims = token.verify(key).map_err(|_| NoticeRefusal::WrongKey)?.claims;
        if !is_for(&claims, &flow.settings.client_id) {
            return Err(NoticeRefusal::WrongAudience);
        }
        let id = text(&claims, "jti").ok_or(NoticeRefusal::Malformed)?;
        let now = flow.clock.now().timestamp();
        let issued_at = number(&claims, "iat").filter(|iat| *iat <= now + AHEAD).ok_or(NoticeRefusal::Malformed)?;
        let events = claims.get("events").and_then(Value::as_object).filter(|events| !events.is_empty());
        let events = events.ok_or(NoticeRefusal::Malformed)?;
        Ok(VerifiedNotice {
            events: effects(flow, &claims, events, &configuration.issuer),
            id: Some(id),
            sent_at: Some(happened_at(&claims, issued_at)?),
            issued_at: Some(time(issued_at)?),
            acknowledgement: Acknowledgement::Ok,
            unacknowledged: Unacknowledged::Told,
        })
    }
}

fn is_for(claims: &Value, client_id: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(aud)) => aud == client_id,
        Some(Value::Array(auds)) => auds.iter().any(|aud| aud == client_id),
        _ => false,
    }
}

/// The time of the event (`toe`, RFC 8417 §2.2), or else of the report.
fn happened_at(claims: &Value, issued_at: i64) -> Result<DateTime<Utc>, NoticeRefusal> {
    time(number(claims, "toe").filter(|toe| (0..=issued_at).contains(toe)).unwrap_or(issued_at))
}

/// The effects of the events, for people whom the issuer names as at a sign-in.
fn effects(flow: &Flow, claims: &Value, events: &Map<String, Value>, issuer: &str) -> Vec<NoticeEvent> {
    let mut asked = Vec::new();
    for (event_type, event) in events {
        let effect = EFFECTS.iter().find(|(known, _)| known == event_type).map(|(_, kind)| *kind);
        let person = person(claims, event, issuer);
        let has_effect = effect.is_some() && person.is_some();
        info!(provider = %flow.name(), ?event_type, has_effect, "a security event");
        asked.extend(effect.zip(person).map(|(kind, subject)| NoticeEvent { subject, kind }));
    }
    asked
}

/// The person of an event: its own `subject`, or the token's `sub_id` (RFC 9493) or `sub`. A subject that is not a
/// person of this issuer yields none: Google names a refresh token by its digest, for example.
fn person(claims: &Value, event: &Value, issuer: &str) -> Option<String> {
    let said = [event.get("subject"), event.get("sub_id"), claims.get("sub_id")].into_iter().flatten().next();
    match said {
        Some(identifier) => identified(identifier, issuer),
        None => subject(claims, "sub").ok(),
    }
}

/// The person of a subject identifier. `subject_type` is RISC's name for the `format` of RFC 9493, and a `user` may be
/// part of a complex identifier (OpenID Shared Signals Framework §3).
fn identified(identifier: &Value, issuer: &str) -> Option<String> {
    if let Some(user) = identifier.get("user") {
        return identified(user, issuer);
    }
    let format = text(identifier, "format").or_else(|| text(identifier, "subject_type"))?;
    let is_known = ["iss_sub", "iss-sub", "id_token_claims"].contains(&format.as_str());
    let is_of_issuer =
        text(identifier, "iss").is_none_or(|iss| iss.trim_end_matches('/') == issuer.trim_end_matches('/'));
    if is_known && is_of_issuer { subject(identifier, "sub").ok() } else { None }
}
