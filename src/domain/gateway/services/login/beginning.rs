//! The begin of an attempt: the browser leaves for the provider.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{LoginParts, LoginService, travelling};
use crate::{
    domain::gateway::{
        models::{
            login::{
                ATTEMPT_LIFE, InvalidLoginHint, InvalidReturnTo, LoginAttempt, LoginHint, LoginState, MAX_SCOPE_BYTES,
                scope_words,
            },
            oauth::{ProviderName, Secret},
        },
        services::{
            Failure,
            oauth::{ConsentRequest, LinkPermit, ProviderError},
        },
    },
    ports::Entropy,
};

/// What an attempt is begun with, as it was sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct BeginRequest<'r> {
    /// Where the browser wants to go in the end.
    pub return_to: Option<&'r str>,
    /// Who is likely to sign in.
    pub login_hint: Option<&'r str>,
    /// What the provider is to do anew.
    pub auth_type: Option<&'r str>,
    /// The scopes to ask for besides those that are set.
    pub scope: Option<&'r str>,
}

/// An attempt that was begun.
pub struct Begun {
    /// Where to send the browser. It holds the state: not for a log.
    pub location: Secret,
    /// Tells the browser's attempts apart.
    pub label: String,
    /// What the browser has to bring back.
    pub sealed: Vec<u8>,
    /// From when on it is void.
    pub expires_at: DateTime<Utc>,
    /// Whether the browser came by another address than the one that is set.
    pub is_elsewhere: bool,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun")
            .field("label", &self.label)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why no attempt was begun.
#[derive(Debug, Error)]
pub enum BeginError {
    /// No such provider is switched on.
    #[error("no provider of this name is switched on")]
    UnknownProvider,
    /// The browser would go somewhere it must not.
    #[error(transparent)]
    ReturnTo(#[from] InvalidReturnTo),
    /// Nobody could be called that.
    #[error(transparent)]
    LoginHint(#[from] InvalidLoginHint),
    /// The provider knows these types and no others.
    #[error("the provider knows no such auth_type")]
    AuthType(&'static [&'static str]),
    /// These scopes may be asked for and no others.
    #[error("the scope is not one that may be asked for")]
    ScopeNotAllowed(Vec<String>),
    /// The provider cannot be used for now.
    #[error(transparent)]
    Provider(ProviderError),
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl LoginService {
    /// Begins an attempt: a state and a nonce of its own, PKCE where the provider has it. With a permit to `link` it is there
    /// to add the provider to that account. A browser that `came_by` another address than the one that is set returns to that.
    pub async fn begin(
        &self,
        provider: &str,
        request: BeginRequest<'_>,
        link: Option<LinkPermit>,
        came_by: Option<&str>,
    ) -> Result<Begun, BeginError> {
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
        let by_form = provider.answers_by_form(&more_scopes);
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

    /// Begins the attempt that follows one which brought no refresh token: the same, and the person is asked for their consent.
    pub(super) async fn begin_again(
        &self,
        finished: &LoginAttempt,
        request: ConsentRequest,
    ) -> Result<Begun, BeginError> {
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

    /// Makes the state of an attempt, and with it what the browser is sent away with.
    async fn leave(
        &self,
        attempt: &LoginAttempt,
        login_hint: Option<LoginHint>,
        auth_type: Option<&'static str>,
    ) -> Result<Begun, BeginError> {
        let LoginParts { oauth, sealer, entropy, .. } = &self.parts;
        let state = LoginState::from_random(entropy.bytes());
        let location = oauth.authorize_url(attempt, &state, login_hint, auth_type).await;
        Ok(Begun {
            location: location.map_err(BeginError::Provider)?,
            label: state.label(),
            sealed: travelling::sealed(&**sealer, attempt, &state)?,
            expires_at: attempt.expires_at,
            is_elsewhere: attempt.callback.is_some(),
        })
    }
}

/// 256 random bits in lower-case hexadecimal. Naver gives a nonce back without an `A` at its end, as base64 has in one of sixteen.
fn random_nonce(entropy: &dyn Entropy) -> Secret {
    let [high, low] = [entropy.bytes(), entropy.bytes()].map(u128::from_be_bytes);
    Secret::new(format!("{high:032x}{low:032x}"))
}

/// 256 random bits in 43 letters: a code verifier (RFC 7636 §4.1).
fn random_secret(entropy: &dyn Entropy) -> Secret {
    Secret::new(LoginState::from_random(entropy.bytes()).expose())
}

/// The type, if the provider knows it.
fn auth_type(wanted: &str, known: &'static [&'static str]) -> Result<&'static str, BeginError> {
    known.iter().copied().find(|known| *known == wanted).ok_or(BeginError::AuthType(known))
}

/// The scopes, if each may be asked for.
fn allowed_scopes(wanted: &str, allowed: &[String]) -> Result<Vec<String>, BeginError> {
    let mut seen = BTreeSet::new();
    let words: Vec<_> = scope_words(wanted).filter(|word| seen.insert(*word)).map(str::to_owned).collect();
    let good = !words.is_empty() && wanted.len() <= MAX_SCOPE_BYTES && words.iter().all(|word| allowed.contains(word));
    if good { Ok(words) } else { Err(BeginError::ScopeNotAllowed(allowed.to_vec())) }
}
