//! Applies a route's traffic policy, in this order: addresses, rate limits by address, and after the caller is
//! authorised all other rate limits and the gateway's own answer. So an address that may not call at all costs nothing
//! more, guessing credentials is limited, and a caller who may not use a route does not learn what it would answer.

pub(crate) mod compression;
pub(crate) mod fixed_answer;
pub(crate) mod header_rules;
pub(crate) mod rate_limits;

use std::sync::Arc;

use self::{
    fixed_answer::Asked,
    rate_limits::{Quotas, Requester},
};
use super::{encoding::Coding, response_body::Response};
use crate::{
    domain::gateway::models::{rate_limit::RateLimit, service::Route, values::identity::Identity},
    edge::{
        auth::lookup::Lookup,
        error::Failure,
        http::{client_address::Client, header_list::HeaderList, message::RequestHead},
        limits::buckets::Buckets,
    },
};

/// Decides whether a client may send a request on a route, before anything is known about its caller.
pub(crate) fn admit_client(
    route: &Arc<Route>,
    quotas: &mut Quotas,
    buckets: &Buckets,
    client: &Client,
    head: &RequestHead,
) -> Result<(), Failure> {
    let Some(policy) = &route.traffic else { return Ok(()) };
    if !policy.addresses.allows(client.address.ip()) {
        return Err(Failure::AddressDenied);
    }
    if policy.rate_limits.is_empty() {
        return Ok(());
    }
    *quotas = Quotas::on(route);
    let requester = Requester { address: client.address.ip(), identity: None, head };
    quotas.take(buckets, &requester, RateLimit::is_by_address)
}

/// Decides whether an authorised caller, if there is one, may send one more request.
pub(crate) fn admit_caller(
    route: &Route,
    quotas: &mut Quotas,
    buckets: &Buckets,
    asked: &Asked<'_>,
    identity: Option<&Identity>,
) -> Result<(), Failure> {
    let Some(policy) = &route.traffic else { return Ok(()) };
    if policy.rate_limits.iter().all(RateLimit::is_by_address) {
        return Ok(());
    }
    let requester = Requester { address: asked.client.address.ip(), identity, head: asked.head };
    quotas.take(buckets, &requester, |limit| !limit.is_by_address())
}

/// Counts a request that this gateway accepts at all replicas, for the limits that they share. If they cannot be asked, our
/// own count decides.
pub(crate) async fn count_with_others(quotas: &mut Quotas, buckets: &Buckets, lookup: &Lookup) -> Result<(), Failure> {
    let demands = quotas.demands();
    let outcome = lookup.ask(|resolver| async move { resolver.take(&demands).await }).await;
    quotas.settle(buckets, outcome.ok())
}

/// The gateway's own answer to a request, if the route has one.
pub(crate) fn answer(route: &Route, asked: &Asked<'_>) -> Option<Result<Response, Failure>> {
    let policy = route.traffic.as_ref()?;
    let answer = fixed_answer::answer(route, policy, asked)?;
    Some(answer.map(|mut response| {
        header_rules::apply(&policy.response_headers, &mut response.headers);
        response
    }))
}

/// Applies the rules for the headers of a request. Returns the coding in which its client wants the response.
pub(crate) fn prepare(route: &Route, headers: &mut HeaderList) -> Option<Coding> {
    let policy = route.traffic.as_ref()?;
    // Before the rules: they may change what the service reads.
    let coding = compression::wanted(headers).filter(|_| policy.compress);
    header_rules::apply(&policy.request_headers, headers);
    coding
}

/// Applies the rules for the headers of a service's response, and compresses it with this coding.
pub(crate) fn finish(route: &Route, coding: Option<Coding>, is_head: bool, response: &mut Response) {
    let Some(policy) = &route.traffic else { return };
    header_rules::apply(&policy.response_headers, &mut response.headers);
    if policy.compress {
        compression::compress(coding, is_head, response);
    }
}
