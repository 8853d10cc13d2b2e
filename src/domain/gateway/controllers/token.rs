//! Tokens: schema → service → schema.

use std::sync::Arc;

use chrono::TimeDelta;
use chrono_tz::Tz;
use http::StatusCode;

use super::{
    caller::{Callers, Credentials, of_bearer},
    failed,
};
use crate::{
    domain::gateway::{
        models::token::{DummyText, Rejection, TokenRequest},
        schemas::{
            converted,
            token::{
                CreateDummyToken, CreateToken, DummyTokenPair, RefreshTokens, RevokeToken, TokenPair, TokenRevoked,
                TokenVerification, VerifyToken,
            },
            validated,
        },
        services::token::{CreateError, RefreshError, TokenService},
    },
    problem::{Challenge, Problem},
};

/// The token endpoints.
#[derive(Clone)]
pub struct TokenController {
    tokens: Arc<TokenService>,
    callers: Arc<Callers>,
    timezone: Tz,
}

impl TokenController {
    /// Times are written with the offset of `timezone`.
    pub fn new(tokens: Arc<TokenService>, callers: Arc<Callers>, timezone: Tz) -> Self {
        Self { tokens, callers, timezone }
    }

    /// The longest lifetime that can be requested for an access token.
    pub fn longest_access_life(&self) -> TimeDelta {
        self.tokens.policy().access_ttl_max
    }

    /// `POST /tokens/create`
    pub async fn create(&self, request: CreateToken, credentials: &Credentials) -> Result<TokenPair, Problem> {
        if credentials.bearer.is_none() {
            self.callers.check_host(credentials)?;
        }
        let wish: TokenRequest = converted(request)?;
        let caller = match &credentials.bearer {
            Some(bearer) => Some(of_bearer(&self.tokens, bearer).await?),
            None => None,
        };
        match self.tokens.create(wish, caller).await {
            Ok(tokens) => Ok(TokenPair::from_model(&tokens, self.timezone)),
            Err(CreateError::Denied(denied)) => Err(Problem::denied(denied)),
            Err(CreateError::ScopeExceeded(asked)) => Err(Problem {
                challenge: Some(Challenge::InsufficientScope(asked)),
                ..Problem::new(
                    StatusCode::FORBIDDEN,
                    "insufficient_scope",
                    "the scope of a new token must not exceed that of your own token; request less, or add a client with more scope",
                )
            }),
            Err(CreateError::Revoked) => Err(Problem::invalid_token(Rejection::Revoked)),
            Err(CreateError::LifeTooLong { longest }) => {
                let seconds = longest.num_seconds();
                Err(Problem::invalid_field("expires_in", "range", format!("must be 1 to {seconds} seconds")))
            }
            Err(CreateError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// `POST /tokens/verify`
    pub async fn verify(&self, request: VerifyToken) -> Result<TokenVerification, Problem> {
        let request = validated(request)?;
        match self.tokens.verify(&request.token).await {
            Ok(verification) => {
                Ok(TokenVerification::from_model(verification, &self.tokens.policy().issuer, self.timezone))
            }
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// `POST /tokens/refresh`
    pub async fn refresh(&self, request: RefreshTokens) -> Result<TokenPair, Problem> {
        let request = validated(request)?;
        match self.tokens.refresh(&request.refresh_token).await {
            Ok(tokens) => Ok(TokenPair::from_model(&tokens, self.timezone)),
            Err(
                refused @ (RefreshError::Unknown
                | RefreshError::Expired
                | RefreshError::Revoked
                | RefreshError::Superseded
                | RefreshError::Reused),
            ) => Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid_grant", format!("{refused}; sign in again"))),
            Err(refused @ RefreshError::OfClient) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "client_required",
                format!("{refused}, which must authenticate; exchange it at POST /oauth2/token"),
            )),
            Err(RefreshError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// `POST /tokens/revoke`
    pub async fn revoke(&self, request: RevokeToken) -> Result<TokenRevoked, Problem> {
        let request = validated(request)?;
        match self.tokens.revoke(&request.token).await {
            Ok(()) => Ok(TokenRevoked::default()),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// `POST /tokens/dummy`. A plain text body needs no preflight, so any page that a developer visits could send it.
    pub async fn register_dummy(
        &self,
        request: CreateDummyToken,
        credentials: &Credentials,
    ) -> Result<DummyTokenPair, Problem> {
        self.callers.check_cookie(credentials)?;
        let typed: DummyText = converted(request)?;
        match self.tokens.register_dummy(&typed).await {
            Ok(issued) => Ok(DummyTokenPair::from_model(&typed, &issued)),
            Err(failure) => Err(failed(&failure)),
        }
    }
}

#[cfg(test)]
mod tests;
