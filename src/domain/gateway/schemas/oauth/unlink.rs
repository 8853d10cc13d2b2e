//! What a provider sends when somebody took back there what they allowed.

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
    /// Apple: a signed token. It comes as JSON ([`SignedNotice`]), not in a form.
    #[serde(skip)]
    #[oai(skip)]
    pub payload: Option<String>,
}

/// A provider's notice as a signed token (Apple).
#[derive(Debug, Deserialize, Object)]
#[oai(example)]
pub struct SignedNotice {
    /// A JWT that is signed with a key of the provider's.
    pub payload: String,
}

impl Example for SignedNotice {
    fn example() -> Self {
        Self { payload: "eyJraWQiOiI4NkQ4OEtmIiwiYWxnIjoiUlMyNTYifQ.e30.c2lnbmF0dXJl".to_owned() }
    }
}

impl From<SignedNotice> for UnlinkForm {
    fn from(notice: SignedNotice) -> Self {
        Self { payload: Some(notice.payload), ..Self::default() }
    }
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
            ("payload", self.payload),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// The notice was understood. It says no more, so that nobody learns from it whom we know.
#[derive(Debug, ApiResponse)]
pub enum UnlinkAcknowledged {
    /// The notice was understood (Kakao, Facebook).
    #[oai(status = 200)]
    Ok,
    /// The notice was understood (Naver).
    #[oai(status = 204)]
    NoContent,
}
