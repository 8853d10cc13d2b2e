//! The OAuth vault: schema → service → schema.

use std::{iter, net::IpAddr, sync::Arc};

use chrono_tz::Tz;
use http::StatusCode;

use super::{
    account::control,
    caller::{Callers, Credentials},
    failed,
    provider::{not_admitted, reason},
};
use crate::{
    domain::gateway::{
        models::{
            access::Denied,
            account::Password,
            oauth::GrantQuery,
            values::{id::GrantId, secret::Secret},
        },
        schemas::{
            converted,
            oauth::{
                ExchangeCode, ListGrants, OAuthGrant, OAuthGrantDeleted, OAuthGrants, OAuthProvider, OAuthProviders,
            },
            validated,
        },
        services::{
            account::{AccountService, PurposeError},
            oauth::{
                ExchangeError, ExchangePurpose, ExchangeRequest, GrantError, OAuthService, OpenGrant, Provider,
                ProviderError,
            },
        },
    },
    problem::{FieldError, Problem},
};

/// The endpoints of the vault.
#[derive(Clone)]
pub struct OAuthController {
    vault: Arc<OAuthService>,
    accounts: AccountService,
    callers: Arc<Callers>,
    timezone: Tz,
}

impl OAuthController {
    /// Times are written with the offset of `timezone`.
    pub fn new(vault: Arc<OAuthService>, accounts: AccountService, callers: Arc<Callers>, timezone: Tz) -> Self {
        Self { vault, accounts, callers, timezone }
    }

    /// `GET /oauth/providers`
    pub fn providers(&self) -> OAuthProviders {
        let provider = |provider: &Arc<dyn Provider>| OAuthProvider {
            name: provider.name().to_string(),
            sign_in: format!("/login/{}", provider.name()),
            display_name: provider.display_name().to_owned(),
        };
        OAuthProviders { providers: self.vault.providers().map(provider).collect() }
    }

    /// `POST /oauth`
    pub async fn exchange(
        &self,
        request: ExchangeCode,
        credentials: &Credentials,
        client: Option<IpAddr>,
    ) -> Result<OAuthGrant, Problem> {
        let request = validated(request)?;
        let purpose = self.purpose(credentials, request.password, client).await?;
        let lacks_verifier = request.code_verifier.is_none() && self.uses_pkce(&request.provider);
        let request = ExchangeRequest {
            provider: request.provider,
            code: Secret::new(request.code),
            redirect_uri: request.redirect_uri,
            code_verifier: request.code_verifier.map(Secret::new),
            nonce: request.nonce.map(Secret::new),
            state: request.state.map(Secret::new),
            client,
        };
        match self.vault.exchange(request, purpose).await {
            Ok(exchanged) => {
                let OpenGrant { grant, tokens } = &exchanged.open;
                let (signed_in, now) = (exchanged.signed_in.as_ref(), self.vault.now());
                Ok(OAuthGrant::from_model(grant, tokens, signed_in, now, self.timezone))
            }
            Err(ExchangeError::UnknownProvider) => Err(Problem::invalid_field(
                "provider",
                "unknown_provider",
                "must be an enabled provider; GET /oauth/providers lists them",
            )),
            Err(ExchangeError::Unbound) => Err(Problem::invalid_field(
                "provider",
                "unbound_codes",
                "must be a provider with PKCE or a nonce, because nothing else distinguishes your code from one of a sign-in at /login; \
                 sign in at /login/{provider}. The operator may set <PROVIDER>_PKCE=on if the provider supports it, or \
                 <PROVIDER>_UNBOUND_CODES=accept to rely on the provider's comparison of redirect URIs",
            )),
            Err(ExchangeError::NoRedirectUris) => Err(Problem::invalid_field(
                "redirect_uri",
                "not_configured",
                "no redirect URI is registered here, so no code can be exchanged; the operator must set OAUTH_REDIRECT_URIS",
            )),
            Err(ExchangeError::RedirectUri) => Err(Problem::invalid_field(
                "redirect_uri",
                "unregistered",
                "must be exactly one of OAUTH_REDIRECT_URIS; codes that were sent to the gateway's own callback are redeemed only \
                 there",
            )),
            Err(ExchangeError::NonceMissing) => {
                let verifier = lacks_verifier.then(verifier_missing);
                Err(Problem::invalid_fields(iter::once(nonce_missing()).chain(verifier).collect()))
            }
            Err(ExchangeError::VerifierMissing) => Err(Problem::invalid_fields(vec![verifier_missing()])),
            Err(ExchangeError::NotLinked) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "identity_not_linked",
                "this identity at the provider does not belong to your account; to add it, send a new code with a browser's session \
                 instead of a token, and with the `password` if the account has one, or open /login/{provider}/link",
            )),
            Err(ExchangeError::LinkedElsewhere) => Err(Problem::new(
                StatusCode::CONFLICT,
                "linked_elsewhere",
                "this identity at the provider belongs to another account",
            )),
            Err(ExchangeError::TooMany(too_many)) => Err(control::too_many_attempts(too_many)),
            Err(ExchangeError::AccountEnded) => Err(Problem::new(
                StatusCode::CONFLICT,
                "account_ended",
                "the account was deleted, or this provider was unlinked from it, during the exchange; get a new code and sign in again",
            )),
            Err(ExchangeError::Provider(error)) => Err(not_exchanged(&error)),
            Err(ExchangeError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// Whether this is an enabled provider that requires a code verifier.
    fn uses_pkce(&self, provider: &str) -> bool {
        self.vault.providers().any(|known| known.name().as_str() == provider && known.uses_pkce())
    }

    /// The purpose of an exchange.
    async fn purpose(
        &self,
        credentials: &Credentials,
        password: Option<String>,
        client: Option<IpAddr>,
    ) -> Result<ExchangePurpose, Problem> {
        let caller = self.callers.identify(credentials).await?;
        if caller.is_none() {
            self.callers.check_host(credentials)?;
        }
        let purpose = self.accounts.exchange_purpose(caller, password.map(Password::presented), client).await;
        purpose.map_err(|error| match error {
            PurposeError::Control(error) => control::refused(error, "password"),
            PurposeError::NoAccount => Problem::new(
                StatusCode::CONFLICT,
                "no_account",
                "your token does not belong to a person who signed in, so there is no account for this grant; call without a token to \
                 sign in",
            ),
        })
    }

    /// `GET /oauth`
    pub async fn list(&self, credentials: &Credentials, query: ListGrants) -> Result<OAuthGrants, Problem> {
        let caller = self.callers.required(credentials).await?;
        let query: GrantQuery = converted(query)?;
        match self.vault.list(&caller, query).await {
            Ok(page) => Ok(OAuthGrants::from_model(&page, self.timezone)),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// `GET /oauth/{id}`
    pub async fn open(&self, credentials: &Credentials, id: &str) -> Result<OAuthGrant, Problem> {
        let caller = self.callers.required(credentials).await?;
        self.shown(self.vault.open(&caller, grant_id(id)?).await)
    }

    /// `POST /oauth/{id}/refresh`
    pub async fn refresh(&self, credentials: &Credentials, id: &str) -> Result<OAuthGrant, Problem> {
        let caller = self.callers.required(credentials).await?;
        self.shown(self.vault.refresh(&caller, grant_id(id)?).await)
    }

    /// `DELETE /oauth/{id}`
    pub async fn delete(&self, credentials: &Credentials, id: &str) -> Result<OAuthGrantDeleted, Problem> {
        let caller = self.callers.required(credentials).await?;
        match self.vault.delete(&caller, grant_id(id)?).await {
            Ok(deletion) => Ok(OAuthGrantDeleted {
                revoked_at_provider: deletion.not_revoked.is_none(),
                reason: deletion.not_revoked.as_ref().map(reason),
            }),
            Err(error) => Err(refused(error)),
        }
    }

    fn shown(&self, outcome: Result<OpenGrant, GrantError>) -> Result<OAuthGrant, Problem> {
        let OpenGrant { grant, tokens } = outcome.map_err(refused)?;
        Ok(OAuthGrant::from_model(&grant, &tokens, None, self.vault.now(), self.timezone))
    }
}

/// An invalid id names no grant.
fn grant_id(text: &str) -> Result<GrantId, Problem> {
    text.parse().map_err(|_| refused(GrantError::NotFound))
}

fn refused(error: GrantError) -> Problem {
    match error {
        GrantError::NotFound => Problem::new(
            StatusCode::NOT_FOUND,
            "grant_not_found",
            "you have no grant with this id; GET /oauth lists yours",
        ),
        GrantError::ScopeMissing(scope) => Problem::denied(Denied::ScopeMissing(scope)),
        GrantError::ReauthorizationRequired => Problem::new(
            StatusCode::CONFLICT,
            "reauthorization_required",
            "the provider no longer renews this grant; the person must sign in there again",
        ),
        GrantError::NothingNewer => Problem::new(
            StatusCode::CONFLICT,
            "nothing_to_refresh",
            "the provider issues no newer token for this grant, and the current one is still valid; read it with GET",
        ),
        GrantError::TakenBack => Problem::new(
            StatusCode::CONFLICT,
            "reauthorization_required",
            "the person revoked this grant at the provider; it is valid again when they sign in there again",
        ),
        GrantError::Provider(error) => provider_failed(&error),
        GrantError::Busy => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "refresh_in_progress",
            "another refresh of this grant is in progress; try again shortly",
        ),
        GrantError::Failed(failure) => failed(&failure),
    }
}

fn nonce_missing() -> FieldError {
    let why = "is required, because the provider supports OpenID Connect; send the nonce of the authorization request";
    FieldError::new("nonce", "required", why)
}

fn verifier_missing() -> FieldError {
    let why = "is required, because the provider supports PKCE; send the verifier of the authorization request's code_challenge";
    FieldError::new("code_verifier", "required", why)
}

/// The reason why a provider did not exchange a code.
fn not_exchanged(error: &ProviderError) -> Problem {
    match error {
        ProviderError::InvalidGrant { code } | ProviderError::Refused { code } => Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            format!(
                "the provider refuses the code ({code}): it was used before or has expired, or the code_verifier or the redirect_uri is \
                 not that of its authorization request; get a new code and try again"
            ),
        ),
        ProviderError::NonceMismatch => Problem::new(
            StatusCode::BAD_REQUEST,
            "nonce_mismatch",
            "the `nonce` must be that of the authorization request for this code; get a new code, because this one is used up",
        ),
        ProviderError::NotAdmitted(rule) => {
            tracing::warn!(%error, "a code could not be exchanged");
            Problem::new(StatusCode::FORBIDDEN, rule.code(), not_admitted(*rule).en)
        }
        ProviderError::Misconfigured { .. }
        | ProviderError::Unavailable(_)
        | ProviderError::Throttled(_)
        | ProviderError::BadResponse(_)
        | ProviderError::NoIdToken { .. }
        | ProviderError::Unsupported => {
            tracing::warn!(%error, "a code could not be exchanged");
            provider_failed(error)
        }
    }
}

/// The problem for a caller when a provider fails a request for a grant.
fn provider_failed(error: &ProviderError) -> Problem {
    let (status, code) = match error {
        ProviderError::Misconfigured { .. }
        | ProviderError::Refused { .. }
        | ProviderError::Unavailable(_)
        | ProviderError::Throttled(_) => (StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable"),
        ProviderError::BadResponse(_) | ProviderError::NonceMismatch => {
            (StatusCode::BAD_GATEWAY, "provider_bad_answer")
        }
        ProviderError::NoIdToken { .. } => (StatusCode::BAD_GATEWAY, "id_token_missing"),
        ProviderError::NotAdmitted(rule) => (StatusCode::FORBIDDEN, rule.code()),
        ProviderError::Unsupported => (StatusCode::CONFLICT, "unsupported_by_provider"),
        ProviderError::InvalidGrant { .. } => (StatusCode::CONFLICT, "reauthorization_required"),
    };
    Problem::new(status, code, reason(error))
}
