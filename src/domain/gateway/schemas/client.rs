//! Requests and responses of machine clients (RFC 6749, RFC 7009, RFC 7662), and the metadata for them (RFC 8414).

mod error;
mod form;
mod metadata;

use poem_openapi::{Object, types::Example};

use crate::domain::gateway::models::token::{AccessClaims, IssuedToClient, Verification};

pub use error::{OAuthError, OAuthErrorDocument};
pub use form::{ClientForm, PostedForm};
pub use metadata::{METADATA_PATH, ServerMetadata};

/// A request for a token (RFC 6749 §4.4.2, §6). Without `Authorization: Basic`, it must also authenticate the client.
#[derive(Debug, Default, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct ClientTokenRequest {
    /// Type of the grant: `client_credentials` or `refresh_token`.
    #[oai(validator(pattern = "^(?:client_credentials|refresh_token)$"))]
    pub grant_type: String,
    /// Scope of the token: words separated by a space, within the scope of the client or of the refresh token. Default:
    /// all of that scope.
    pub scope: Option<String>,
    /// Refresh token, for the grant `refresh_token`. It can be used once.
    pub refresh_token: Option<String>,
    /// Audience of the token (RFC 8707), for the grant `client_credentials`. It must be the client's own audience.
    pub resource: Option<String>,
    /// Id of the client.
    pub client_id: Option<String>,
    /// Secret of the client (`client_secret_post`).
    pub client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer` (`private_key_jwt`).
    pub client_assertion_type: Option<String>,
    /// JWT that the client signed (RFC 7523 §3). `iss` and `sub` are the client id, `aud` is the issuer or the token
    /// endpoint, `exp` is at most one hour ahead, and each `jti` is used once.
    pub client_assertion: Option<String>,
}

impl Example for ClientTokenRequest {
    fn example() -> Self {
        Self { grant_type: "client_credentials".into(), scope: Some("tokens:issue".into()), ..Self::default() }
    }
}

/// A token to revoke or to introspect (RFC 7009 §2.1, RFC 7662 §2.1). Without `Authorization: Basic`, the request must also
/// authenticate the client.
#[derive(Debug, Default, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct ClientTokenQuestion {
    /// Access token or refresh token.
    #[oai(validator(min_length = 1))]
    pub token: String,
    /// Type of the token: `access_token` or `refresh_token`. Optional: the gateway recognises the type itself. An unknown
    /// hint is ignored.
    pub token_type_hint: Option<String>,
    /// Id of the client.
    pub client_id: Option<String>,
    /// Secret of the client (`client_secret_post`).
    pub client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer` (`private_key_jwt`).
    pub client_assertion_type: Option<String>,
    /// JWT that the client signed (RFC 7523 §3).
    pub client_assertion: Option<String>,
}

impl Example for ClientTokenQuestion {
    fn example() -> Self {
        Self { token: "paste an access token or a refresh token".into(), ..Self::default() }
    }
}

/// The tokens that a client receives (RFC 6749 §5.1).
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ClientTokens {
    /// Access token, to send as `Authorization: Bearer …`. It is a JWT (RFC 9068).
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Lifetime of the access token, in seconds.
    pub expires_in: i64,
    /// Scope of the access token: words separated by a space. Absent if it is empty.
    pub scope: Option<String>,
    /// Next refresh token, for the grant `refresh_token`. The grant `client_credentials` returns none (§4.4.3): the client
    /// requests a new access token instead.
    pub refresh_token: Option<String>,
}

impl From<IssuedToClient> for ClientTokens {
    fn from(issued: IssuedToClient) -> Self {
        Self {
            access_token: issued.access_token.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: issued.access_ttl.num_seconds(),
            scope: (!issued.scope.is_empty()).then(|| issued.scope.to_string()),
            refresh_token: issued.refresh_token.map(|token| token.expose().to_owned()),
        }
    }
}

/// The result of introspecting a token (RFC 7662 §2.2). For an invalid token it contains only `active`.
#[derive(Debug, Default, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Introspection {
    /// Whether the token is valid.
    pub active: bool,
    /// Scope of the token: words separated by a space.
    pub scope: Option<String>,
    /// Id of the client that the token was issued to. `gateway` for a token of the gateway's own API.
    pub client_id: Option<String>,
    /// `Bearer`, for an access token.
    pub token_type: Option<String>,
    /// Time when the token expires, in seconds since 1970.
    pub exp: Option<i64>,
    /// Time when the token was issued, in seconds since 1970.
    pub iat: Option<i64>,
    /// Time when the token becomes valid, in seconds since 1970.
    pub nbf: Option<i64>,
    /// Subject of the token.
    pub sub: Option<String>,
    /// Audience of the token.
    pub aud: Option<Vec<String>>,
    /// Issuer of the token.
    pub iss: Option<String>,
    /// Id of the token, for an access token.
    pub jti: Option<String>,
}

impl Introspection {
    /// `issuer` is the issuer of tokens that do not name one.
    pub fn from_model(verification: Verification, issuer: &str) -> Self {
        match verification {
            Verification::Inactive(_) => Self::default(),
            Verification::Access(claims) => Self::of_access_token(claims),
            Verification::Refresh { family, issued_at, expires_at } => Self {
                active: true,
                scope: (!family.scope.is_empty()).then(|| family.scope.to_string()),
                client_id: Some(family.client_id),
                exp: Some(expires_at.timestamp()),
                iat: Some(issued_at.timestamp()),
                sub: Some(family.subject),
                iss: Some(issuer.to_owned()),
                ..Self::default()
            },
            Verification::Dummy(dummy) => Self {
                active: true,
                scope: (!dummy.scope.is_empty()).then(|| dummy.scope.to_string()),
                token_type: Some("Bearer".to_owned()),
                exp: Some(dummy.expires_at.timestamp()),
                iat: Some(dummy.created_at.timestamp()),
                sub: Some(dummy.subject),
                iss: Some(issuer.to_owned()),
                jti: Some(dummy.id.to_string()),
                ..Self::default()
            },
        }
    }

    fn of_access_token(claims: AccessClaims) -> Self {
        Self {
            active: true,
            scope: (!claims.scope.is_empty()).then(|| claims.scope.to_string()),
            client_id: Some(claims.client_id),
            token_type: Some("Bearer".to_owned()),
            exp: Some(claims.expires_at.timestamp()),
            iat: Some(claims.issued_at.timestamp()),
            nbf: claims.not_before.map(|at| at.timestamp()),
            sub: Some(claims.subject),
            aud: Some(claims.audience),
            iss: Some(claims.issuer),
            jti: Some(claims.token_id.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
