//! The OAuth vault's requests and responses.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, FixedOffset, Utc};
use chrono_tz::Tz;
use poem_openapi::{Object, types::Example};
use serde::Deserialize;
use validator::{Validate, ValidationError};

use super::{local, token::TokenPair};
use crate::{
    domain::gateway::models::{
        oauth::{Grant, GrantCursor, GrantPage, GrantQuery, GrantStatus, InvalidProviderName, ProviderTokens},
        token::IssuedTokens,
        values::paging::PageSize,
    },
    problem::FieldError,
};

/// A provider where people can sign in.
#[derive(Debug, Object)]
pub struct OAuthProvider {
    /// Name of the provider in paths and requests.
    pub name: String,
    /// Name of the provider for people.
    pub display_name: String,
    /// Path to open in a browser to sign in at the provider.
    pub sign_in: String,
}

/// The enabled providers.
#[derive(Debug, Object)]
pub struct OAuthProviders {
    /// Providers, ordered by name.
    pub providers: Vec<OAuthProvider>,
}

// No `Debug`: it may hold a password.
/// An authorization code to exchange.
#[derive(Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct ExchangeCode {
    /// Name of an enabled provider, such as `google`. `GET /oauth/providers` lists them.
    #[validate(length(min = 1, max = 32, message = "must be a provider; GET /oauth/providers lists them"))]
    #[oai(validator(min_length = 1, max_length = 32))]
    pub provider: String,
    /// Authorization code that the provider sent to the redirect URI.
    #[validate(length(min = 1, max = 4096, message = "must be 1 to 4096 characters"))]
    #[oai(validator(min_length = 1, max_length = 4096))]
    pub code: String,
    /// Redirect URI that the code was sent to: exactly one of `OAUTH_REDIRECT_URIS`, never the gateway's own callback.
    /// Optional if there is only one.
    #[validate(length(min = 1, max = 2048, message = "must be a URI of 1 to 2048 characters"))]
    #[oai(validator(min_length = 1, max_length = 2048))]
    pub redirect_uri: Option<String>,
    /// Code verifier of PKCE (RFC 7636). Required if the provider supports PKCE. Codes of a provider with neither PKCE nor
    /// a nonce are refused, unless `<PROVIDER>_UNBOUND_CODES` is `accept`.
    #[validate(length(min = 43, max = 128, message = "must be 43 to 128 characters"))]
    #[oai(validator(min_length = 43, max_length = 128))]
    pub code_verifier: Option<String>,
    /// `nonce` of the authorization request. Required for OpenID Connect: the id token must contain it (400
    /// `nonce_mismatch`).
    #[validate(length(min = 1, max = 256, message = "must be 1 to 256 characters"))]
    #[oai(validator(min_length = 1, max_length = 256))]
    pub nonce: Option<String>,
    /// `state` of the authorization request, in printable ASCII. For a provider that requires it with the code (Naver).
    /// Without it, the gateway generates one. The gateway does not check it: your front end must have compared it with the
    /// `state` that it sent.
    #[validate(length(min = 1, max = 512, message = "must be 1 to 512 characters"), custom(function = "printable"))]
    #[oai(validator(min_length = 1, max_length = 512, pattern = "^[ -~]*$"))]
    pub state: Option<String>,
    /// Password of the account that is signed in in the browser, if it has one. Required to add an identity to the
    /// account.
    #[validate(length(min = 1, max = 256, message = "must be 1 to 256 characters"))]
    #[oai(validator(min_length = 1, max_length = 256))]
    pub password: Option<String>,
}

impl Example for ExchangeCode {
    fn example() -> Self {
        Self {
            provider: "google".into(),
            code: "paste the code that came to the redirect URI".into(),
            redirect_uri: None,
            code_verifier: Some("the code verifier of the authorization request, 43 to 128 characters".into()),
            nonce: Some("the nonce of the authorization request".into()),
            state: Some("the state of the authorization request".into()),
            password: None,
        }
    }
}

/// RFC 6749, appendix A.5.
fn printable(state: &str) -> Result<(), ValidationError> {
    if state.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(ValidationError::new("characters").with_message("must be printable ASCII".into()))
}

/// A grant with its tokens.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OAuthGrant {
    /// Id of the grant.
    pub id: String,
    /// Name of the provider.
    pub provider: String,
    /// Access token for the provider's API.
    pub access_token: String,
    /// Type of the access token, usually `Bearer`.
    pub token_type: String,
    /// Remaining lifetime of the access token, in seconds. Absent if it does not expire.
    pub expires_in: Option<i64>,
    /// Time when the access token expires. Absent if it does not expire.
    pub expires_at: Option<DateTime<FixedOffset>>,
    /// Refresh token for the next access token. You need not store it: the gateway does.
    pub refresh_token: Option<String>,
    /// Scope of the access token, as the provider writes it.
    pub scope: Option<String>,
    /// Time when the grant was created.
    pub created_at: DateTime<FixedOffset>,
    /// The gateway's own tokens, if the exchange was a sign-in.
    pub tokens: Option<TokenPair>,
}

impl OAuthGrant {
    /// Writes times with the offset of `timezone`.
    pub fn from_model(
        grant: &Grant,
        tokens: &ProviderTokens,
        signed_in: Option<&IssuedTokens>,
        now: DateTime<Utc>,
        timezone: Tz,
    ) -> Self {
        Self {
            id: grant.id.to_string(),
            provider: grant.provider.to_string(),
            access_token: tokens.access_token.expose().to_owned(),
            token_type: tokens.token_type.clone(),
            expires_in: tokens.expires_at.map(|expires_at| (expires_at - now).num_seconds().max(0)),
            expires_at: tokens.expires_at.map(|expires_at| local(expires_at, timezone)),
            refresh_token: tokens.refresh_token.as_ref().map(|token| token.expose().to_owned()),
            scope: tokens.scope.clone(),
            created_at: local(grant.created_at, timezone),
            tokens: signed_in.map(|tokens| TokenPair::from_model(tokens, timezone)),
        }
    }
}

/// A grant in a list, without its tokens.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OAuthGrantSummary {
    /// Id of the grant.
    pub id: String,
    /// Name of the provider.
    pub provider: String,
    /// `active`, `needs_reauthorization` (the person must sign in at the provider again) or `revoked`.
    pub status: String,
    /// Time when the access token expires. The gateway refreshes it before.
    pub expires_at: Option<DateTime<FixedOffset>>,
    /// Whether the gateway can refresh the access token.
    pub refreshable: bool,
    /// Time when the grant was created.
    pub created_at: DateTime<FixedOffset>,
    /// Time when the tokens of the grant last changed.
    pub updated_at: DateTime<FixedOffset>,
}

/// A page of grants, newest first.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OAuthGrants {
    /// Grants of this page.
    pub grants: Vec<OAuthGrantSummary>,
    /// `cursor` of the next page. Absent on the last page.
    pub next_cursor: Option<String>,
}

/// The parameters of the list, as they stand in the address.
#[derive(Debug, Default, Validate)]
pub struct ListGrants {
    /// `provider`
    pub provider: Option<String>,
    /// `cursor`
    pub cursor: Option<String>,
    /// `limit`
    pub limit: Option<u64>,
}

impl TryFrom<ListGrants> for GrantQuery {
    type Error = FieldError;

    fn try_from(wire: ListGrants) -> Result<Self, FieldError> {
        let range = || FieldError::new("limit", "range", "must be 1 to 100");
        let cursor = || FieldError::new("cursor", "cursor", "must be the `next_cursor` of the page before");
        let provider = |invalid: InvalidProviderName| FieldError::new("provider", "provider", invalid.to_string());
        let size = wire.limit.map(|limit| PageSize::new(limit).ok_or_else(range));
        Ok(Self {
            size: size.transpose()?.unwrap_or_default(),
            after: wire.cursor.map(|text| read_cursor(&text).ok_or_else(cursor)).transpose()?,
            provider: wire.provider.map(|name| name.parse().map_err(provider)).transpose()?,
        })
    }
}

impl OAuthGrants {
    /// Times are written with the offset of `timezone`.
    pub fn from_model(page: &GrantPage, timezone: Tz) -> Self {
        let summary = |grant: &Grant| OAuthGrantSummary {
            id: grant.id.to_string(),
            provider: grant.provider.to_string(),
            status: match grant.status {
                GrantStatus::Active => "active",
                GrantStatus::NeedsReauthorization => "needs_reauthorization",
                GrantStatus::Revoked => "revoked",
            }
            .to_owned(),
            expires_at: grant.expires_at.map(|expires_at| local(expires_at, timezone)),
            refreshable: grant.refreshable,
            created_at: local(grant.created_at, timezone),
            updated_at: local(grant.updated_at, timezone),
        };
        Self { grants: page.grants.iter().map(summary).collect(), next_cursor: page.next.map(write_cursor) }
    }
}

/// A cursor is opaque to callers: its contents may change.
fn write_cursor(cursor: GrantCursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", cursor.created_at.timestamp_micros(), cursor.id))
}

/// Reads the cursor of an earlier page. `None` if it is invalid.
fn read_cursor(text: &str) -> Option<GrantCursor> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (micros, id) = text.split_once('.')?;
    Some(GrantCursor { created_at: DateTime::from_timestamp_micros(micros.parse().ok()?)?, id: id.parse().ok()? })
}

/// The grant was deleted.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OAuthGrantDeleted {
    /// Whether the provider revoked the grant.
    pub revoked_at_provider: bool,
    /// Reason, if the provider did not revoke the grant.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gateway::{
        models::values::id::{AccountId, GrantId},
        schemas::{converted, parse_json, validated},
    };

    fn grant(n: u8) -> Grant {
        let at = DateTime::from_timestamp(1_800_000_000 - i64::from(n), 123_456_000).unwrap();
        Grant {
            id: GrantId::from_random([n; 16]),
            account: AccountId::from_random([9; 16]),
            provider: "google".parse().unwrap(),
            provider_subject: "1".into(),
            status: GrantStatus::Active,
            sealed_tokens: vec![1],
            expires_at: None,
            refreshable: false,
            created_at: at,
            allowed_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn a_page_ends_with_the_cursor_of_the_next_one() {
        let grants: Vec<Grant> = (0..2).map(grant).collect();
        let next = GrantCursor { created_at: grants[1].created_at, id: grants[1].id };
        let page = OAuthGrants::from_model(&GrantPage { grants: grants.clone(), next: Some(next) }, chrono_tz::UTC);
        assert_eq!(page.grants.len(), 2);
        let query: GrantQuery = converted(ListGrants { cursor: page.next_cursor, ..ListGrants::default() }).unwrap();
        assert_eq!(query, GrantQuery { after: Some(next), ..GrantQuery::default() });
        assert_eq!(OAuthGrants::from_model(&GrantPage { grants, next: None }, chrono_tz::UTC).next_cursor, None);
    }

    #[test]
    fn each_parameter_of_the_list_is_checked() {
        let (provider, cursor) = (Some("Google".to_owned()), Some("x".to_owned()));
        for (query, field) in [
            (ListGrants { limit: Some(0), ..ListGrants::default() }, "limit"),
            (ListGrants { limit: Some(101), ..ListGrants::default() }, "limit"),
            (ListGrants { cursor, ..ListGrants::default() }, "cursor"),
            (ListGrants { provider, ..ListGrants::default() }, "provider"),
        ] {
            let refused = converted::<_, GrantQuery>(query).unwrap_err();
            assert_eq!((refused.errors.len(), refused.errors[0].field.as_str()), (1, field));
        }
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        for text in ["", "x", "AAAA", &URL_SAFE_NO_PAD.encode("1.x"), &URL_SAFE_NO_PAD.encode("x.y"), "한국"] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }

    #[test]
    fn the_example_is_valid_and_each_field_is_checked() {
        assert!(validated(ExchangeCode::example()).is_ok());
        for json in [
            r#"{"provider": "", "code": "c"}"#,
            r#"{"provider": "google", "code": ""}"#,
            r#"{"provider": "google", "code": "c", "redirect_uri": ""}"#,
            r#"{"provider": "google", "code": "c", "code_verifier": "short"}"#,
            r#"{"provider": "google", "code": "c", "nonce": ""}"#,
            r#"{"provider": "google", "code": "c", "state": ""}"#,
            r#"{"provider": "google", "code": "c", "state": "\u0007"}"#,
            r#"{"provider": "google", "code": "c", "state": "가"}"#,
            r#"{"provider": "google", "code": "c", "password": ""}"#,
        ] {
            let read: ExchangeCode = parse_json(json.as_bytes()).unwrap();
            assert_eq!(validated(read).err().unwrap().errors.len(), 1, "{json}");
        }
    }
}
