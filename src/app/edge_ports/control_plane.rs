//! Hands requests without a route to the API, and serves the API on the admin listener.

mod backoff_acceptor;

use std::io;

use async_trait::async_trait;
use http::{
    Request, Response, Uri,
    uri::{PathAndQuery, Scheme},
};
use poem::{
    Endpoint, Server,
    endpoint::BoxEndpoint,
    listener::TcpAcceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle, Runtime},
    sync::watch,
};
use tracing::error;

use self::backoff_acceptor::BackoffAcceptor;
use crate::{
    api::RequestContext,
    app::background_tasks::until,
    domain::gateway::models::http::path::PathPrefix,
    edge::ports::{Body, ControlPlane, RequestOrigin},
};

/// The API behind the data plane's port.
pub(in crate::app) struct PoemControlPlane {
    endpoint: BoxEndpoint<'static>,
    prefix: PathPrefix,
    probes: Handle,
}

impl PoemControlPlane {
    /// `probes` is the runtime that serves probes.
    pub(in crate::app) fn new(endpoint: BoxEndpoint<'static>, prefix: PathPrefix, probes: Handle) -> Self {
        Self { endpoint, prefix, probes }
    }
}

/// A thread of its own for probes, on both listeners, and for their checks: an orchestrator restarts an unresponsive
/// gateway, and must not do so because it is busy.
pub(in crate::app) struct Probes {
    /// The runtime that serves probes.
    pub(in crate::app) handle: Handle,
    runtime: Option<Runtime>,
}

impl Probes {
    pub(in crate::app) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .thread_name("probes")
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        // Dropping one runtime must not wait for the other.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[async_trait]
impl ControlPlane for PoemControlPlane {
    async fn respond(&self, request: Request<Body>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let origin = parts.extensions.get::<RequestOrigin>().copied();
        let mut prefix = String::new();
        if let Some(uri) = without_prefix(&parts.uri, &self.prefix) {
            parts.uri = uri;
            self.prefix.as_str().clone_into(&mut prefix);
        }
        let parts = (parts, LocalAddr::default(), RemoteAddr::default(), Scheme::HTTP);
        let mut request = poem::Request::from_parts(parts.into(), body.into());
        request.set_data(RequestContext {
            request_id: origin.map(|origin| origin.request_id.to_string()),
            client: origin.map(|origin| origin.client.ip()),
            scheme: origin.map(|origin| origin.scheme),
            prefix,
        });
        self.endpoint.get_response(request).await.into()
    }

    fn own_runtime(&self, path: &str) -> Option<&Handle> {
        let path = self.prefix.rest(path).unwrap_or(path);
        matches!(path, "/livez" | "/readyz").then_some(&self.probes)
    }
}

/// The path without the prefix, if it has it.
fn without_prefix(uri: &Uri, prefix: &PathPrefix) -> Option<Uri> {
    let rest = prefix.rest(uri.path())?;
    let path = if rest.is_empty() { "/" } else { rest };
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    Some(Uri::from(path_and_query.ok()?))
}

/// Serves an endpoint on its own listener until told to stop. The listener is not registered with a runtime yet.
pub(in crate::app) async fn serve(
    listener: std::net::TcpListener,
    endpoint: BoxEndpoint<'static>,
    stopped: watch::Receiver<bool>,
) {
    let acceptor = match TcpListener::from_std(listener).and_then(TcpAcceptor::from_tokio) {
        Ok(acceptor) => acceptor,
        Err(error) => return error!(%error, "the admin listener failed"),
    };
    if let Err(error) = Server::new_with_acceptor(BackoffAcceptor(acceptor))
        .run_with_graceful_shutdown(endpoint, until(stopped), None)
        .await
    {
        error!(%error, "the admin listener failed");
    }
}

#[cfg(test)]
mod tests {
    use poem::EndpointExt;

    use super::*;

    #[test]
    fn the_api_responds_the_same_at_the_root_and_under_its_prefix() {
        let prefix: PathPrefix = "/e".parse().unwrap();
        let at = |uri: &'static str| without_prefix(&Uri::from_static(uri), &prefix).map(|uri| uri.to_string());
        assert_eq!(at("/e/tokens/create?a=b").as_deref(), Some("/tokens/create?a=b"));
        assert_eq!(at("/e").as_deref(), Some("/"));
        assert_eq!(at("/e/").as_deref(), Some("/"));
        assert_eq!(at("/e?x").as_deref(), Some("/?x"));
        assert_eq!(at("/embedded"), None);
        assert_eq!(at("/tokens/create"), None);
    }

    #[test]
    fn probes_and_they_alone_have_a_runtime_of_their_own() {
        let probes = Probes::start().unwrap();
        let endpoint = poem::endpoint::make_sync(|_| poem::Response::default()).boxed();
        let control_plane = PoemControlPlane::new(endpoint, "/e".parse().unwrap(), probes.handle.clone());
        for (path, own) in [
            ("/livez", true),
            ("/readyz", true),
            ("/e/livez", true),
            ("/e/readyz", true),
            ("/", false),
            ("/livez/x", false),
            ("/elivez", false),
            ("/e/e/livez", false),
            ("/oauth2/token", false),
        ] {
            assert_eq!(control_plane.own_runtime(path).is_some(), own, "{path}");
        }
    }
}
