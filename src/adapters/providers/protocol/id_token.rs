//! Checks the claims of an id token (OpenID Connect Core §3.1.3.7) and selects the key for its signature.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha384, Sha512};
use url::Url;

use super::{
    flow::Flow,
    jwks::{Jwks, Key},
    jws::{Flaw, Jws, Verified},
    response::number,
};
use crate::domain::gateway::{
    models::{oauth::ProviderTokens, provider::entra::DirectoryId, values::secret::Secret},
    services::ports::ProviderError,
};

/// How long after its expiry a token is still accepted, in seconds.
const LEEWAY: i64 = 5;
/// How far the provider's clock may be ahead of ours, in seconds.
const AHEAD: i64 = 60;

/// The placeholder of the tenant id in an issuer template.
pub(in crate::adapters::providers) const TENANT: &str = "{tenantid}";

/// The issuers of a provider's id tokens.
pub(in crate::adapters::providers) enum Issuers {
    /// One issuer, in every form of its name.
    Named(Vec<String>),
    /// One issuer per tenant of Entra: a template with [`TENANT`] in the tenant's place.
    PerTenant(String),
}

impl Issuers {
    /// Whether these claims name one of the issuers, and in a template the tenant of the claims.
    fn issued(&self, claims: &Value) -> bool {
        let iss = claims.get("iss").and_then(Value::as_str);
        match self {
            Self::Named(forms) => iss.is_some_and(|iss| forms.iter().any(|form| form == iss)),
            Self::PerTenant(template) => iss.is_some() && iss == in_tenant(template, claims).as_deref(),
        }
    }

    /// Whether this is the name of one of the issuers, where there are no claims to compare.
    fn has(&self, iss: &str) -> bool {
        match self {
            Self::Named(forms) => forms.iter().any(|form| form == iss),
            Self::PerTenant(template) => template.split_once(TENANT).is_some_and(|(before, behind)| {
                let tenant = iss.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
                tenant.is_some_and(|tenant| DirectoryId::parse(tenant).is_some())
            }),
        }
    }
}

/// The issuer of a template in the tenant of these claims. A text that is no template is returned as it is.
fn in_tenant(template: &str, claims: &Value) -> Option<String> {
    if !template.contains(TENANT) {
        return Some(template.to_owned());
    }
    let tenant = claims.get("tid").and_then(Value::as_str).filter(|tenant| DirectoryId::parse(tenant).is_some())?;
    Some(template.replace(TENANT, tenant))
}

/// The issuers of id tokens, and their key.
pub(in crate::adapters::providers) struct Origin<'o> {
    pub(in crate::adapters::providers) issuers: &'o Issuers,
    pub(in crate::adapters::providers) signed_with: SignedWith<'o>,
}

/// The key that signs id tokens. The gateway or the operator chooses it, never a token or the provider's metadata.
pub(in crate::adapters::providers) enum SignedWith<'o> {
    /// A key that the provider publishes at this URL.
    Published(&'o Url),
    /// Our client secret. It has no id: every token is signed with it.
    ClientSecret,
}

impl Origin<'_> {
    /// Checks `iss` of an authorization response (RFC 9207 §2.4). An issuer that `names_itself` in every response sends
    /// none without it.
    pub(in crate::adapters::providers) fn check_response(
        &self,
        iss: Option<&str>,
        names_itself: bool,
    ) -> Result<(), ProviderError> {
        let flaw = match iss {
            Some(iss) if self.issuers.has(iss) => return Ok(()),
            Some(_) => "the authorization response has another issuer",
            None if names_itself => "the authorization response does not name its issuer",
            None => return Ok(()),
        };
        Err(ProviderError::BadResponse(flaw.to_owned()))
    }
}

/// Verifies the id tokens of one provider.
pub(in crate::adapters::providers) struct IdTokens {
    published: Jwks,
    client_secret: Key,
}

impl IdTokens {
    /// For the provider of this registration.
    pub(in crate::adapters::providers) fn new(flow: &Flow) -> Self {
        Self { published: Jwks::new(flow.clock.clone()), client_secret: Key::of_secret(&flow.settings.client_secret) }
    }

    /// Checks the id token that came with `tokens` and returns its claims. `remedy` tells the operator what to do if
    /// none came.
    pub(in crate::adapters::providers) async fn check(
        &self,
        flow: &Flow,
        origin: &Origin<'_>,
        tokens: &ProviderTokens,
        nonce: Option<&Secret>,
        remedy: &'static str,
    ) -> Result<Value, ProviderError> {
        let id_token = tokens.id_token.as_ref().ok_or(ProviderError::NoIdToken { remedy })?;
        let id_token = Jws::parse(id_token.expose()).map_err(refused)?;
        // Access tokens and logout tokens are signed with the same keys, and name their type (RFC 8725 §3.11).
        if id_token.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
            return Err(refused(Flaw("is another kind of token")));
        }
        let verified = self.verify(flow, &origin.signed_with, id_token).await?;
        let expected = Expected {
            issuers: origin.issuers,
            client_id: &flow.settings.client_id,
            nonce,
            access_token: &tokens.access_token,
            now: flow.clock.now(),
        };
        // A token with events does not belong to a sign-in, even if its type does not say so (RFC 8417 §4.5).
        if verified.claims.get("events").is_some() {
            return Err(refused(Flaw("is another kind of token")));
        }
        expected.check(&verified.claims, verified.algorithm)?;
        if let Some(issuer) = &verified.key_issuer
            && verified.claims.get("iss").and_then(Value::as_str) != in_tenant(issuer, &verified.claims).as_deref()
        {
            return Err(refused(Flaw("is signed with the key of another issuer")));
        }
        Ok(verified.claims)
    }

    /// Verifies the signature of a token.
    async fn verify(
        &self,
        flow: &Flow,
        signed_with: &SignedWith<'_>,
        token: Jws<'_>,
    ) -> Result<Verified, ProviderError> {
        let verified = match signed_with {
            SignedWith::ClientSecret => token.verify(Some(&self.client_secret)),
            SignedWith::Published(url) => {
                let keys = self.published.get(flow, url, token.kid()).await?;
                let key = keys.find(token.kid());
                token.verify(key)
            }
        };
        verified.map_err(refused)
    }
}

/// The expected values of a token's claims.
struct Expected<'e> {
    issuers: &'e Issuers,
    client_id: &'e str,
    /// The nonce that was sent, if one was.
    nonce: Option<&'e Secret>,
    /// The access token from the same response.
    access_token: &'e Secret,
    now: DateTime<Utc>,
}

impl Expected<'_> {
    fn check(&self, claims: &Value, algorithm: Algorithm) -> Result<(), ProviderError> {
        self.check_parties(claims).map_err(refused)?;
        self.check_times(claims).map_err(refused)?;
        let nonce = claims.get("nonce").and_then(Value::as_str);
        if let Some(sent) = self.nonce
            && !nonce.is_some_and(|it| equal(it, sent.expose()))
        {
            return Err(ProviderError::NonceMismatch);
        }
        match claims.get("at_hash") {
            Some(hash) if !hash.as_str().is_some_and(|hash| equal(hash, &at_hash(self.access_token, algorithm))) => {
                Err(refused(Flaw("belongs to another access token (at_hash)")))
            }
            _ => Ok(()),
        }
    }

    /// Checks issuer and audience.
    fn check_parties(&self, claims: &Value) -> Result<(), Flaw> {
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        if !self.issuers.issued(claims) {
            return Err(Flaw("has another iss"));
        }
        let azp = text("azp");
        match claims.get("aud") {
            Some(Value::String(aud)) if aud == self.client_id => {}
            Some(Value::Array(auds)) if auds.iter().any(|aud| aud == self.client_id) => {
                if auds.len() > 1 && azp.is_none() {
                    return Err(Flaw("has more than one aud but no azp"));
                }
            }
            _ => return Err(Flaw("has another aud")),
        }
        if claims.get("azp").is_some() && azp != Some(self.client_id) {
            return Err(Flaw("has another azp"));
        }
        Ok(())
    }

    fn check_times(&self, claims: &Value) -> Result<(), Flaw> {
        let now = self.now.timestamp();
        let exp = number(claims, "exp").ok_or(Flaw("has no exp"))?;
        if now >= exp.saturating_add(LEEWAY) {
            return Err(Flaw("has expired"));
        }
        let iat = number(claims, "iat").ok_or(Flaw("has no iat"))?;
        if iat > now + AHEAD {
            return Err(Flaw("is from the future"));
        }
        // Optional (RFC 7519 §4.1.5).
        if claims.get("nbf").is_some() && number(claims, "nbf").is_none_or(|nbf| nbf > now.saturating_add(AHEAD)) {
            return Err(Flaw("is not valid yet"));
        }
        Ok(())
    }
}

/// The left half of the access token's hash, by the hash of the algorithm (OpenID Connect Core §3.1.3.6); for Ed25519
/// that is SHA-512.
pub(in crate::adapters::providers) fn at_hash(access_token: &Secret, algorithm: Algorithm) -> String {
    let token = access_token.expose();
    match algorithm {
        Algorithm::ES384 | Algorithm::RS384 | Algorithm::PS384 | Algorithm::HS384 => left_half(&Sha384::digest(token)),
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::HS512 | Algorithm::EdDSA => left_half(&Sha512::digest(token)),
        // The names of the others end with 256.
        _ => left_half(&Sha256::digest(token)),
    }
}

fn left_half(hash: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}

fn equal(a: &str, b: &str) -> bool {
    verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

fn refused(flaw: Flaw) -> ProviderError {
    ProviderError::BadResponse(format!("the id token {flaw}"))
}
