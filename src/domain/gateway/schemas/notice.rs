//! What providers send unasked.

use std::collections::BTreeMap;

use poem_openapi::{ApiResponse, Object, types::Example};
use serde::Deserialize;

/// A provider's notice that somebody took back what they allowed. Each provider has fields of its own; more than these may
/// come, and are not looked at.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example, skip_serializing_if_is_none)]
pub struct UnlinkForm {
    /// Facebook: the signature and what it signs.
    pub signed_request: Option<String>,
    /// Naver: our client id.
    #[serde(rename = "clientId")]
    #[oai(rename = "clientId")]
    pub client_id: Option<String>,
    /// Naver: the person, encrypted.
    #[serde(rename = "encryptUniqueId")]
    #[oai(rename = "encryptUniqueId")]
    pub encrypt_unique_id: Option<String>,
    /// Naver: when it was sent, in seconds since 1970.
    pub timestamp: Option<String>,
    /// Naver: the signature of the three before.
    pub signature: Option<String>,
    /// Kakao: the person.
    pub user_id: Option<String>,
}

impl Example for UnlinkForm {
    /// Kakao's.
    fn example() -> Self {
        Self { user_id: Some("123456789".to_owned()), ..Self::default() }
    }
}

impl UnlinkForm {
    /// What was sent, by the provider's names.
    pub fn into_parameters(self) -> BTreeMap<&'static str, String> {
        [
            ("signed_request", self.signed_request),
            ("clientId", self.client_id),
            ("encryptUniqueId", self.encrypt_unique_id),
            ("timestamp", self.timestamp),
            ("signature", self.signature),
            ("user_id", self.user_id),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// The notice was understood and is kept. It says no more, so that nobody learns from it whom we know.
#[derive(Debug, ApiResponse)]
pub enum NoticeAcknowledged {
    /// The notice was understood and is kept (Kakao, Facebook).
    #[oai(status = 200)]
    Ok,
    /// The notice was understood and is kept (Naver).
    #[oai(status = 204)]
    NoContent,
}
