//! Apple's notices: a JWT in JSON, whose claim `events` is JSON as text, about one event.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tracing::info;

use super::Apple;
use crate::{
    adapters::providers::protocol::{
        client_secret::APPLE,
        jws::Jws,
        notice::{grants_revoked, time},
        response::{number, text, text_subject},
    },
    domain::gateway::services::ports::{
        Acknowledgement, NoticeBody, NoticeRefusal, Unacknowledged, UnverifiedNotice, VerifiedNotice,
    },
};

/// The person revoked everything, or deleted the account. The documentation writes the last one in both forms.
const ENDINGS: [&str; 3] = ["consent-revoked", "account-delete", "account-deleted"];

/// In seconds it lies beyond the year 5000, in milliseconds in 1973.
const SMALLEST_MILLISECONDS: i64 = 100_000_000_000;

impl Apple {
    /// Verifies a notice. Apple repeats it until it gets a 200.
    pub(super) async fn read_notice(&self, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        let body: Value = match &notice.body {
            NoticeBody::Json(body) => serde_json::from_slice(body).map_err(|_| NoticeRefusal::Malformed)?,
            NoticeBody::Parameters(_) => return Err(NoticeRefusal::Malformed),
            NoticeBody::DeletionRequest(_) | NoticeBody::SecurityEvent(_) => return Err(NoticeRefusal::Unsupported),
        };
        let payload = text(&body, "payload").ok_or(NoticeRefusal::Malformed)?;
        let claims = self.notice_claims(&payload).await?;
        // It is documented as text that contains JSON, but shown as an object.
        let event = match &claims["events"] {
            Value::String(event) => serde_json::from_str(event).map_err(|_| NoticeRefusal::Malformed)?,
            event => event.clone(),
        };
        let kind = text(&event, "type").ok_or(NoticeRefusal::Malformed)?;
        let has_effect = ENDINGS.contains(&kind.as_str());
        // Mail forwarding from the person's relay address (`email-disabled`, `email-enabled`) changes nothing here.
        info!(provider = %self.flow.name(), event = ?kind, has_effect, "a notice of a provider");
        let events = if has_effect {
            grants_revoked(text_subject(&event, "sub").map_err(|_| NoticeRefusal::Malformed)?)
        } else {
            Vec::new()
        };
        Ok(VerifiedNotice {
            events,
            id: text(&claims, "jti"),
            sent_at: number(&event, "event_time").map(happened_at).transpose()?,
            issued_at: number(&claims, "iat").map(time).transpose()?,
            acknowledgement: Acknowledgement::Ok,
            unacknowledged: Unacknowledged::Told,
        })
    }

    /// The claims of a notice that Apple signed for this app.
    async fn notice_claims(&self, payload: &str) -> Result<Value, NoticeRefusal> {
        let token = Jws::parse(payload).map_err(|_| NoticeRefusal::Malformed)?;
        if token.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
            return Err(NoticeRefusal::Unverified);
        }
        let keys = self.notice_keys.get_for_judgement(&self.flow, &self.registration.jwks, token.kid()).await;
        let keys = keys.map_err(NoticeRefusal::KeysUnavailable)?;
        let key = keys.find(token.kid());
        let claims = token.verify(key).map_err(|_| NoticeRefusal::Unverified)?.claims;
        let is_for_us = self.audiences.iter().any(|audience| claims["aud"] == **audience);
        if claims["iss"] == APPLE && is_for_us { Ok(claims) } else { Err(NoticeRefusal::Unverified) }
    }
}

/// When an event happened: the documentation shows seconds, but milliseconds occur, too.
fn happened_at(event_time: i64) -> Result<DateTime<Utc>, NoticeRefusal> {
    if event_time < SMALLEST_MILLISECONDS {
        return time(event_time);
    }
    let milliseconds = TimeDelta::milliseconds(event_time % 1000);
    time(event_time / 1000).map(|second| second + milliseconds)
}
