//! The cost of single steps of a request: `cargo bench --features bench`. `decode` is the time of `jsonwebtoken` for
//! the same token, and `encode` for signing it.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

use std::{hint::black_box, net::Ipv4Addr, num::NonZeroUsize, sync::Arc, time::Instant};

use async_trait::async_trait;
use chrono::{DateTime, Duration, SubsecRound, Utc};
use divan::{Bencher, counter::ItemsCount};
use gateway::{
    adapters::{clock::WallClock, entropy::SystemEntropy, jwt::AwsLcKeyGenerator},
    config::{Settings, Sources},
    domain::gateway::{
        models::{
            assertion::SignedAssertion,
            http::{origin::AllowedOrigins, page::TrustedPages},
            oauth::{GrantChanges, ProviderName},
            rate_limit::{CountedMethods, LimitBy, RateLimit, RateLimits},
            service::{Route, RouteTable, Service, ServiceName, TrafficPolicy},
            signing_key::{SigningAlgorithm, SigningKey},
            token::{AccessClaims, Expectations, Rejection, Revocations, SignatureVerifier},
            values::{
                digest::Sha256Digest,
                id::{AccountId, FamilyId, TokenId},
                identity::Identity,
            },
        },
        services::ports::{KeyGenerator, KeyRing},
    },
    edge::{
        Parts,
        bench::{self, Core},
        browser::BrowserSettings,
        health::ServiceState,
        ports::{
            AccessLogSink, Body, ControlPlane, ProviderAccess, ProviderAccessError, RequestOrigin, Resolver,
            ResolverUnavailable,
        },
        snapshot::{Snapshot, SnapshotCell},
    },
    ports::{Clock, Entropy},
};
use http::{HeaderValue, Request, Response};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, jwk::Jwk};

const ROUTES: usize = 10_000;

fn main() {
    divan::main();
}

#[divan::bench(args = ["/api/users/me", "/api/%75sers/%EC%95%88/a%20b"])]
fn path(path: &str) -> usize {
    bench::canonical(black_box(path)).unwrap().len()
}

#[divan::bench(args = ["/api/route-5000/below", "/api/route-9999/below/and/on", "/api/bench/x"])]
fn route_of_10_000(bencher: Bencher<'_, '_>, path: &str) {
    let core = World::new().core();
    assert!(core.leads_to_a_service(path));
    bencher.bench_local(|| core.leads_to_a_service(black_box(path)));
}

/// What a rate limit adds to the look-up of its route: the first one has none.
#[divan::bench(args = ["/api/route-5000/below", "/api/limited"])]
fn rate_limit(bencher: Bencher<'_, '_>, path: &str) {
    let core = World::new().core();
    let client = Ipv4Addr::new(203, 0, 113, 5).into();
    bencher.bench_local(|| assert!(core.is_within_limits(black_box(path), client)));
}

#[divan::bench]
fn token_cold(bencher: Bencher<'_, '_>) {
    let world = World::new();
    let (core, authorization) = (world.core(), world.authorization());
    bencher.bench_local(|| {
        core.forget_tokens();
        assert!(core.knows_the_caller(black_box(&authorization)));
    });
}

#[divan::bench]
fn token_cached(bencher: Bencher<'_, '_>) {
    let world = World::new();
    let (core, authorization) = (world.core(), world.authorization());
    bencher.bench_local(|| assert!(core.knows_the_caller(black_box(&authorization))));
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let world = World::new();
    let (token, key) = (world.token(), DecodingKey::from_jwk(&world.public_key).unwrap());
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["us"]);
    bencher.bench_local(|| jsonwebtoken::decode::<serde_json::Value>(black_box(&token), &key, &validation).unwrap());
}

#[divan::bench]
fn sign(bencher: Bencher<'_, '_>) {
    let world = World::new();
    let claims = claims();
    bencher.bench_local(|| world.keys.sign(&world.kid, black_box(&claims)).unwrap());
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let world = World::new();
    let (key, claims) = (EncodingKey::from_ec_der(&world.private_key), claims().to_json());
    bencher.bench_local(|| jsonwebtoken::encode(&Header::new(Algorithm::ES256), black_box(&claims), &key).unwrap());
}

#[divan::bench(args = [1, 3, 1000])]
fn instance(bencher: Bencher<'_, '_>, count: u32) {
    let (instances, now) = (bench::Instances::new("bench".parse().unwrap(), count), Instant::now());
    // A single run is shorter than the clock's resolution.
    bencher
        .counter(ItemsCount::new(1000_usize))
        .bench_local(|| (0..1000).filter(|_| black_box(&instances).pick(now)).count());
}

/// The environment of a core: a key, 10,000 routes, and no control plane.
struct World {
    kid: String,
    private_key: Vec<u8>,
    public_key: Jwk,
    keys: Arc<dyn KeyRing>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let pair = AwsLcKeyGenerator.generate(SigningAlgorithm::Es256).unwrap();
        let public_key = serde_json::from_value(pair.public_jwk.clone().unwrap()).unwrap();
        let key = SigningKey {
            kid: pair.kid.clone(),
            algorithm: SigningAlgorithm::Es256,
            generation: 1,
            sealed_private_key: Vec::new(),
            public_jwk: pair.public_jwk,
            created_at: now(),
            signs_from: now(),
        };
        let private_key = pair.private_key.0.clone();
        let keys = AwsLcKeyGenerator.load(&[(key, pair.private_key)]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { kid: pair.kid, private_key, public_key, keys, runtime }
    }

    fn token(&self) -> String {
        self.keys.sign(&self.kid, &claims()).unwrap()
    }

    fn authorization(&self) -> HeaderValue {
        HeaderValue::try_from(format!("Bearer {}", self.token())).unwrap()
    }

    fn core(&self) -> Core {
        let settings = settings();
        let services = settings.services.iter().map(|declared| {
            let service = Service { name: declared.name.clone(), instances: Vec::new(), policy: Arc::default() };
            (declared.name.clone(), Arc::new(ServiceState::of(Arc::new(service), None, 1, Instant::now())))
        });
        let keys: Arc<dyn SignatureVerifier> = self.keys.clone();
        let snapshot = Snapshot {
            routes: Arc::new(routes()),
            services: Arc::new(services.collect()),
            salt: 0,
            originators: Arc::default(),
            keys,
            expectations: Arc::new(Expectations { issuer: "us".into(), audience: "us".into() }),
            revocations: Revocations::default(),
            revocations_heard: Arc::default(),
            grant_changes: GrantChanges::default(),
        };
        Core::new(&Parts {
            listener_settings: settings.listener,
            tls: None,
            browsers: BrowserSettings {
                session_cookie: String::new(),
                pages: TrustedPages::default(),
                allowed_origins: AllowedOrigins::default(),
                api_prefix: "/e".to_owned(),
                strict_transport: false,
            },
            upstream_settings: settings.upstream,
            max_service_connections: 1,
            cores: NonZeroUsize::MIN,
            snapshots: Arc::new(SnapshotCell::new(snapshot)),
            unreachable: tokio::sync::mpsc::unbounded_channel().0,
            control_plane: Arc::new(Nobody),
            resolver: Arc::new(Nobody),
            control_runtime: self.runtime.handle().clone(),
            clock: Arc::new(WallClock),
            entropy: Arc::new(SystemEntropy::default()) as Arc<dyn Entropy>,
            access_log: Arc::new(Nobody),
            log_format: settings.log_format,
            timezone: settings.public.timezone,
        })
    }
}

fn settings() -> Settings {
    let environment = [("GATEWAY_ENV", "development"), ("BENCH_SERVICE_URL", "http://127.0.0.1:1")];
    Settings::from_sources(&Sources::default().with_environment(environment)).unwrap()
}

fn routes() -> RouteTable {
    let default = Route::of_service(&"bench".parse().unwrap());
    let prefixes = (0..ROUTES).map(|n| format!("/api/route-{n}/below").parse().unwrap());
    let limit = RateLimit {
        requests: 1_000_000,
        per: std::time::Duration::from_secs(1),
        burst: 10_000_000,
        by: LimitBy::Address,
        methods: CountedMethods::All,
        shared: false,
    };
    let policy = TrafficPolicy { rate_limits: RateLimits::new(vec![limit]), ..TrafficPolicy::default() };
    let prefix = "/api/limited".parse().unwrap();
    let limited = Route { prefix, traffic: Some(Arc::new(policy)), ..default.clone() };
    RouteTable::new(prefixes.map(|prefix| Route { prefix, ..default.clone() }).chain([limited]))
}

fn now() -> DateTime<Utc> {
    WallClock.now().trunc_subsecs(0)
}

fn claims() -> AccessClaims {
    AccessClaims {
        issuer: "us".into(),
        subject: "alice".into(),
        audience: vec!["us".into()],
        client_id: "bench".into(),
        scope: "read".parse().unwrap(),
        token_id: TokenId::from_random([1; 16]),
        family: FamilyId::from_random([2; 16]),
        issued_at: now(),
        not_before: None,
        expires_at: now() + Duration::hours(1),
        extra: serde_json::Map::default(),
    }
}

/// Implements no operation: none of the measured steps calls it.
struct Nobody;

#[async_trait]
impl ControlPlane for Nobody {
    async fn respond(&self, request: Request<Body>) -> Response<Body> {
        unreachable!("{:?}", request.extensions().get::<RequestOrigin>())
    }
}

impl AccessLogSink for Nobody {
    fn is_open(&self) -> bool {
        false
    }

    fn write(&self, _: &[u8]) {}
}

#[async_trait]
impl Resolver for Nobody {
    fn knows_opaque_tokens(&self) -> bool {
        false
    }

    async fn opaque_token(&self, _: Sha256Digest) -> Result<Result<Identity, Rejection>, ResolverUnavailable> {
        Err(ResolverUnavailable)
    }

    async fn session(&self, _: Sha256Digest) -> Result<Option<Identity>, ResolverUnavailable> {
        Err(ResolverUnavailable)
    }

    async fn providers_of(&self, _: AccountId) -> Result<Vec<ProviderName>, ResolverUnavailable> {
        Err(ResolverUnavailable)
    }

    async fn assertion(&self, _: &Identity, _: &ServiceName) -> Result<SignedAssertion, ResolverUnavailable> {
        Err(ResolverUnavailable)
    }

    async fn provider_token(&self, _: AccountId, _: &ProviderName) -> Result<ProviderAccess, ProviderAccessError> {
        Err(ProviderAccessError::Unavailable)
    }
}
