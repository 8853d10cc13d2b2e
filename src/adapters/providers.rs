//! Providers: where people sign in. Each has a file. `oidc` serves those that identify people by OpenID Connect,
//! `plain` those with an API of their own. `protocol` holds the parts that providers share.

mod apple;
mod discord;
mod entra;
mod facebook;
mod github;
mod google;
mod kakao;
mod line;
mod naver;
mod oidc;
mod plain;
mod protocol;
mod x;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use thiserror::Error;

use self::{
    apple::Apple,
    oidc::{Oidc, Standard},
    protocol::{
        flow::Flow,
        http::{Http, Limits},
    },
};
use crate::{
    domain::gateway::{
        models::provider::{ProviderKind, ProviderSettings},
        services::ports::Provider,
    },
    ports::Clock,
};

/// The HTTP client could not be created, for example because there are no root certificates.
#[derive(Debug, Clone, Error)]
#[error("the HTTP client for providers cannot be created: {0}")]
pub struct NoHttpClient(String);

/// Preparation that must finish before providers can be called. Calls wait for it.
#[must_use]
pub struct Preparation(Option<Arc<Http>>);

impl Preparation {
    /// Creates the HTTP client. This blocks for some milliseconds: it reads every root certificate of this machine.
    ///
    /// # Errors
    /// If the client cannot be created. Providers are then unavailable.
    pub fn run(self) -> Result<(), NoHttpClient> {
        self.0.map_or(Ok(()), |http| http.prepare())
    }
}

/// Creates the enabled providers.
pub fn providers(settings: &[ProviderSettings], clock: &Arc<dyn Clock>) -> (Vec<Arc<dyn Provider>>, Preparation) {
    with_limits(settings, clock, Limits::USUAL)
}

fn with_limits(
    settings: &[ProviderSettings],
    clock: &Arc<dyn Clock>,
    limits: Limits,
) -> (Vec<Arc<dyn Provider>>, Preparation) {
    let http = Arc::new(Http::new(limits));
    let provider = |settings: &ProviderSettings| -> Arc<dyn Provider> {
        let flow = Flow::new(settings.clone(), Arc::clone(&http), Arc::clone(clock));
        match settings.kind.clone() {
            ProviderKind::Google { endpoints, jwks, events, hosted_domain } => {
                Arc::new(google::google(flow, endpoints, jwks, events, hosted_domain))
            }
            ProviderKind::GitHub { endpoints, emails, webhook_secret } => {
                Arc::new(github::github(flow, endpoints, emails, webhook_secret))
            }
            ProviderKind::Facebook(endpoints) => Arc::new(facebook::facebook(flow, endpoints)),
            ProviderKind::Naver { endpoints, jwks } => Arc::new(naver::naver(flow, endpoints, jwks)),
            ProviderKind::Kakao { endpoints, jwks, events, admin_key } => {
                Arc::new(kakao::kakao(flow, endpoints, jwks, events, admin_key))
            }
            ProviderKind::Line(endpoints) => Arc::new(line::line(flow, endpoints)),
            ProviderKind::Discord { endpoints, jwks } => Arc::new(discord::discord(flow, endpoints, jwks)),
            ProviderKind::X(endpoints) => Arc::new(x::x(flow, endpoints)),
            ProviderKind::Entra(settings) => Arc::new(entra::entra(flow, settings)),
            ProviderKind::Oidc { issuer, id_token_key } => {
                Arc::new(Oidc::discovered(flow, issuer, id_token_key, Standard))
            }
            ProviderKind::Apple(registration) => Arc::new(Apple::new(flow, registration)),
        }
    };
    let providers: Vec<_> = settings.iter().map(provider).collect();
    let preparation = Preparation((!providers.is_empty()).then_some(http));
    (providers, preparation)
}
