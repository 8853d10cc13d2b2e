//! What machine clients send and get (RFC 6749, RFC 7009, RFC 7662), and what they are told of us (RFC 8414).

mod error;
mod form;
mod metadata;

use poem_openapi::{Object, types::Example};

use crate::domain::gateway::models::token::{AccessClaims, IssuedToClient, Verification};

pub use error::{OAuthError, OAuthErrorDocument};
pub use form::{ClientForm, PostedForm};
pub use metadata::{METADATA_PATH, ServerMetadata};

/// A request for a token (RFC 6749 §4.4.2, §6). Without `Authorization: Basic` it also says who the client is.
#[derive(Debug, Default, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct ClientTokenRequest {
    /// `client_credentials` or `refresh_token`.
    #[oai(validator(pattern = "^(?:client_credentials|refresh_token)$"))]
    pub grant_type: String,
    /// What the token shall allow: words separated by a space, within what the client may have, or what was granted. Default:
    /// all of it.
    pub scope: Option<String>,
    /// With `refresh_token`: the refresh token. Good for one use.
    pub refresh_token: Option<String>,
    /// With `client_credentials`: whom the token shall be meant for (RFC 8707). There is no choice: it has to be the client's
    /// own audience.
    pub resource: Option<String>,
    /// Who the client is.
    pub client_id: Option<String>,
    /// Its secret (`client_secret_post`).
    pub client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer` (`private_key_jwt`).
    pub client_assertion_type: Option<String>,
    /// What the client signed: a JWT with `iss` and `sub` the client, `aud` the issuer or the token endpoint, `exp` at most an
    /// hour ahead, and a `jti` that it uses once (RFC 7523 §3).
    pub client_assertion: Option<String>,
}

impl Example for ClientTokenRequest {
    fn example() -> Self {
        Self { grant_type: "client_credentials".into(), scope: Some("tokens:issue".into()), ..Self::default() }
    }
}

/// A token to end or to look at (RFC 7009 §2.1, RFC 7662 §2.1). Without `Authorization: Basic` it also says who the client is.
#[derive(Debug, Default, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct ClientTokenQuestion {
    /// An access token or a refresh token.
    #[oai(validator(min_length = 1))]
    pub token: String,
    /// `access_token` or `refresh_token`. Not needed: the gateway tells them apart by itself, and an unknown hint is ignored.
    pub token_type_hint: Option<String>,
    /// Who the client is.
    pub client_id: Option<String>,
    /// Its secret (`client_secret_post`).
    pub client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer` (`private_key_jwt`).
    pub client_assertion_type: Option<String>,
    /// What the client signed (RFC 7523 §3).
    pub client_assertion: Option<String>,
}

impl Example for ClientTokenQuestion {
    fn example() -> Self {
        Self { token: "paste an access token or a refresh token".into(), ..Self::default() }
    }
}

/// What a client gets (RFC 6749 §5.1).
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ClientTokens {
    /// Send it as `Authorization: Bearer …`. A JWT (RFC 9068).
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Life of the access token, in seconds.
    pub expires_in: i64,
    /// What the access token allows; left out if that is nothing.
    pub scope: Option<String>,
    /// With the grant `refresh_token`: the next one. A client that asks for itself gets none, and asks again (§4.4.3).
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

/// What there is to say of a token (RFC 7662 §2.2). Of one that is not good, nothing more than that.
#[derive(Debug, Default, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Introspection {
    /// Whether the token is good.
    pub active: bool,
    /// What it allows.
    pub scope: Option<String>,
    /// The client that it was issued to; `gateway` for a token of the gateway's own API.
    pub client_id: Option<String>,
    /// `Bearer`, of an access token.
    pub token_type: Option<String>,
    /// From when on it is refused, in seconds since 1970.
    pub exp: Option<i64>,
    /// When it was issued, in seconds since 1970.
    pub iat: Option<i64>,
    /// Not before then, in seconds since 1970.
    pub nbf: Option<i64>,
    /// Whom it is for.
    pub sub: Option<String>,
    /// Whom it is shown to.
    pub aud: Option<Vec<String>>,
    /// Who issued it.
    pub iss: Option<String>,
    /// Its id, of an access token.
    pub jti: Option<String>,
}

impl Introspection {
    /// `issuer` is who issued tokens that do not say so themselves.
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
