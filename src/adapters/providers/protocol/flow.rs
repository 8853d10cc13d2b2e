//! The requests of OAuth 2.0 that are the same at every provider (RFC 6749, 7009, 7636).

use std::{borrow::Cow, sync::Arc};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use reqwest::{
    IntoUrl, RequestBuilder,
    header::{ACCEPT, AUTHORIZATION, HeaderValue},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::{
    client_secret::ClientSecrets,
    error_codes::{ErrorReader, no_error, registered_error},
    http::Http,
    response,
};
use crate::{
    domain::gateway::{
        models::{
            login::scope_words,
            oauth::{ProviderName, ProviderTokens},
            provider::{Prompt, ProviderSettings},
            values::secret::Secret,
        },
        services::ports::{AuthorizationRequest, CodeExchange, ProviderError},
    },
    ports::Clock,
};

/// How an endpoint authenticates us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters::providers) enum ClientAuth {
    /// `client_id` and `client_secret` in the form.
    Form,
    /// HTTP Basic.
    Basic,
    /// Not at all.
    Nothing,
}

/// Whether the revocation request names the kind of token (RFC 7009 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters::providers) enum TokenTypeHint {
    /// It does.
    Sent,
    /// The provider finds out by itself.
    Omitted,
}

/// Our registration at a provider, and the client to call it with.
pub(in crate::adapters::providers) struct Flow {
    pub(in crate::adapters::providers) settings: ProviderSettings,
    pub(in crate::adapters::providers) http: Arc<Http>,
    pub(in crate::adapters::providers) clock: Arc<dyn Clock>,
    error_of: ErrorReader,
    /// For a provider that needs a new client secret for each request.
    client_secrets: Option<ClientSecrets>,
}

impl Flow {
    pub(in crate::adapters::providers) fn new(
        settings: ProviderSettings,
        http: Arc<Http>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { settings, http, clock, error_of: registered_error, client_secrets: None }
    }

    /// For a provider with error codes of its own.
    pub(in crate::adapters::providers) fn with_errors(self, error_of: ErrorReader) -> Self {
        Self { error_of, ..self }
    }

    /// For a provider that needs a new client secret for each request.
    pub(in crate::adapters::providers) fn with_client_secrets(self, client_secrets: ClientSecrets) -> Self {
        Self { client_secrets: Some(client_secrets), ..self }
    }

    fn client_secret(&self) -> Result<Cow<'_, Secret>, ProviderError> {
        match &self.client_secrets {
            Some(client_secrets) => client_secrets.secret(self.clock.now()).map(Cow::Owned),
            None => Ok(Cow::Borrowed(&self.settings.client_secret)),
        }
    }

    pub(in crate::adapters::providers) fn name(&self) -> &ProviderName {
        &self.settings.name
    }

    /// The URL for the browser. The query of the endpoint's own URL stays, and takes precedence. The settings and
    /// [`Metadata`](crate::adapters::providers::oidc::Metadata) ensure that it contains none of the parameters that
    /// bind the request.
    pub(in crate::adapters::providers) fn authorize_url(
        &self,
        endpoint: &Url,
        request: &AuthorizationRequest,
        more: &[(&str, &str)],
    ) -> String {
        let scope = scope(&self.settings.scopes, &request.more_scopes);
        let challenge = request.code_verifier.as_ref().map(s256);
        let prompt = match (&self.settings.prompt, request.consent) {
            (Prompt::Always(words), _) => Some(words.as_str()),
            (Prompt::WhenNeeded, true) => Some("consent"),
            (Prompt::WhenNeeded, false) | (Prompt::Never, _) => None,
        };
        let mut ours = vec![
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &request.redirect_uri),
            ("state", request.state.expose()),
        ];
        ours.extend(Some(("scope", scope.as_str())).filter(|(_, scope)| !scope.is_empty()));
        if let Some(challenge) = &challenge {
            ours.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
        }
        ours.extend(prompt.map(|words| ("prompt", words)));
        ours.extend(request.auth_type.map(|auth_type| ("auth_type", auth_type)));
        ours.extend(more);
        ours.retain(|(name, _)| endpoint.query_pairs().all(|(theirs, _)| theirs != *name));
        let mut url = endpoint.clone();
        url.query_pairs_mut().extend_pairs(ours);
        url.into()
    }

    /// Exchanges a code (RFC 6749 §4.1.3). `more` holds the provider's additional parameters.
    pub(in crate::adapters::providers) async fn exchange(
        &self,
        endpoint: &Url,
        auth: ClientAuth,
        exchange: &CodeExchange,
        more: &[(&str, &str)],
    ) -> Result<ProviderTokens, ProviderError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", exchange.code.expose()),
            ("redirect_uri", &exchange.redirect_uri),
        ];
        form.extend(exchange.code_verifier.as_ref().map(|verifier| ("code_verifier", verifier.expose())));
        form.extend(more);
        self.token(endpoint, auth, form).await
    }

    /// Obtains the next access token (RFC 6749 §6). An id token in the response is unverified and is dropped.
    pub(in crate::adapters::providers) async fn refresh(
        &self,
        endpoint: &Url,
        auth: ClientAuth,
        tokens: &ProviderTokens,
    ) -> Result<ProviderTokens, ProviderError> {
        let refresh_token = tokens.refresh_token.as_ref().ok_or(ProviderError::Unsupported)?;
        let form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let response = self.token(endpoint, auth, form).await?;
        Ok(ProviderTokens { id_token: None, ..response })
    }

    /// Sends a request to a token endpoint.
    pub(in crate::adapters::providers) async fn token(
        &self,
        endpoint: &Url,
        auth: ClientAuth,
        form: Vec<(&str, &str)>,
    ) -> Result<ProviderTokens, ProviderError> {
        let asked_at = self.clock.now();
        let body = self.form(endpoint, auth, form).await?;
        response::tokens(&body, asked_at)
    }

    /// Revokes a token (RFC 7009): the refresh token if there is one, because its access tokens end with it.
    pub(in crate::adapters::providers) async fn revoke(
        &self,
        endpoint: &Url,
        auth: ClientAuth,
        tokens: &ProviderTokens,
        hint: TokenTypeHint,
    ) -> Result<(), ProviderError> {
        let (token, kind) = match &tokens.refresh_token {
            Some(refresh_token) => (refresh_token, "refresh_token"),
            None => (&tokens.access_token, "access_token"),
        };
        let mut form = vec![("token", token.expose())];
        if hint == TokenTypeHint::Sent {
            form.push(("token_type_hint", kind));
        }
        match self.form(endpoint, auth, form).await {
            // The body of a successful response does not matter (§2.2).
            Ok(_) => Ok(()),
            // Some report an unknown token, where the standard has no error (§2.2).
            Err(ProviderError::Refused { code }) if code == "invalid_token" => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// An access token that has not expired, for a provider that revokes grants by that alone.
    pub(in crate::adapters::providers) async fn living_access_token(
        &self,
        endpoint: &Url,
        auth: ClientAuth,
        tokens: &ProviderTokens,
    ) -> Result<Secret, ProviderError> {
        let expired = tokens.expires_at.is_some_and(|at| at <= self.clock.now());
        if expired && tokens.refresh_token.is_some() {
            return self.refresh(endpoint, auth, tokens).await.map(|fresh| fresh.access_token);
        }
        Ok(tokens.access_token.clone())
    }

    /// Sends a form with our credentials.
    pub(in crate::adapters::providers) async fn form(
        &self,
        endpoint: &Url,
        auth: ClientAuth,
        mut form: Vec<(&str, &str)>,
    ) -> Result<Value, ProviderError> {
        let client_secret = self.client_secret()?;
        let secrets: Vec<_> = form
            .iter()
            .filter(|(name, _)| !matches!(*name, "grant_type" | "redirect_uri" | "client_id" | "token_type_hint"))
            .map(|(_, value)| *value)
            .chain([client_secret.expose()])
            .collect();
        let mut request = self.http.client()?.post(endpoint.clone());
        match auth {
            ClientAuth::Form => form
                .extend([("client_id", self.settings.client_id.as_str()), ("client_secret", client_secret.expose())]),
            ClientAuth::Basic => request = request.header(AUTHORIZATION, self.basic()?),
            ClientAuth::Nothing => {}
        }
        self.send(request.form(&form), &secrets).await
    }

    /// Sends a request that carries an access token.
    pub(in crate::adapters::providers) async fn with_token(
        &self,
        request: RequestBuilder,
        access_token: &Secret,
    ) -> Result<Value, ProviderError> {
        let request = request.header(AUTHORIZATION, sensitive("Bearer ", access_token.expose())?);
        self.send(request, &[access_token.expose(), self.settings.client_secret.expose()]).await
    }

    /// Requests the person's identity or similar data.
    pub(in crate::adapters::providers) async fn get(
        &self,
        url: &Url,
        access_token: &Secret,
    ) -> Result<Value, ProviderError> {
        self.with_token(self.http.client()?.get(url.clone()), access_token).await
    }

    /// Fetches a document that belongs to no grant.
    pub(in crate::adapters::providers) async fn document(
        &self,
        url: impl IntoUrl + Send,
    ) -> Result<Value, ProviderError> {
        self.send_reading(self.http.client()?.get(url), &[], no_error).await
    }

    /// Sends a request. All responses must be JSON.
    pub(in crate::adapters::providers) async fn send(
        &self,
        request: RequestBuilder,
        secrets: &[&str],
    ) -> Result<Value, ProviderError> {
        self.send_reading(request, secrets, self.error_of).await
    }

    /// Sends a request to an endpoint with error meanings of its own.
    pub(in crate::adapters::providers) async fn send_reading(
        &self,
        request: RequestBuilder,
        secrets: &[&str],
        error_of: ErrorReader,
    ) -> Result<Value, ProviderError> {
        let pairs = [self.pair(str::to_owned), self.pair(form_encoded)];
        let secrets: Vec<_> = secrets.iter().copied().chain(pairs.iter().map(String::as_str)).collect();
        self.http.send(request.header(ACCEPT, "application/json"), &secrets, error_of).await
    }

    /// HTTP Basic as in RFC 6749 §2.3.1: both halves are form-encoded first.
    pub(in crate::adapters::providers) fn basic(&self) -> Result<HeaderValue, ProviderError> {
        sensitive("Basic ", &STANDARD.encode(self.pair(form_encoded)))
    }

    /// The client id and the client secret, both form-encoded.
    fn pair(&self, written: fn(&str) -> String) -> String {
        format!("{}:{}", written(&self.settings.client_id), written(self.settings.client_secret.expose()))
    }

    /// Optional data: without it the sign-in continues.
    pub(in crate::adapters::providers) fn if_any<T>(
        &self,
        wanted: &str,
        outcome: Result<T, ProviderError>,
    ) -> Option<T> {
        let provider = self.name().as_str();
        outcome.inspect_err(|error| tracing::warn!(provider, %error, "the provider does not send the {wanted}")).ok()
    }
}

/// The outcome of a revocation. A grant that the provider does not know counts as revoked.
pub(in crate::adapters::providers) fn revoked(outcome: Result<(), ProviderError>) -> Result<(), ProviderError> {
    match outcome {
        Err(ProviderError::InvalidGrant { .. }) => Ok(()),
        outcome => outcome,
    }
}

/// The scopes, separated as in the setting: by commas if it contains one, else by blanks.
fn scope(usual: &str, more: &[String]) -> String {
    let separator = if usual.contains(',') { "," } else { " " };
    let more = more.iter().map(String::as_str).filter(|word| scope_words(usual).all(|known| known != *word));
    Some(usual).filter(|usual| !usual.is_empty()).into_iter().chain(more).collect::<Vec<_>>().join(separator)
}

fn form_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A header value that is never printed.
fn sensitive(scheme: &str, credentials: &str) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::from_str(&format!("{scheme}{credentials}"))
        .map_err(|_| ProviderError::BadResponse("a token cannot be sent in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The challenge of a verifier (RFC 7636 §4.2).
fn s256(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(s256(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn more_scopes_are_written_as_the_setting_is_and_no_word_twice() {
        let with =
            |usual: &str, more: &[&str]| scope(usual, &more.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(with("openid email", &["calendar", "email"]), "openid email calendar");
        assert_eq!(
            with("account_email,profile_nickname", &["gender", "age_range"]),
            "account_email,profile_nickname,gender,age_range"
        );
        assert_eq!((with("", &["a", "b"]), with("a, b", &[])), ("a b".to_owned(), "a, b".to_owned()));
    }

    #[test]
    fn a_header_with_a_token_does_not_print() {
        assert!(!format!("{:?}", sensitive("Bearer ", "s3cret").unwrap()).contains("s3cret"));
        assert!(sensitive("Bearer ", "a\nb").is_err());
    }
}
