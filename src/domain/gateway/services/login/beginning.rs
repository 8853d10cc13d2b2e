//! The beginning of an attempt: the browser leaves for the provider.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{LoginParts, LoginService, sealed_state};
use crate::{
    domain::gateway::{
        models::{
            login::{
                ATTEMPT_LIFE, InvalidLoginHint, InvalidReturnTo, LoginAttempt, LoginHint, LoginState, MAX_SCOPE_BYTES,
                scope_words,
            },
            oauth::ProviderName,
            values::secret::Secret,
        },
        services::{
            Failure,
            oauth::{ConsentRequest, LinkPermit, ProviderError},
        },
    },
    ports::Entropy,
};

/// A request to begin an attempt, as it was sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct BeginRequest<'r> {
    /// Where the browser goes at the end.
    pub return_to: Option<&'r str>,
    /// The person who is likely to sign in.
    pub login_hint: Option<&'r str>,
    /// What the provider is to do anew.
    pub auth_type: Option<&'r str>,
    /// The additional scopes to request.
    pub scope: Option<&'r str>,
}

/// An attempt that has begun.
pub struct AuthorizationRedirect {
    /// The URL to send the browser to. It contains the state: must not be logged.
    pub location: Secret,
    /// Distinguishes the browser's attempts.
    pub label: String,
    /// The sealed attempt that the browser has to bring back.
    pub sealed: Vec<u8>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// Whether the browser used another address than the configured one.
    pub is_elsewhere: bool,
}

impl fmt::Debug for AuthorizationRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRedirect")
            .field("label", &self.label)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The reason why no attempt was begun.
#[derive(Debug, Error)]
pub enum BeginError {
    /// The provider is not enabled.
    #[error("the provider is unknown or not enabled")]
    UnknownProvider,
    /// The browser must not be sent to that address.
    #[error(transparent)]
    ReturnTo(#[from] InvalidReturnTo),
    /// The login hint is invalid.
    #[error(transparent)]
    LoginHint(#[from] InvalidLoginHint),
    /// The provider supports only these types.
    #[error("the provider does not support this auth_type")]
    AuthType(&'static [&'static str]),
    /// These scopes may not be requested.
    #[error("the scope may not be requested")]
    ScopeNotAllowed(Vec<String>),
    /// The provider cannot be used for now.
    #[error(transparent)]
    Provider(ProviderError),
    /// An internal failure.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl LoginService {
    /// Begins an attempt with a new state and nonce, and PKCE if the provider supports it. With the permit `link`, the
    /// attempt links the provider to that account. A browser that `came_by` another address than the configured one
    /// returns to that address.
    pub async fn begin(
        &self,
        provider: &str,
        request: BeginRequest<'_>,
        link: Option<LinkPermit>,
        came_by: Option<&str>,
    ) -> Result<AuthorizationRedirect, BeginError> {
        let return_to = self.return_to(request.return_to)?;
        let name: ProviderName = provider.parse().map_err(|_| BeginError::UnknownProvider)?;
        let provider = self.parts.oauth.provider(&name).ok_or(BeginError::UnknownProvider)?;
        let login_hint = request.login_hint.map(LoginHint::parse).transpose()?;
        let auth_type = request.auth_type.map(|wanted| auth_type(wanted, provider.auth_types())).transpose()?;
        let more_scopes = match request.scope {
            Some(scope) => allowed_scopes(scope, self.parts.oauth.more_scopes(&name))?,
            None => Vec::new(),
        };
        let LoginParts { clock, entropy, .. } = &self.parts;
        let by_form = provider.responds_by_form(&more_scopes);
        let attempt = LoginAttempt {
            callback: came_by.map(|base| format!("{base}/login/{name}/callback")),
            provider: name,
            code_verifier: provider.uses_pkce().then(|| random_secret(&**entropy)),
            nonce: random_nonce(&**entropy),
            return_to,
            link: link.map(|permit| permit.session()),
            more_scopes,
            consent: false,
            by_form,
            expires_at: clock.now() + ATTEMPT_LIFE,
        };
        self.leave(&attempt, login_hint, auth_type).await
    }

    /// Begins the attempt that follows one without a refresh token: the same attempt, and the person is asked for
    /// consent.
    pub(super) async fn begin_again(
        &self,
        finished: &LoginAttempt,
        request: ConsentRequest,
    ) -> Result<AuthorizationRedirect, BeginError> {
        let LoginParts { clock, entropy, .. } = &self.parts;
        let attempt = LoginAttempt {
            code_verifier: finished.code_verifier.as_ref().map(|_| random_secret(&**entropy)),
            nonce: random_nonce(&**entropy),
            consent: true,
            expires_at: clock.now() + ATTEMPT_LIFE,
            ..finished.clone()
        };
        self.leave(&attempt, request.login_hint, None).await
    }

    /// Creates an attempt's state, and what the browser takes with it.
    async fn leave(
        &self,
        attempt: &LoginAttempt,
        login_hint: Option<LoginHint>,
        auth_type: Option<&'static str>,
    ) -> Result<AuthorizationRedirect, BeginError> {
        let LoginParts { oauth, sealer, entropy, .. } = &self.parts;
        let state = LoginState::from_random(entropy.bytes());
        let location = oauth.authorize_url(attempt, &state, login_hint, auth_type).await;
        Ok(AuthorizationRedirect {
            location: location.map_err(BeginError::Provider)?,
            label: state.label(),
            sealed: sealed_state::sealed(&**sealer, attempt, &state)?,
            expires_at: attempt.expires_at,
            is_elsewhere: attempt.callback.is_some(),
        })
    }
}

/// 256 random bits in lower-case hexadecimal. Naver drops an `A` at the end of a nonce; one of sixteen base64 texts
/// ends with it.
fn random_nonce(entropy: &dyn Entropy) -> Secret {
    let [high, low] = [entropy.bytes(), entropy.bytes()].map(u128::from_be_bytes);
    Secret::new(format!("{high:032x}{low:032x}"))
}

/// 256 random bits in 43 letters: a code verifier (RFC 7636 §4.1).
fn random_secret(entropy: &dyn Entropy) -> Secret {
    Secret::new(LoginState::from_random(entropy.bytes()).expose())
}

/// The type, if the provider supports it.
fn auth_type(wanted: &str, known: &'static [&'static str]) -> Result<&'static str, BeginError> {
    known.iter().copied().find(|known| *known == wanted).ok_or(BeginError::AuthType(known))
}

/// The scopes, if all of them are allowed.
fn allowed_scopes(wanted: &str, allowed: &[String]) -> Result<Vec<String>, BeginError> {
    let mut seen = BTreeSet::new();
    let words: Vec<_> = scope_words(wanted).filter(|word| seen.insert(*word)).map(str::to_owned).collect();
    let good = !words.is_empty() && wanted.len() <= MAX_SCOPE_BYTES && words.iter().all(|word| allowed.contains(word));
    if good { Ok(words) } else { Err(BeginError::ScopeNotAllowed(allowed.to_vec())) }
}
