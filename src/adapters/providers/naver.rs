//! Naver: wants the state once more, nests the profile, numbers its results as text, may complain with status 200, and both
//! signs and encrypts in its notices, under a key that it derives from the client secret.

use async_trait::async_trait;
use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use chrono::DateTime;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::{
    answer::{Complaint, name, oauth_complaint, subject, text},
    flow::{ClientAuth, Flow},
    notice::{base64, parameter, verify_hmac},
    plain::{Plain, Quirks, Site},
};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        oauth::{ProviderTokens, Secret},
        provider::Endpoints,
    },
    services::ports::{Acknowledgement, CodeExchange, ProviderError, UnlinkError, UnlinkNotice, Unlinked},
};

/// What is peculiar to Naver.
pub(super) struct Naver;

/// Makes it.
pub(super) fn naver(flow: Flow, endpoints: Endpoints) -> Plain<Naver> {
    Plain::new(flow.complaining(complaint), endpoints, Naver)
}

/// `{"error": "invalid_request"}` of the token endpoint, `{"resultcode": "024"}` of the profile.
fn complaint(body: &Value) -> Option<Complaint> {
    let result = || text(body, "resultcode").or_else(|| text(body, "errorCode")).filter(|code| code != "00");
    oauth_complaint(body).or_else(|| {
        let code = result()?;
        // 5xx as text: the profile is down.
        let passing = code.len() == 3 && code.starts_with('5');
        let told = format!("resultcode:{code}");
        Some(if passing { Complaint::Passing(told) } else { Complaint::Permanent(told) })
    })
}

#[async_trait]
impl Quirks for Naver {
    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let answer = site.flow.get(&site.endpoints.userinfo, access_token).await?;
        if text(&answer, "resultcode").as_deref() != Some("00") {
            return Err(ProviderError::BadAnswer("it has no resultcode".to_owned()));
        }
        let profile = answer.get("response").unwrap_or(&Value::Null);
        Ok(ProviderIdentity {
            provider: site.flow.name().clone(),
            subject: subject(profile, "id")?,
            // A contact address that people can change: nobody vouches for it.
            verified_email: None,
            name: name(profile, "name").or_else(|| name(profile, "nickname")),
        })
    }

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        site.flow.revoke(&site.endpoints.revoke, ClientAuth::Form, tokens).await
    }

    fn exchange_parameters<'e>(&self, exchange: &'e CodeExchange) -> Vec<(&'static str, &'e str)> {
        // A caller who brings a code alone has no state to tell; Naver wants the parameter all the same.
        vec![("state", exchange.state.as_ref().map_or("", Secret::expose))]
    }

    fn unlinked(&self, site: &Site, notice: &UnlinkNotice) -> Result<Unlinked, UnlinkError> {
        let [client_id, encrypted, timestamp, signature] =
            ["clientId", "encryptUniqueId", "timestamp", "signature"].map(|name| parameter(notice, name));
        let (client_id, encrypted, timestamp) = (client_id?, encrypted?, timestamp?);
        let key = notice_key(&site.flow.settings.client_secret);
        let signed = format!("clientId={client_id}&encryptUniqueId={encrypted}&timestamp={timestamp}");
        verify_hmac(&key, &signed, signature?)?;
        if client_id != site.flow.settings.client_id {
            return Err(UnlinkError::Unverified);
        }
        let person = json!({"id": decrypted(&key, encrypted)?});
        let sent_at = timestamp.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        Ok(Unlinked {
            subject: subject(&person, "id").map_err(|_| UnlinkError::Malformed)?,
            sent_at: Some(sent_at.ok_or(UnlinkError::Malformed)?),
            acknowledgement: Acknowledgement::NoContent,
        })
    }
}

/// The key of its notices, for the signature and the encryption alike: so Naver documents it. The secret is random, so that
/// what MD5 is weak at does not matter here.
fn notice_key(client_secret: &Secret) -> [u8; 16] {
    Md5::digest(client_secret.expose()).into()
}

/// What was encrypted with AES-128-CBC, its initialization vector before it. To be called once the signature was verified:
/// nobody else gets to see what bad padding leads to.
fn decrypted(key: &[u8; 16], encrypted: &str) -> Result<String, UnlinkError> {
    let encrypted = base64(encrypted)?;
    let (vector, text) = encrypted.split_first_chunk::<16>().ok_or(UnlinkError::Malformed)?;
    let mut text = text.to_vec();
    let decrypted = UnboundCipherKey::new(&AES_128, key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| key.decrypt(&mut text, DecryptionContext::Iv128(vector.into())).map(|text| text.to_vec()))
        .map_err(|_| UnlinkError::Malformed)?;
    String::from_utf8(decrypted).map_err(|_| UnlinkError::Malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_body_may_complain() {
        assert_eq!(complaint(&json!({"resultcode": "00", "message": "success"})), None);
        assert_eq!(complaint(&json!({"resultcode": "024"})), Some(Complaint::Permanent("resultcode:024".into())));
        assert_eq!(complaint(&json!({"errorCode": "024"})), Some(Complaint::Permanent("resultcode:024".into())));
        assert_eq!(complaint(&json!({"resultcode": "500"})), Some(Complaint::Passing("resultcode:500".into())));
        assert_eq!(complaint(&json!({"error": "invalid_grant"})), Some(Complaint::Permanent("invalid_grant".into())));
    }
}
