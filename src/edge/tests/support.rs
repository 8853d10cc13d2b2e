//! Shared parts of the data plane's tests: fakes of its ports, and short ways to write routes and tokens.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use chrono::DateTime;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::watch,
};

use crate::{
    domain::gateway::models::{
        access::Access,
        assertion::SignedAssertion,
        oauth::{GrantChanges, ProviderName},
        rate_limit::{BucketDemand, BucketOutcome},
        service::{Instance, Route, RouteTable, Service, ServiceName, ServicePolicy, ServiceUrl, Source},
        token::{AccessClaims, Expectations, Rejection, Revocation, Revocations, SignatureVerifier},
        values::{
            digest::Sha256Digest,
            id::{AccountId, FamilyId, TokenId},
            identity::Identity,
            scope::Scope,
        },
    },
    edge::{
        health::ServiceState,
        ports::{
            AccessLogSink, Body, ControlPlane, ProviderAccess, ProviderAccessError, RequestOrigin, Resolver,
            ResolverUnavailable,
        },
        snapshot::Snapshot,
    },
};

/// The time of the tests, unless they set another.
pub(crate) const NOW: i64 = 1_000_000;

/// Collects the log.
#[derive(Default)]
pub(crate) struct CollectingSink(Mutex<Vec<Vec<u8>>>);

impl CollectingSink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().concat()).unwrap()
    }

    pub(crate) fn blocks(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl AccessLogSink for CollectingSink {
    fn is_open(&self) -> bool {
        true
    }

    fn write(&self, lines: &[u8]) {
        self.0.lock().unwrap().push(lines.to_vec());
    }
}

/// Accepts tokens of the form `jwt.<subject>.<scope words separated by +>.<number>`; another beginning is malformed,
/// and a token that ends with `!` has an invalid signature. Panics at `panic`.
#[derive(Default)]
pub(crate) struct FakeVerifier {
    pub(crate) verified: Arc<AtomicUsize>,
    /// The one key that is not accepted.
    pub(crate) removed: Option<&'static str>,
}

impl SignatureVerifier for FakeVerifier {
    fn knows(&self, kid: &str) -> bool {
        self.removed != Some(kid)
    }

    fn verify(&self, token: &str) -> Result<AccessClaims, Rejection> {
        self.verified.fetch_add(1, Ordering::Relaxed);
        assert_ne!(token, "panic", "as asked");
        let rest = token.strip_prefix("jwt.").ok_or(Rejection::Malformed)?;
        if token.ends_with('!') {
            return Err(Rejection::BadSignature);
        }
        let mut parts = rest.split('.');
        let mut next = || parts.next().ok_or(Rejection::Malformed);
        let (subject, scope, number) = (next()?, next()?, next()?);
        let number = number.parse().map_err(|_| Rejection::Malformed)?;
        Ok(AccessClaims {
            issuer: "us".into(),
            subject: subject.to_owned(),
            audience: vec!["us".into()],
            client_id: "test".into(),
            scope: scope.replace('+', " ").parse().map_err(|_| Rejection::Malformed)?,
            token_id: token_id(number),
            family: FamilyId::from_random([number; 16]),
            issued_at: DateTime::from_timestamp(NOW, 0).unwrap(),
            not_before: None,
            expires_at: DateTime::from_timestamp(NOW + 100, 0).unwrap(),
            extra: serde_json::Map::default(),
        })
    }
}

pub(crate) fn token_id(number: u8) -> TokenId {
    TokenId::from_random([number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
}

/// The revocation of the fake token with this number.
pub(crate) fn revocation(number: u8) -> Revocation {
    Revocation { id: token_id(number).into(), expires_at: DateTime::from_timestamp(NOW + 1000, 0).unwrap() }
}

/// Knows the opaque tokens that were added to it.
#[derive(Default)]
pub(crate) struct FakeResolver {
    pub(crate) tokens: Mutex<HashMap<Sha256Digest, Identity>>,
    pub(crate) asked: AtomicUsize,
    pub(crate) down: AtomicBool,
    pub(crate) knows_none: AtomicBool,
    /// The identities of the sessions.
    pub(crate) sessions: Mutex<HashMap<Sha256Digest, Identity>>,
    pub(crate) asked_for_sessions: AtomicUsize,
    /// The providers at which accounts have identities.
    pub(crate) linked: Mutex<HashMap<AccountId, Vec<ProviderName>>>,
    pub(crate) asked_for_linked: AtomicUsize,
    pub(crate) signed: AtomicUsize,
    pub(crate) grants: Mutex<HashMap<(AccountId, ProviderName), Result<ProviderAccess, ProviderAccessError>>>,
    pub(crate) asked_for_grants: AtomicUsize,
    /// If set, a request for a provider's token waits until it is open; the result was determined before that.
    pub(crate) gate: Mutex<Option<watch::Receiver<bool>>>,
    /// The buckets that it was asked for, each time.
    pub(crate) demanded: Mutex<Vec<Vec<BucketDemand>>>,
    /// The outcomes of these demands, in turn; none when it cannot be reached.
    pub(crate) outcomes: Mutex<VecDeque<BucketOutcome>>,
}

impl FakeResolver {
    pub(crate) fn learn(&self, text: &str, number: u8) {
        let identity = Identity {
            subject: "dummy".into(),
            scope: Scope::default(),
            token_id: token_id(number),
            family: FamilyId::from_random([number; 16]),
            expires_at: DateTime::from_timestamp(NOW + 100, 0).unwrap(),
            claims: serde_json::Map::default(),
        };
        self.tokens.lock().unwrap().insert(Sha256Digest::of(text.as_bytes()), identity);
    }
}

#[async_trait]
impl Resolver for FakeResolver {
    fn knows_opaque_tokens(&self) -> bool {
        !self.knows_none.load(Ordering::Relaxed)
    }

    async fn opaque_token(&self, digest: Sha256Digest) -> Result<Result<Identity, Rejection>, ResolverUnavailable> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(ResolverUnavailable);
        }
        Ok(self.tokens.lock().unwrap().get(&digest).cloned().ok_or(Rejection::Unknown))
    }

    async fn session(&self, digest: Sha256Digest) -> Result<Option<Identity>, ResolverUnavailable> {
        self.asked_for_sessions.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(ResolverUnavailable);
        }
        Ok(self.sessions.lock().unwrap().get(&digest).cloned())
    }

    async fn providers_of(&self, account: AccountId) -> Result<Vec<ProviderName>, ResolverUnavailable> {
        self.asked_for_linked.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(ResolverUnavailable);
        }
        Ok(self.linked.lock().unwrap().get(&account).cloned().unwrap_or_default())
    }

    /// Signs `<service>.<subject>.<number of assertions so far>`; valid for a minute, reused for half of it.
    async fn assertion(
        &self,
        caller: &Identity,
        service: &ServiceName,
    ) -> Result<SignedAssertion, ResolverUnavailable> {
        if self.down.load(Ordering::Relaxed) {
            return Err(ResolverUnavailable);
        }
        let count = self.signed.fetch_add(1, Ordering::Relaxed) + 1;
        let sent_until = DateTime::from_timestamp(NOW + 30 * i64::try_from(count).unwrap(), 0).unwrap();
        let text = format!("{service}.{}.{count}", caller.subject);
        Ok(SignedAssertion { text, key: format!("key-{count}"), sent_until })
    }

    async fn provider_token(
        &self,
        account: AccountId,
        provider: &ProviderName,
    ) -> Result<ProviderAccess, ProviderAccessError> {
        let response = self.grants.lock().unwrap().get(&(account, provider.clone())).cloned();
        self.asked_for_grants.fetch_add(1, Ordering::Relaxed);
        let gate = self.gate.lock().unwrap().clone();
        if let Some(mut gate) = gate {
            gate.wait_for(|&open| open).await.unwrap();
        }
        response.unwrap_or(Err(ProviderAccessError::GrantMissing))
    }

    async fn take(&self, demands: &[BucketDemand]) -> Result<BucketOutcome, ResolverUnavailable> {
        self.demanded.lock().unwrap().push(demands.to_vec());
        self.outcomes.lock().unwrap().pop_front().ok_or(ResolverUnavailable)
    }
}

/// Responds with the request: method, target, client, request id, headers and body; at `/livez` with the name of the
/// responding thread. Panics at `/panic`.
pub(crate) struct EchoControlPlane;

/// The runtime on which [`EchoControlPlane`] answers probes.
static PROBES: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("probes").build().unwrap());

#[async_trait]
impl ControlPlane for EchoControlPlane {
    async fn respond(&self, request: Request<Body>) -> Response<Body> {
        assert_ne!(request.uri().path(), "/panic", "as asked");
        if request.uri().path() == "/livez" {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            return Response::new(Full::from(thread).map_err(|never| match never {}).boxed());
        }
        let (parts, body) = request.into_parts();
        let origin = parts.extensions.get::<RequestOrigin>().copied().unwrap();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let text = format!(
            "{} {}\nclient {}\nid {}\n{:?}\n{}",
            parts.method,
            parts.uri,
            origin.client,
            origin.request_id,
            parts.headers,
            String::from_utf8_lossy(&body)
        );
        Response::new(Full::from(text).map_err(|never| match never {}).boxed())
    }

    fn own_runtime(&self, path: &str) -> Option<&Handle> {
        (path == "/livez").then(|| PROBES.handle())
    }
}

/// An open route, on which bodies stream from the first byte.
pub(crate) fn route(prefix: &str, service: &str, upstream_prefix: &str) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        upstream_prefix: upstream_prefix.parse().unwrap(),
        access: Access::Open,
        buffer_bytes: 0,
        ..Route::of_service(&service.parse().unwrap())
    }
}

pub(crate) fn service(name: &str, instances: &[&str]) -> Service {
    let instances = instances.iter().map(|url| Arc::new(instance(url))).collect();
    Service { name: name.parse().unwrap(), instances, policy: Arc::default() }
}

/// The most cores of a gateway in these tests.
const CORES: usize = 8;

/// The service `auth` with this policy.
pub(crate) fn auth_with(policy: ServicePolicy, addresses: &[SocketAddr]) -> Service {
    let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    Service { policy: Arc::new(policy), ..service("auth", &urls.iter().map(String::as_str).collect::<Vec<_>>()) }
}

/// The state of a new service.
pub(crate) fn state_of(service: Service) -> Arc<ServiceState> {
    Arc::new(ServiceState::of(Arc::new(service), None, CORES, Instant::now()))
}

/// The instance at this URL. `localhost` is found, no other name.
pub(crate) fn instance(url: &str) -> Instance {
    let url: ServiceUrl = url.parse().unwrap();
    let addresses = match url.host.as_str() {
        "localhost" => vec![IpAddr::from([127, 0, 0, 1])],
        host => host.parse().into_iter().collect(),
    };
    Instance::at(&url, url.port, addresses, Source::Static)
}

pub(crate) fn snapshot(
    routes: impl IntoIterator<Item = Route>,
    services: impl IntoIterator<Item = Service>,
) -> Snapshot {
    let services: HashMap<_, _> =
        services.into_iter().map(|service| (service.name.clone(), state_of(service))).collect();
    Snapshot {
        routes: Arc::new(RouteTable::with_defaults(routes, services.keys())),
        services: Arc::new(services),
        salt: 7,
        originators: Arc::default(),
        keys: Arc::new(FakeVerifier::default()),
        expectations: Arc::new(Expectations { issuer: "us".into(), audience: "us".into() }),
        revocations: Revocations::default(),
        revocations_heard: Arc::default(),
        grant_changes: GrantChanges::default(),
    }
}

/// One encoded HTTP/2 frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
