//! Puts the services and their controllers together, over one store.

pub(super) mod discovery;

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};

use sha2::{Digest, Sha256};

use super::{
    StartError, World,
    background_tasks::BackgroundTasks,
    clients,
    edge_ports::{
        instances::PublishedInstances, publisher::SnapshotPublisher, resolver::ServiceResolver,
        shared_buckets::SharedBuckets,
    },
    health::readiness::StoreReadiness,
    open_vault,
    policies::{cookies, expectations, key_schedule, own_origins, page_policy, session_limits, token_policy},
    store::{Store, StoreError, observer::StoreObserver},
};
use crate::{
    adapters::{jwt::AwsLcKeyGenerator, names::SystemNames, passwords::Argon2Passwords},
    api::ApiParts,
    config::{Environment, PublicSettings, Settings},
    domain::gateway::{
        controllers::{
            account::AccountController, caller::Callers, client::ClientController, login::LoginController,
            notice::NoticeController, oauth::OAuthController, registration::RegistrationController,
            service::ServiceController, session::SessionController, signing_key::SigningKeyController,
            token::TokenController,
        },
        models::registration::AddressPolicy,
        services::{
            account::{AccountParts, AccountService},
            assertion::{AssertionParts, AssertionService},
            discovery::Discovery,
            login::{LoginParts, LoginService},
            notice::{NoticeParts, NoticeService},
            oauth::{EnabledProvider, OAuthParts, OAuthService},
            ports::Provider,
            provider::ProviderHealths,
            registration::{RegistrationParts, Registrations},
            revocation::RevocationFeed,
            service::ServiceDirectory,
            session::{SessionParts, SessionService},
            signing_key::{SigningKeyParts, SigningKeys},
            token::{LiveSessions, TokenParts, TokenService},
        },
    },
    ports::{Clock, Entropy},
};

/// The state that data plane and control plane share.
pub(super) struct Services {
    pub(super) publisher: Arc<SnapshotPublisher>,
    pub(super) keys: Arc<SigningKeys>,
    pub(super) feed: Arc<RevocationFeed>,
    pub(super) tokens: Arc<TokenService>,
    pub(super) clients: ClientController,
    pub(super) oauth: Arc<OAuthService>,
    pub(super) notices: Arc<NoticeService>,
    pub(super) sessions: Arc<SessionService>,
    pub(super) logins: Arc<LoginService>,
    pub(super) accounts: AccountService,
    pub(super) discovery: Arc<Discovery>,
    pub(super) registrations: Arc<Registrations>,
    instances: Arc<PublishedInstances>,
}

impl Services {
    pub(super) async fn open(
        settings: &Settings,
        world: &World,
        store: &Store,
        providers: Vec<Arc<dyn Provider>>,
        healths: Arc<ProviderHealths>,
        cores: usize,
    ) -> Result<Self, StartError> {
        let vault = Arc::new(open_vault(settings, &*world.entropy)?);
        let publisher =
            Arc::new(SnapshotPublisher::new(settings, expectations(settings), cores, salt(settings, &*world.entropy)));
        let keys = Arc::new(
            SigningKeys::open(SigningKeyParts {
                store: store.signing_keys.clone(),
                key_generator: Arc::new(AwsLcKeyGenerator),
                sealer: vault.clone(),
                publisher: publisher.clone(),
                clock: world.clock.clone(),
                schedule: key_schedule(settings),
            })
            .await?,
        );
        let feed = Arc::new(RevocationFeed::new(store.tokens.clone(), publisher.clone(), world.clock.clone()));
        feed.catch_up().await.map_err(StoreError::from)?;
        let tokens = Arc::new(TokenService::new(TokenParts {
            store: store.tokens.clone(),
            keys: keys.clone(),
            sessions: live_sessions(settings, store, &publisher),
            successors: vault.clone(),
            publisher: publisher.clone(),
            console: world.console.clone(),
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
            policy: token_policy(settings),
        }));
        let clients = clients::controller(settings, world, store, &tokens);
        let oauth = Arc::new(OAuthService::new(OAuthParts {
            store: store.oauth.clone(),
            accounts: store.accounts.clone(),
            attempts: store.attempts.clone(),
            providers: enabled_providers(settings, providers),
            healths,
            sealer: vault.clone(),
            publisher: publisher.clone(),
            tokens: tokens.clone(),
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
        }));
        let sessions = Arc::new(SessionService::new(SessionParts {
            store: store.sessions.clone(),
            accounts: store.accounts.clone(),
            tokens: tokens.clone(),
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
            limits: session_limits(settings),
        }));
        let logins = Arc::new(LoginService::new(LoginParts {
            store: store.logins.clone(),
            oauth: oauth.clone(),
            sessions: sessions.clone(),
            sealer: vault.clone(),
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
            allowed_origins: own_origins(settings),
        }));
        let accounts = AccountService::new(AccountParts {
            accounts: store.accounts.clone(),
            attempts: store.attempts.clone(),
            hasher: Arc::new(Argon2Passwords::new(world.entropy.clone())),
            sessions: sessions.clone(),
            tokens: tokens.clone(),
            oauth: oauth.clone(),
            sealer: vault,
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
        });
        let notices = Arc::new(NoticeService::new(NoticeParts {
            store: store.notices.clone(),
            oauth: oauth.clone(),
            accounts: accounts.clone(),
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
        }));
        let discovery = Discovery::new(Arc::new(SystemNames::new(settings.dns_servers.clone())), publisher.clone());
        discovery.guard(address_policy(settings));
        let registrations = Arc::new(registrations(settings, world, store, &discovery));
        let instances = Arc::new(PublishedInstances::new(publisher.snapshots(), world.clock.clone()));
        Ok(Self {
            publisher,
            keys,
            feed,
            tokens,
            clients,
            oauth,
            notices,
            sessions,
            logins,
            accounts,
            discovery,
            registrations,
            instances,
        })
    }

    /// What runs periodically.
    pub(super) fn background_tasks(
        &self,
        store: &Store,
        observer: Arc<StoreObserver>,
        settings: &Settings,
        clock: &Arc<dyn Clock>,
    ) -> BackgroundTasks {
        BackgroundTasks {
            store: store.clone(),
            observer,
            keys: self.keys.clone(),
            feed: self.feed.clone(),
            endings: self.tokens.clone(),
            accounts: self.accounts.clone(),
            registrations: self.registrations.clone(),
            snapshots: self.publisher.snapshots(),
            clock: clock.clone(),
            oauth: self.oauth.clone(),
            refresh_ahead: settings.oauth_refresh_ahead,
            providers: settings.providers.clone(),
        }
    }

    /// The queries of the data plane.
    pub(super) fn resolver(&self, settings: &Settings, world: &World, store: &Store) -> ServiceResolver {
        ServiceResolver {
            tokens: self.tokens.clone(),
            oauth: self.oauth.clone(),
            sessions: self.sessions.clone(),
            assertions: AssertionService::new(AssertionParts {
                keys: self.keys.clone(),
                issuer: expectations(settings).issuer,
                clock: world.clock.clone(),
                entropy: world.entropy.clone(),
            }),
            buckets: store.rate_limits().map(SharedBuckets::new),
        }
    }

    /// Works off the notices of providers until told to stop.
    pub(super) fn work_off_notices(&self, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
        let (notices, stopped) = (self.notices.clone(), stopped.clone());
        tasks.spawn(async move { notices.run(stopped).await });
    }

    /// The list of services, for both listeners.
    pub(super) fn directory(&self, settings: &Settings) -> ServiceController {
        let directory =
            ServiceDirectory::new(self.discovery.clone(), self.registrations.clone(), self.instances.clone());
        ServiceController::new(Arc::new(directory), self.tokens.clone(), settings.public.timezone)
    }

    pub(super) fn api_parts(&self, settings: &Settings, readiness: Arc<StoreReadiness>) -> ApiParts {
        let PublicSettings { timezone, allowed_origins, .. } = &settings.public;
        let (cookies, policy) = (cookies(settings), page_policy(settings));
        let callers = Arc::new(Callers::new(self.tokens.clone(), self.sessions.clone(), cookies, policy));
        ApiParts {
            tokens: TokenController::new(self.tokens.clone(), callers.clone(), *timezone),
            clients: self.clients.clone(),
            oauth: OAuthController::new(self.oauth.clone(), self.accounts.clone(), callers.clone(), *timezone),
            notices: NoticeController::new(self.notices.clone(), settings.public.base().to_owned(), *timezone),
            accounts: AccountController::new(
                self.accounts.clone(),
                self.sessions.clone(),
                callers.clone(),
                cookies,
                *timezone,
            ),
            logins: LoginController::new(
                self.logins.clone(),
                self.accounts.clone(),
                self.sessions.clone(),
                callers.clone(),
                cookies,
                settings.public.base().to_owned(),
            ),
            sessions: SessionController::new(self.sessions.clone(), self.accounts.clone(), callers, cookies, *timezone),
            services: self.directory(settings),
            registrations: RegistrationController::new(self.registrations.clone(), self.tokens.clone(), *timezone),
            keys: SigningKeyController::new(self.keys.clone()),
            readiness,
            domain: settings.public.domain().to_owned(),
            prefix: settings.public.api_prefix.as_str().to_owned(),
            allowed_origins: allowed_origins.clone(),
            development: settings.environment == Environment::Development,
        }
    }
}

fn registrations(settings: &Settings, world: &World, store: &Store, discovery: &Arc<Discovery>) -> Registrations {
    Registrations::new(RegistrationParts {
        store: store.registrations.clone(),
        discovery: discovery.clone(),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
        addresses: address_policy(settings),
    })
}

/// The addresses that services may have.
fn address_policy(settings: &Settings) -> AddressPolicy {
    AddressPolicy::new(settings.service_networks.clone(), vec![settings.listener.address, settings.admin_address])
}

/// Derived from the vault's key, which all replicas share.
fn salt(settings: &Settings, entropy: &dyn Entropy) -> u64 {
    match settings.vault_keys.first() {
        Some(key) => {
            let digest: [u8; 32] = Sha256::new().chain_update(b"sticky cookies").chain_update(key.0).finalize().into();
            digest.first_chunk().map_or(0, |begin| u64::from_be_bytes(*begin))
        }
        None => u64::from_be_bytes(entropy.bytes()),
    }
}

fn enabled_providers(settings: &Settings, providers: Vec<Arc<dyn Provider>>) -> Vec<EnabledProvider> {
    let with_addresses = providers.into_iter().zip(&settings.providers).map(|(provider, settings)| EnabledProvider {
        provider,
        callback: settings.callback.clone(),
        redirect_uris: settings.redirect_uris.clone(),
        more_scopes: settings.more_scopes.clone(),
        takes_unbound_codes: settings.takes_unbound_codes,
    });
    with_addresses.collect()
}

fn live_sessions(settings: &Settings, store: &Store, publisher: &Arc<SnapshotPublisher>) -> LiveSessions {
    LiveSessions {
        store: store.sessions.clone(),
        deny_list: store.tokens.clone(),
        known: publisher.clone(),
        limits: session_limits(settings),
    }
}
