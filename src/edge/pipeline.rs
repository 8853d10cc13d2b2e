//! The steps of a request: validate its form, normalise its path, find its route, check its client against the route's
//! policy, authenticate the caller, authorise them, check their limits, limit the size, get the caller's provider token,
//! and forward. The first step that fails determines the response.

pub(crate) mod additions;
pub(crate) mod control_plane;
pub(crate) mod core;
pub(crate) mod cors;
pub(crate) mod encoding;
pub(crate) mod error_response;
pub(crate) mod response_body;
pub(crate) mod shortage;
pub(crate) mod target;
pub(crate) mod traffic;

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use bytes::Bytes;
use http::{Method, Version};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use self::{
    additions::Additions,
    core::Core,
    cors::CorsDecision,
    response_body::Response,
    target::{host, options, other_methods, preflight_for},
    traffic::{fixed_answer::Asked, rate_limits::Quotas},
};
use super::upstream::request_facts::RequestFacts;
use crate::{
    config::ListenerSettings,
    domain::gateway::models::{
        access::{Accepted, Access, Denied},
        service::{Route, Wanted},
    },
    edge::{
        auth::{
            authenticate,
            browser::{self, Transport},
            provider_identity::identity_at,
            provider_token::provider_token,
        },
        body::{buffering, incoming::Incoming, request_body::RequestBody},
        error::{Failure, Source},
        http::{
            client_address::{Client, Peer},
            header_names::X_REQUEST_ID,
            message::{BodyLength, RequestHead},
            path,
            sanitize::{remove_method_overrides, sanitise_request},
        },
        http1::request_head::BadHead,
        http2::validate,
        limits::{
            in_flight::ClientPermits,
            permit::{CorePermits, Permit},
        },
        observe::{
            access_log::Record,
            request_id::{self, RequestText},
        },
        ports::RequestOrigin,
        timer::client_timeouts::ConnectionState,
        upstream::{
            cluster::Cluster,
            forward::{ExchangeLimits, forward},
            pool::http2::MAX_SHARED_BODY_BYTES,
            request::{UpstreamRequest, max_forwards},
            router::Destination,
            upgrade,
        },
    },
};

/// Answers one request. An error becomes a response, too; each response carries the request's id, and each request
/// leaves one line in the log.
pub(crate) async fn respond(
    core: &Core,
    peer: &Peer,
    connection_state: &Rc<ConnectionState>,
    request: &mut RequestHead,
    body: Incoming,
) -> Box<Response> {
    let of_proxy = request_id::of_proxy(peer, &request.headers);
    let id = of_proxy.map_or_else(|| core.random.next(), RequestText::of);
    let target = Some(request.uri.clone());
    let mut record =
        Record::begin(&core.access_log, request.method.clone(), target, id.clone(), Rc::clone(connection_state));
    let transport = core.auth.browsers.transport(Some(request), peer.is_trusted());
    let mut additions = Additions::default();
    let outcome = shielded(pin!(handle(core, peer, &id, request, body, &mut record, &mut additions))).await;
    finished(outcome, &id, record, additions, transport)
}

/// Responds to input that could not be parsed as a request.
pub(crate) fn refuse(core: &Core, connection_state: &Rc<ConnectionState>, bad: BadHead) -> Box<Response> {
    let id = core.random.next();
    let record = Record::begin(&core.access_log, Method::default(), None, id.clone(), Rc::clone(connection_state));
    let transport = core.auth.browsers.transport(None, false);
    finished(Err(Failure::Head(bad)), &id, record, Additions::default(), transport)
}

fn finished(
    outcome: Result<Box<Response>, Failure>,
    id: &RequestText,
    mut record: Box<Record>,
    additions: Additions,
    transport: Transport,
) -> Box<Response> {
    let mut response = outcome.unwrap_or_else(|failure| {
        record.upload_ended();
        record.refused(failure.code());
        match failure.source() {
            Source::Client | Source::Shortage => debug!(request_id = %id, ?failure, "a request was refused"),
            Source::Upstream => {
                let (service, why) = (record.service_at(), failure.why());
                let trouble = record.trouble().unwrap_or(why);
                warn!(request_id = %id, "{service}: {trouble}");
            }
            Source::Gateway => error!(request_id = %id, ?failure, "a request could not be handled"),
        }
        Box::new(failure.respond(id))
    });
    response.headers.append(X_REQUEST_ID, id.as_bytes());
    transport.secure(&mut response.headers);
    additions.apply(&mut response.headers);
    record.answered(response.status);
    response.body.record(record);
    response
}

/// Turns a panic while handling a request into an error response: neither the core nor the process ends.
async fn shielded<T>(mut handling: Pin<&mut impl Future<Output = Result<T, Failure>>>) -> Result<T, Failure> {
    std::future::poll_fn(move |context| {
        // The request's own state is dropped with it; shared state is consistent between any two steps.
        std::panic::catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(context))).unwrap_or_else(|_| {
            error!("handling a request panicked");
            Poll::Ready(Err(Failure::Internal))
        })
    })
    .await
}

async fn handle(
    core: &Core,
    peer: &Peer,
    id: &RequestText,
    head: &mut RequestHead,
    mut body: Incoming,
    record: &mut Record,
    additions: &mut Additions,
) -> Result<Box<Response>, Failure> {
    match head.method {
        Method::TRACE => return Err(Failure::Trace),
        Method::CONNECT => return Err(Failure::Connect),
        _ => {}
    }
    if head.version == Version::HTTP_2 {
        validate::validate(head, !body.is_empty()).map_err(Failure::Head)?;
        body.expect(head.length);
    }
    additions.cors = CorsDecision::of(&core.auth.browsers.allowed_origins, &head.headers);
    let uri = std::mem::take(&mut head.uri);
    let host = host(&uri, &head.headers, head.version)?;
    let host = peer.forwarded_host(&head.headers).or(host);
    if head.method == Method::OPTIONS && (uri.path() == "*" || max_forwards(&head.headers)? == Some(0)) {
        return Ok(Box::new(options()));
    }
    let canonical = path::canonical(uri.path()).map_err(Failure::Path)?;
    let (api_prefix, path) = core.auth.browsers.split(&canonical.path);
    let ListenerSettings { trusted_proxies, client_address_header, .. } = &core.listener;
    let client = peer.client(&head.headers, trusted_proxies, *client_address_header);
    record.comes_from(client.address.ip());
    let upgrade = upgrade::asked(head.version, &head.headers, &body);
    sanitise_request(&mut head.headers);
    let router = core.router();
    let wanted = Wanted {
        path,
        spellings: canonical.spellings,
        method: head.method.as_str(),
        preflight_for: preflight_for(&head.method, &head.headers),
    };
    let destination = router.destination(wanted);
    if !matches!(destination, Destination::OwnPath)
        && let Some(response) = additions.cors.preflight(&head.method, &head.headers)
    {
        return Ok(Box::new(response));
    }
    match destination {
        Destination::NoRoute => Err(Failure::NoRoute),
        Destination::Refused(spelling) => Err(Failure::Path(spelling.into())),
        Destination::OtherMethods(others) => Err(other_methods(others)),
        Destination::OwnPath => {
            record.in_flight.client = client_permit(core, peer, &client, |permits| &permits.own_paths)?;
            let target = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
            let origin = RequestOrigin { request_id: id.id, client: client.address, scheme: client.scheme };
            Box::pin(control_plane::respond(core, std::mem::take(head), body, target, host, origin, record)).await
        }
        Destination::Service { route, cluster, by_method } => {
            record.goes_by(route, path);
            if core.process.has_sent(&head.headers, &route.prefix) {
                core.shortages.note(route, &Failure::Loop);
                return Err(Failure::Loop);
            }
            let rates = core.upstream.limits.rates();
            traffic::admit_client(route, &mut additions.quotas, rates, &client, head)?;
            if additions.quotas.has_shared() {
                Box::pin(traffic::count_with_others(&mut additions.quotas, rates, &core.auth.lookup)).await?;
            }
            record.in_flight.client = client_permit(core, peer, &client, |permits| &permits.proxied)?;
            if by_method {
                remove_method_overrides(&mut head.headers);
            }
            let incoming = Checked { head, body, api_prefix, path, query: uri.query(), host, client, upgrade, id };
            let quotas = &mut additions.quotas;
            let answered = proxy(core, &router.snapshot, route, cluster, incoming, (record, quotas)).await;
            answered.inspect_err(|failure| core.shortages.note(route, failure))
        }
    }
}

/// A request whose form was found valid.
struct Checked<'r> {
    head: &'r mut RequestHead,
    body: Incoming,
    api_prefix: &'r str,
    path: &'r str,
    query: Option<&'r str>,
    host: Option<Bytes>,
    client: Client,
    upgrade: Option<Vec<u8>>,
    id: &'r RequestText,
}

async fn proxy(
    core: &Core,
    snapshot: &crate::edge::snapshot::Snapshot,
    route: &Route,
    cluster: Option<&Cluster>,
    mut request: Checked<'_>,
    (record, quotas): (&mut Record, &mut Quotas),
) -> Result<Box<Response>, Failure> {
    let mut limits = limits(core, route);
    record.may_idle(limits.idle);
    request.body.may_idle(limits.idle);
    // A WebSocket begins with a GET, and any page may open one.
    let changes = !request.head.method.is_safe() || request.upgrade.is_some();
    let accepted = route.access.accepted();
    let caller = match authenticate(&core.auth, snapshot, accepted, &request.head.headers, changes).await {
        Ok(caller) => caller,
        // On an open route, an invalid credential is ignored: it may be meant for the service alone.
        Err(_) if route.access == Access::Open => None,
        Err(failure) => return Err(failure),
    };
    if let Some(caller) = &caller {
        record.is_of(caller);
        snapshot.has_news_for(route).then_some(()).ok_or(Failure::RevocationsUnheard)?;
    }
    let identity = caller.as_ref().map(|caller| caller.identity.clone());
    let linked_provider = identity_at(
        &core.auth.lookup,
        &core.auth.provider_identities,
        snapshot,
        route.access.provider(),
        identity.as_ref(),
    )
    .await?;
    let permit = route.access.authorise(identity, linked_provider).map_err(|denied| refused(core, denied, &request))?;
    let Checked { head, client, api_prefix, path, query, .. } = &request;
    let asked = Asked { head, client, api_prefix, path, query: *query };
    let rates = core.upstream.limits.rates();
    traffic::admit_caller(route, quotas, rates, &asked, permit.identity())?;
    if quotas.has_shared() {
        Box::pin(traffic::count_with_others(quotas, rates, &core.auth.lookup)).await?;
    }
    if let Some(answer) = traffic::answer(route, &asked) {
        return answer.map(Box::new);
    }
    if route.end_with_token && route.access != Access::Open {
        limits.token = caller.as_ref().map(|caller| &caller.identity);
    }
    let limit_bytes = route.body_limit_bytes;
    if matches!(request.head.length, BodyLength::Known(length) if length > limit_bytes) {
        return Err(Failure::BodyTooLarge { limit_bytes });
    }
    let cluster = cluster.ok_or(Failure::NoInstance)?;
    let body = RequestBody::new(request.body, limit_bytes);
    if let Some(upload) = body.upload() {
        record.uploads(upload);
        // A small body shares an HTTP/2 connection with others. If its head declares no length, it does so if it has
        // arrived completely.
        if cluster.speaks_http2() && request.head.length == BodyLength::Unknown {
            buffering::buffer_what_is_there(upload, MAX_SHARED_BODY_BYTES, &core.buffered).await?;
        } else if !cluster.speaks_http2() && route.buffer_bytes > 0 {
            // Buffer before obtaining anything that could expire meanwhile, and before the request counts against the
            // service.
            buffering::buffer(upload, route.buffer_bytes, &core.buffered, limits.idle, limits.deadline).await?;
        }
    }
    cluster.state.admit().map_err(|wait| Failure::CircuitOpen { wait })?;
    record.in_flight.service =
        Some(cluster.permit(&core.upstream.limits, &route.service).ok_or(Failure::ServiceOverloaded)?);
    if let Some(limit) = route.max_requests {
        let permit = core.upstream.limits.on_route(route, limit);
        record.in_flight.route = Some(permit.ok_or(Failure::RouteOverloaded)?);
    }
    let assertion = match &caller {
        Some(caller) if route.assertion => {
            Some(Box::pin(caller.assertion(&core.auth.lookup, &*snapshot.keys, &route.service)).await?)
        }
        Some(_) | None => None,
    };
    let provider_token = match &route.provider_token {
        None => None,
        Some(wanted) => {
            let name = wanted.header.as_str().parse().map_err(|_| Failure::Internal)?;
            Some((
                name,
                Box::pin(provider_token(&core.auth.lookup, &core.auth.provider_tokens, snapshot, wanted, &permit))
                    .await?,
            ))
        }
    };
    let coding = traffic::prepare(route, &mut request.head.headers);
    let facts = RequestFacts {
        request_id: request.id,
        client: &request.client,
        host: request.host,
        route,
        api_prefix: request.api_prefix,
        path: request.path,
        query: request.query,
        permit,
        caller: caller.as_deref(),
        assertion,
        provider_token,
        upgrade: request.upgrade,
        random: core.random.bytes(),
        pseudonym: core.process.pseudonym(&route.prefix),
    };
    let outgoing = UpstreamRequest::new(request.head, body, &facts)?;
    record.belongs_to(outgoing.trace_id());
    let mut response = forward(&core.upstream, cluster, &outgoing, &limits, record).await?;
    traffic::finish(route, coding, outgoing.is_head(), &mut response);
    Ok(response)
}

/// A permit for one more request of a client, if the client is limited at all.
fn client_permit(
    core: &Core,
    peer: &Peer,
    client: &Client,
    kind: impl FnOnce(&ClientPermits) -> &Rc<CorePermits>,
) -> Result<Option<Permit>, Failure> {
    let Some(permits) = peer.permits(client, &core.upstream.limits, &core.listener.trusted_proxies) else {
        return Ok(None);
    };
    kind(&permits).try_acquire().map(Some).ok_or(Failure::ClientOverloaded)
}

/// The error for a request that may not be forwarded. A browser navigation that lacks a session is redirected to the
/// login.
fn refused(core: &Core, denied: Denied, request: &Checked<'_>) -> Failure {
    let could_be_signed_in = matches!(denied, Denied::CredentialMissing(Accepted::Session | Accepted::TokenOrSession));
    if could_be_signed_in
        && request.upgrade.is_none()
        && browser::navigates(&request.head.method, &request.head.headers)
        && let Some(location) =
            core.auth.browsers.sign_in(&format!("{}{}", request.api_prefix, request.path), request.query)
    {
        return Failure::SignIn(location);
    }
    Failure::Denied(denied)
}

/// The time limits for a request on this route, from now on.
fn limits<'r>(core: &Core, route: &Route) -> ExchangeLimits<'r> {
    let of_route = &route.time_limits;
    ExchangeLimits {
        connect: of_route.connect.unwrap_or(core.upstream.settings.connect_timeout),
        first_byte: of_route.first_byte.unwrap_or(core.upstream.settings.first_byte_timeout),
        idle: of_route.idle.unwrap_or(core.listener.idle_timeout),
        deadline: of_route.total.map(|total| Instant::now() + total),
        token: None,
    }
}
