//! Helpers for a plain `cargo run`, so that nothing else is needed on the machine: a sample AUTH service, and a
//! provider that lets any person sign in. Both listen on loopback, and are configured like any other.

use std::{net::SocketAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tracing::error;

use crate::{
    app::{StartError, World, background_tasks::until, listen, local_address},
    config::{Environment, SAMPLE_SERVICE, Settings, wants_stand_in},
    dev::{
        sample_service,
        stand_in_provider::{self, StandIn, apple},
    },
    domain::gateway::models::{
        access::Access,
        provider::{AppleRegistration, IdTokenKey, Prompt, ProviderKind, ProviderSettings, STAND_IN, STAND_IN_APPLE},
        service::{DeclaredService, Route, ServiceName, ServiceUrl, UpstreamProtocol},
        values::secret::Secret,
    },
};

/// The gateway's client id at the stand-in provider.
const CLIENT_ID: &str = "gateway";
/// Not a secret: the provider exists only as long as the gateway, and admits everyone.
const CLIENT_SECRET: &str = "development";
/// The public path of its authorization endpoint, and the path at the stand-in.
const AUTHORIZE_PATH: (&str, &str) = ("/api/stand-in/authorize", "/authorize");
/// The same for the stand-in of Apple.
const APPLE_AUTHORIZE_PATH: (&str, &str) = ("/api/stand-in/apple/authorize", "/apple/authorize");

/// The started helpers.
#[derive(Debug, Clone, Default)]
pub(super) struct Helpers {
    /// The address of the sample AUTH service.
    pub(super) sample_service: Option<SocketAddr>,
    /// The address of the stand-in provider.
    stand_in: Option<SocketAddr>,
    /// How to get a code from the stand-in provider with a browser, and how to exchange it.
    pub(super) sign_in: Option<SignIn>,
}

/// A way to get a code by hand.
#[derive(Debug, Clone)]
pub(super) struct SignIn {
    pub(super) url: String,
    /// The body of `POST /oauth` besides the code.
    pub(super) code_verifier: String,
    pub(super) nonce: String,
}

impl Helpers {
    /// In development, starts helpers for what is not configured, and adds them to the settings.
    pub(super) async fn start(
        settings: &mut Settings,
        address: SocketAddr,
        world: &World,
        tasks: &mut JoinSet<()>,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        let mut helpers = Self::default();
        if settings.environment != Environment::Development {
            return Ok(helpers);
        }
        if wants_sample_service(settings) {
            helpers.sample_service = Some(start_sample_service(tasks, stopped.clone()).await?);
        }
        if wants_stand_in(settings.environment, &settings.providers) {
            let (listener, provider) = loopback("the stand-in provider").await?;
            helpers.stand_in = Some(provider);
            helpers.sign_in = Some(start_stand_in(settings, listener, address, world, tasks, stopped.clone())?);
        }
        helpers.add_to(settings);
        Ok(helpers)
    }

    /// Adds the services of the helpers, and the routes to them. Settings that are read again need them again.
    pub(super) fn add_to(&self, settings: &mut Settings) {
        if let (Some(address), true) = (self.sample_service, wants_sample_service(settings)) {
            let known = settings.services.iter_mut().find(|service| service.name.as_str() == SAMPLE_SERVICE);
            match (known, SAMPLE_SERVICE.parse()) {
                (Some(known), _) => known.urls.push(url_of(address)),
                (None, Ok(name)) => settings.services.push(service_at(name, address)),
                (None, Err(_)) => {}
            }
        }
        if let Some(address) = self.stand_in {
            lead_to(settings, address);
        }
    }
}

/// Whether no address of the AUTH service is set. Its table in `gateway.toml` may set all else.
fn wants_sample_service(settings: &Settings) -> bool {
    !settings.services.iter().any(|service| service.name.as_str() == SAMPLE_SERVICE && !service.urls.is_empty())
}

async fn start_sample_service(
    tasks: &mut JoinSet<()>,
    stopped: watch::Receiver<bool>,
) -> Result<SocketAddr, StartError> {
    let (listener, address) = loopback("the sample AUTH service").await?;
    tasks.spawn(async move {
        if let Err(error) = sample_service::serve(listener, until(stopped)).await {
            error!(%error, "the sample AUTH service failed");
        }
    });
    Ok(address)
}

fn start_stand_in(
    settings: &mut Settings,
    listener: TcpListener,
    gateway: SocketAddr,
    world: &World,
    tasks: &mut JoinSet<()>,
    stopped: watch::Receiver<bool>,
) -> Result<SignIn, StartError> {
    let issuer = format!("http://{}", local_address(&listener));
    let provider = StandIn::new(&issuer, CLIENT_ID, CLIENT_SECRET, world.clock.clone(), world.entropy.clone())
        .map_err(StartError::StandIn)?;
    // Browsers may run elsewhere: on another machine, or outside of a container. They reach the stand-in through the
    // gateway.
    let here = match settings.public.url.port_or_known_default() {
        Some(0) => format!("{}://localhost:{}", settings.scheme(), gateway.port()),
        _ => settings.public.base().to_owned(),
    };
    let authorize_url = format!("{here}{}", AUTHORIZE_PATH.0);
    let provider = provider.with_authorize_url(&authorize_url);
    // The code appears in the address bar of the welcome page.
    let redirect_uri = format!("{here}/");
    let callback = format!("{here}/login/{STAND_IN}/callback");
    let encoded: String = url::form_urlencoded::byte_serialize(redirect_uri.as_bytes()).collect();
    let [code_verifier, nonce] = [(); 2].map(|()| URL_SAFE_NO_PAD.encode(world.entropy.bytes::<32>()));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&code_verifier));
    let url = format!(
        "{authorize_url}?response_type=code&client_id={CLIENT_ID}&redirect_uri={encoded}&scope=openid+email+profile&state=by-hand\
         &nonce={nonce}&code_challenge={challenge}&code_challenge_method=S256"
    );
    if let Ok(name) = STAND_IN.parse() {
        settings.providers.push(ProviderSettings {
            name,
            display_name: "Stand-in".to_owned(),
            kind: ProviderKind::Oidc { issuer: issuer.clone(), id_token_key: IdTokenKey::Published },
            client_id: CLIENT_ID.to_owned(),
            client_secret: Secret::new(CLIENT_SECRET),
            scopes: "openid email profile".to_owned(),
            more_scopes: Vec::new(),
            prompt: Prompt::WhenNeeded,
            pkce: true,
            redirect_uris: vec![redirect_uri],
            takes_unbound_codes: false,
            callback,
        });
    }
    settings.providers.extend(stand_in_apple(&here, &issuer));
    tasks.spawn(async move {
        if let Err(error) = stand_in_provider::serve(listener, provider, until(stopped)).await {
            error!(%error, "the stand-in provider failed");
        }
    });
    Ok(SignIn { url, code_verifier, nonce })
}

/// A second stand-in, as Apple.
fn stand_in_apple(here: &str, issuer: &str) -> Option<ProviderSettings> {
    let at = |path: &str| format!("{issuer}/apple/{path}").parse().ok();
    Some(ProviderSettings {
        name: STAND_IN_APPLE.parse().ok()?,
        display_name: "Apple (stand-in)".to_owned(),
        kind: ProviderKind::Apple(AppleRegistration {
            authorize: format!("{here}{}", APPLE_AUTHORIZE_PATH.0).parse().ok()?,
            token: at("token")?,
            revoke: at("revoke")?,
            jwks: at("keys")?,
            team_id: apple::TEAM_ID.to_owned(),
            key_id: apple::KEY_ID.to_owned(),
            app_id: None,
        }),
        client_id: apple::CLIENT_ID.to_owned(),
        client_secret: Secret::new(apple::PRIVATE_KEY),
        scopes: "name email".to_owned(),
        more_scopes: Vec::new(),
        prompt: Prompt::Never,
        pkce: true,
        callback: format!("{here}/login/{STAND_IN_APPLE}/callback"),
        redirect_uris: Vec::new(),
        takes_unbound_codes: false,
    })
}

/// Adds routes for the provider's paths that browsers use.
fn lead_to(settings: &mut Settings, provider: SocketAddr) {
    let Ok(name) = STAND_IN.parse::<ServiceName>() else { return };
    settings.services.push(service_at(name.clone(), provider));
    for (path, upstream_path) in [AUTHORIZE_PATH, APPLE_AUTHORIZE_PATH] {
        if let (Ok(prefix), Ok(upstream_prefix)) = (path.parse(), upstream_path.parse()) {
            settings.routes.push(Route { prefix, upstream_prefix, access: Access::Open, ..Route::of_service(&name) });
        }
    }
}

fn service_at(name: ServiceName, address: SocketAddr) -> DeclaredService {
    DeclaredService { name, urls: vec![url_of(address)], policy: Arc::default() }
}

fn url_of(address: SocketAddr) -> ServiceUrl {
    ServiceUrl {
        protocol: UpstreamProtocol::Http1,
        tls: false,
        srv: false,
        host: address.ip().to_string(),
        port: address.port(),
        base_path: String::new(),
        weight: 1,
    }
}

async fn loopback(what: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), what).await?;
    let address = local_address(&listener);
    Ok((listener, address))
}
