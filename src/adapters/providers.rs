//! Providers: where people sign in. One file for each; `plain` and `oidc` are for those that tell who the person is in a way of their own,
//! and by OpenID Connect. What providers have in common is in `protocol`.

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

/// The HTTP client could not be made, for want of root certificates for instance.
#[derive(Debug, Clone, Error)]
#[error("the HTTP client for providers cannot be made: {0}")]
pub struct NoHttpClient(String);

/// What has to be done before the providers can be talked to. Whoever talks to one before it is done waits for it.
#[must_use]
pub struct Preparation(Option<Arc<Http>>);

impl Preparation {
    /// Makes the HTTP client. It blocks for some milliseconds, as every root certificate of this machine is read.
    ///
    /// # Errors
    /// When it cannot be made. Providers are then unavailable.
    pub fn run(self) -> Result<(), NoHttpClient> {
        self.0.map_or(Ok(()), |http| http.prepare())
    }
}

/// Makes the providers that are on.
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
