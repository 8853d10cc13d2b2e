//! The one HTTP client for providers. It classifies responses: success, a refusal, or a temporary failure.

use std::{sync::OnceLock, time::Duration};

use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::Value;

use super::error_codes::{ErrorReader, ErrorResponse, Fault};
use crate::{adapters::providers::NoHttpClient, domain::gateway::services::ports::ProviderError};

/// Limits for a response.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters::providers) struct Limits {
    pub(in crate::adapters::providers) connect: Duration,
    /// From the first byte sent to the last byte received.
    pub(in crate::adapters::providers) whole: Duration,
    pub(in crate::adapters::providers) body: usize,
}

impl Limits {
    pub(in crate::adapters::providers) const USUAL: Self =
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(10), body: 1024 * 1024 };
}

/// The HTTP client for providers.
pub(in crate::adapters::providers) struct Http {
    /// Created on first use.
    client: OnceLock<Result<Client, NoHttpClient>>,
    limits: Limits,
}

impl Http {
    pub(in crate::adapters::providers) fn new(limits: Limits) -> Self {
        Self { client: OnceLock::new(), limits }
    }

    /// Creates the client unless it exists.
    pub(in crate::adapters::providers) fn prepare(&self) -> Result<(), NoHttpClient> {
        self.made().as_ref().map(|_| ()).map_err(Clone::clone)
    }

    pub(in crate::adapters::providers) fn client(&self) -> Result<&Client, ProviderError> {
        self.made().as_ref().map_err(|error| ProviderError::Unavailable(error.to_string()))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the only client for providers")]
    fn made(&self) -> &Result<Client, NoHttpClient> {
        self.client.get_or_init(|| {
            let client = Client::builder()
                .redirect(Policy::none())
                .referer(false)
                .no_proxy()
                .connect_timeout(self.limits.connect)
                .timeout(self.limits.whole)
                .user_agent(concat!("gateway/", env!("CARGO_PKG_VERSION")))
                .build();
            client.map_err(|error| NoHttpClient(error.to_string()))
        })
    }

    /// Sends a request and returns the JSON of a successful response; `Null` if it has none. `secrets` are the secrets
    /// in the request: no error may show them, even if the provider echoes them.
    pub(in crate::adapters::providers) async fn send(
        &self,
        request: RequestBuilder,
        secrets: &[&str],
        error_of: ErrorReader,
    ) -> Result<Value, ProviderError> {
        let response = request.send().await.map_err(|error| ProviderError::Unavailable(fault(&error).to_owned()))?;
        let status = response.status();
        let asks_for_patience = status.is_client_error() && asks_for_patience(response.headers());
        let body = self.body(response).await?;
        let body: Option<Value> = if body.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&body).ok() };
        let error = error_of(status, body.as_ref().unwrap_or(&Value::Null));
        let by_status = format!("http_{}", status.as_u16());
        let named = |error: Option<ErrorResponse>| {
            error
                .filter(|error| error.fault == Fault::Provider)
                .map_or_else(|| by_status.clone(), |error| error.clean(secrets))
        };
        if status == StatusCode::TOO_MANY_REQUESTS || asks_for_patience {
            return Err(ProviderError::Throttled(named(error)));
        }
        if status.is_server_error() {
            return Err(ProviderError::Unavailable(named(error)));
        }
        if let Some(error) = error {
            return Err(error.into_provider_error(secrets));
        }
        match status.as_u16() {
            200..=299 => body.ok_or_else(|| ProviderError::BadResponse("it is not JSON".to_owned())),
            400 | 401 | 403 => Err(ProviderError::Refused { code: by_status }),
            408 | 425 => Err(ProviderError::Unavailable(by_status)),
            other => Err(ProviderError::BadResponse(format!("its status is {other}"))),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ProviderError> {
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| ProviderError::Unavailable(fault(&error).to_owned()))?
        {
            if body.len() + chunk.len() > self.limits.body {
                return Err(ProviderError::Unavailable("its response is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// GitHub sends 403 where it means 429.
fn asks_for_patience(headers: &HeaderMap) -> bool {
    headers.contains_key(RETRY_AFTER) || headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0")
}

/// The kind of a transport error. The error's own text names the URL, and so perhaps a secret.
fn fault(error: &reqwest::Error) -> &'static str {
    if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no response in time"
    } else {
        "the connection broke"
    }
}
