//! Providers: where people sign in. One file per family of quirks; what is the same everywhere is in `flow` (the requests
//! of OAuth 2.0), `http` (the one client, and what an answer means), `answer` (lenient JSON), `id_token` and `kept`
//! (OpenID Connect).

mod answer;
mod facebook;
mod flow;
mod github;
mod google;
mod http;
mod id_token;
mod jwks;
mod kakao;
mod kept;
mod naver;
mod oidc;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use thiserror::Error;

use self::{
    facebook::Facebook,
    flow::Flow,
    github::GitHub,
    http::{Http, Limits},
    kakao::Kakao,
    naver::Naver,
    oidc::Oidc,
};
use crate::{
    domain::gateway::{
        models::provider::{ProviderKind, ProviderSettings},
        services::ports::Provider,
    },
    ports::Clock,
};

/// The HTTP client could not be made, for want of root certificates for instance.
#[derive(Debug, Error)]
#[error("the HTTP client for providers cannot be made: {0}")]
pub struct NoHttpClient(String);

/// Makes the providers that are on.
pub fn providers(
    settings: &[ProviderSettings],
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Provider>>, NoHttpClient> {
    with_limits(settings, clock, Limits::USUAL)
}

fn with_limits(
    settings: &[ProviderSettings],
    clock: &Arc<dyn Clock>,
    limits: Limits,
) -> Result<Vec<Arc<dyn Provider>>, NoHttpClient> {
    if settings.is_empty() {
        return Ok(Vec::new());
    }
    let http = Arc::new(Http::new(limits)?);
    let provider = |settings: &ProviderSettings| -> Arc<dyn Provider> {
        let flow = Flow::new(settings.clone(), Arc::clone(&http), Arc::clone(clock));
        match settings.kind.clone() {
            ProviderKind::Google { endpoints, jwks } => Arc::new(google::google(flow, endpoints, jwks)),
            ProviderKind::GitHub { endpoints, emails } => Arc::new(GitHub::new(flow, endpoints, emails)),
            ProviderKind::Facebook(endpoints) => Arc::new(Facebook::new(flow, endpoints)),
            ProviderKind::Naver(endpoints) => Arc::new(Naver::new(flow, endpoints)),
            ProviderKind::Kakao(endpoints) => Arc::new(Kakao::new(flow, endpoints)),
            ProviderKind::Oidc { issuer } => Arc::new(Oidc::discovered(flow, issuer)),
        }
    };
    Ok(settings.iter().map(provider).collect())
}
