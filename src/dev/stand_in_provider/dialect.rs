//! The same people at providers that deviate from the standard, each under its own path, so that signing in there can
//! be tried and tested without registering an app. The responses follow their documentation:
//!
//! - `/naver`: developers.naver.com/docs/login/devguide §3.4 and §3.5, developers.naver.com/docs/login/profile.
//!   Dropping an `A` at the end of a nonce is not documented, but seen.
//! - `/kakao`: developers.kakao.com/docs/latest/ko/kakaologin/rest-api and …/utilize#oidc-id-token.
//! - `/entra`: learn.microsoft.com/entra/identity-platform/v2-protocols-oidc and …/id-token-claims-reference. Carol is
//!   in another tenant than the others, and Bob is in no group.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    people::Person,
    wire::{Parameters, Refusal, Scope},
};

/// The tenants of Entra, and the group of all people but Bob.
const TENANT: &str = "11111111-2222-4333-8444-555555555555";
const OTHER_TENANT: &str = "66666666-7777-4888-8999-aaaaaaaaaaaa";
const GROUP: &str = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff";

/// The imitated provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The standard.
    Standard,
    Naver,
    Kakao,
    /// Entra, for people of every tenant.
    Entra,
}

impl Dialect {
    /// The dialects with a path of their own.
    pub(super) const OTHERS: [(&'static str, Self); 3] =
        [("/naver", Self::Naver), ("/kakao", Self::Kakao), ("/entra/common", Self::Entra)];

    /// The issuer of a person's id tokens. `base` is the provider's URL.
    pub(super) fn issuer(self, base: &str, person: &Person) -> String {
        match self {
            Self::Standard => base.to_owned(),
            Self::Naver => "https://nid.naver.com".to_owned(),
            Self::Kakao => "https://kauth.kakao.com".to_owned(),
            Self::Entra => entra_issuer(base, tenant(person)),
        }
    }

    /// The issuer in its metadata and its keys.
    pub(super) fn published_issuer(self, base: &str) -> Option<String> {
        (self == Self::Entra).then(|| entra_issuer(base, "{tenantid}"))
    }

    /// Refuses an authorization request without a parameter that this provider requires.
    pub(super) fn check(self, parameters: &Parameters) -> Result<(), Refusal> {
        if self == Self::Naver {
            parameters.require("state")?;
        }
        Ok(())
    }

    /// The scope of a request. Kakao's may be separated by commas.
    pub(super) fn scope(self, text: &str) -> Result<Scope, Refusal> {
        if self == Self::Kakao { Scope::parse(&text.replace(',', " ")) } else { Scope::parse(text) }
    }

    /// Refuses an exchange without a parameter that this provider requires.
    pub(super) fn check_exchange(self, form: &Parameters) -> Result<(), Refusal> {
        match self {
            Self::Naver => form.require("state").map(drop),
            Self::Standard | Self::Kakao | Self::Entra => Ok(()),
        }
    }

    /// Whether it accepts the client secret in the form only.
    pub(super) fn is_form_only(self) -> bool {
        matches!(self, Self::Naver | Self::Kakao)
    }

    /// Whether userinfo need the scope `openid`.
    pub(super) fn needs_openid(self) -> bool {
        self == Self::Standard
    }

    /// Whether its authorization responses contain `iss` (RFC 9207).
    pub(super) fn names_itself(self) -> bool {
        self == Self::Standard
    }

    /// The nonce in its id tokens.
    pub(super) fn nonce(self, sent: &str) -> &str {
        if self == Self::Naver { sent.trim_end_matches('A') } else { sent }
    }

    /// The claims of a person's id token.
    pub(super) fn claims(self, person: &Person, scope: &Scope) -> Map<String, Value> {
        let claims = match self {
            Self::Standard => return person.claims(scope),
            Self::Naver => json!({"sub": naver_id(person)}),
            Self::Kakao => json!({"sub": number(person).to_string(), "nickname": person.name, "email": person.email}),
            Self::Entra => json!({
                "sub": format!("pairwise-{}", person.subject), "oid": object_id(person), "tid": tenant(person), "ver": "2.0",
                "name": person.name, "preferred_username": person.email, "email": person.email,
                "xms_edov": person.email_verified, "groups": if person.subject == "bob" { vec![] } else { vec![GROUP] },
            }),
        };
        claims.as_object().cloned().unwrap_or_default()
    }

    /// The userinfo response for the bearer of an access token.
    pub(super) fn userinfo(self, person: &Person, scope: &Scope) -> Value {
        match self {
            Self::Standard => Value::Object(person.claims(scope)),
            Self::Naver => json!({
                "resultcode": "00", "message": "success",
                "response": {"id": naver_id(person), "name": person.name, "email": person.email},
            }),
            Self::Kakao => json!({
                "id": number(person), "connected_at": "2026-01-01T00:00:00Z",
                "kakao_account": {
                    "profile": {"nickname": person.name}, "email": person.email,
                    "is_email_valid": true, "is_email_verified": person.email_verified,
                },
            }),
            Self::Entra => json!({"sub": format!("pairwise-{}", person.subject), "name": person.name}),
        }
    }
}

fn entra_issuer(base: &str, tenant: &str) -> String {
    format!("{}/entra/{tenant}/v2.0", base.trim_end_matches('/'))
}

fn tenant(person: &Person) -> &'static str {
    if person.subject == "carol" { OTHER_TENANT } else { TENANT }
}

fn naver_id(person: &Person) -> String {
    format!("naver-{}", person.subject)
}

/// A number for the person: the same in every run.
fn number(person: &Person) -> u32 {
    let digest: [u8; 32] = Sha256::digest(&person.subject).into();
    let [first, second, third, fourth, ..] = digest;
    u32::from_be_bytes([first, second, third, fourth])
}

fn object_id(person: &Person) -> String {
    format!("00000000-0000-4000-8000-{:012x}", number(person))
}
