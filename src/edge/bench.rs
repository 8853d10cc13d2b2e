//! Single steps of the pipeline, for `benches/edge.rs`. Not part of the binary: compiled with the feature `bench` only.

use std::{borrow::Cow, cell::Cell, pin::pin, task::Context};

use http::{HeaderValue, header::AUTHORIZATION};

use crate::{
    domain::gateway::models::{access::Accepted, http::path::Spellings, service::Wanted},
    edge::{
        auth,
        http::{header_list::HeaderList, path},
        listener::parts::Parts,
        pipeline::core,
        upstream::{load_balancer, router::Destination},
    },
};

/// The path's canonical form, or `None` if it is refused.
pub fn canonical(path: &str) -> Option<Cow<'_, str>> {
    path::canonical(path).ok().map(|canonical| canonical.path)
}

/// The next candidate, round robin.
pub fn round_robin<'c, T>(candidates: &'c [T], cursor: &Cell<usize>) -> Option<&'c T> {
    load_balancer::round_robin(candidates, cursor)
}

/// One core without its thread and its sockets.
pub struct Core(core::Core);

impl Core {
    /// Builds one as the server does.
    pub fn new(parts: &Parts) -> Self {
        Self(parts.core(&parts.shared_limits()))
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

    /// Forgets the validated tokens.
    pub fn forget_tokens(&self) {
        self.0.auth.tokens.clear();
    }
}
