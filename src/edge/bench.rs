//! Single steps of the pipeline, for `benches/edge.rs`. Not part of the binary: compiled with the feature `bench` only.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Context,
    time::Instant,
};

use http::{HeaderValue, header::AUTHORIZATION};

use crate::{
    domain::gateway::models::{
        access::Accepted,
        http::path::Spellings,
        service::{Instance, Service, ServiceName, Source, UpstreamProtocol, Wanted},
    },
    edge::{
        auth,
        health::ServiceState,
        http::{client_address::Client, header_list::HeaderList, message::RequestHead, path},
        listener::parts::Parts,
        pipeline::{
            core,
            traffic::{self, rate_limits::Quotas},
        },
        upstream::{
            cluster::{Cluster, endpoint::Lease},
            router::Destination,
        },
    },
};

/// The path's canonical form, or `None` if it is refused.
pub fn canonical(path: &str) -> Option<Cow<'_, str>> {
    path::canonical(path).ok().map(|canonical| canonical.path)
}

/// A service as a core sees it.
pub struct Instances(Cluster);

impl Instances {
    /// This many instances with the default policy.
    pub fn new(name: ServiceName, count: u32) -> Self {
        let instances = (0..count).map(|number| {
            let address = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number));
            Arc::new(Instance {
                protocol: UpstreamProtocol::Http1,
                tls: false,
                host: address.to_string(),
                port: 80,
                base_path: String::new(),
                addresses: vec![address],
                weight: 1,
                source: Source::Static,
            })
        });
        let service = Service { name, instances: instances.collect(), policy: Arc::default() };
        let state = ServiceState::of(Arc::new(service), None, 2, Instant::now());
        Self(Cluster::of(&Arc::new(state), 0, 0, None, None))
    }

    /// Whether there is an instance for a request; it is in flight there meanwhile.
    pub fn pick(&self, now: Instant) -> bool {
        self.0.pick(None, None, now).map(Lease::of).is_some()
    }
}

/// One core without its thread and its sockets.
pub struct Core(core::Core);

impl Core {
    /// Builds one as the server does.
    pub fn new(parts: &Parts) -> Self {
        Self(parts.core(0, &parts.shared_limits(), parts.process_mark()))
    }

    /// Whether a canonical path leads to a service.
    pub fn leads_to_a_service(&self, path: &str) -> bool {
        let wanted = Wanted { path, spellings: Spellings::NONE, method: "GET", preflight_for: None };
        matches!(self.0.router().destination(wanted), Destination::Service { cluster: Some(_), .. })
    }

    /// Whether the caller has a valid token. Must not need the resolver.
    pub fn knows_the_caller(&self, authorization: &HeaderValue) -> bool {
        let headers = HeaderList::from_iter([(AUTHORIZATION, authorization.clone())]);
        let router = self.0.router();
        let mut found = pin!(auth::authenticate(&self.0.auth, &router.snapshot, Accepted::Token, &headers, false));
        let mut context = Context::from_waker(std::task::Waker::noop());
        matches!(found.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(Some(_))))
    }

    /// Whether a request is within the rate limits of its route.
    pub fn is_within_limits(&self, path: &str, client: IpAddr) -> bool {
        let router = self.0.router();
        let wanted = Wanted { path, spellings: Spellings::NONE, method: "GET", preflight_for: None };
        let Destination::Service { route, .. } = router.destination(wanted) else { return false };
        let client =
            Client { address: SocketAddr::new(client, 1), forwarded_for: HeaderValue::from_static(""), scheme: "http" };
        let rates = self.0.upstream.limits.rates();
        traffic::admit_client(route, &mut Quotas::default(), rates, &client, &RequestHead::default()).is_ok()
    }

    /// Forgets the validated tokens.
    pub fn forget_tokens(&self) {
        self.0.auth.tokens.clear();
    }
}
