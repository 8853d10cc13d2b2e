//! Apple's notices: a JWT in JSON, whose claim `events` is JSON as text, about one event.

use chrono::DateTime;
use serde_json::Value;

use super::Apple;
use crate::{
    adapters::providers::{
        answer::{number, text, text_subject},
        jws::Jws,
        notice::parameter,
    },
    domain::gateway::{
        models::oauth::Secret,
        services::ports::{Acknowledgement, ProviderError, UnlinkError, UnlinkNotice, Unlinked},
    },
};

/// The person no longer allows us anything, or has no account there any more. The documentation writes the last one in both forms.
const ENDINGS: [&str; 3] = ["consent-revoked", "account-delete", "account-deleted"];
/// Whether mail to the person's private relay address is handed on.
const FORWARDING: [&str; 2] = ["email-disabled", "email-enabled"];

impl Apple {
    /// Verifies a notice.
    pub(super) async fn read_notice(&self, notice: &UnlinkNotice) -> Result<Unlinked, UnlinkError> {
        let payload = Secret::new(parameter(notice, "payload")?);
        let token = Jws::parse(payload.expose()).map_err(|_| UnlinkError::Malformed)?;
        if token.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
            return Err(UnlinkError::Unverified);
        }
        let verified = self.id_tokens.verify(&self.flow, &self.signed_with(), token).await;
        let claims = verified.map(|verified| verified.claims).map_err(|error| match error {
            ProviderError::Unavailable(_) => UnlinkError::Unavailable,
            _ => UnlinkError::Unverified,
        })?;
        let is_for_us = self.audiences.iter().any(|audience| claims["aud"] == **audience);
        if claims["iss"] != super::ISSUER || !is_for_us {
            return Err(UnlinkError::Unverified);
        }
        // It is documented as text that holds JSON, and shown as an object.
        let event = match &claims["events"] {
            Value::String(event) => serde_json::from_str(event).map_err(|_| UnlinkError::Malformed)?,
            event => event.clone(),
        };
        let kind = text(&event, "type").ok_or(UnlinkError::Malformed)?;
        if !ENDINGS.contains(&kind.as_str()) {
            let known = FORWARDING.into_iter().find(|known| *known == kind);
            return Err(UnlinkError::AnotherEvent(known.unwrap_or("one that is not known here")));
        }
        Ok(Unlinked {
            subject: text_subject(&event, "sub").map_err(|_| UnlinkError::Malformed)?,
            sent_at: number(&event, "event_time").and_then(DateTime::from_timestamp_millis),
            acknowledgement: Acknowledgement::Ok,
        })
    }
}
