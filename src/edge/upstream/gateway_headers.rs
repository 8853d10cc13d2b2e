//! Headers that only the gateway may set and services trust: identity, `X-Forwarded-*`, `traceparent`, `Via`. They are
//! written directly into the outgoing request, after all headers from the client: no processing of those can affect
//! them.

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{AUTHORIZATION, COOKIE, FORWARDED, VIA},
};

use super::request_facts::RequestFacts;
use crate::{
    domain::gateway::models::service::Route,
    edge::{
        http::{
            field_line::put_header_of,
            forwarded::forwarded,
            header_list::HeaderList,
            header_names::{
                X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PREFIX, X_FORWARDED_PROTO, X_GATEWAY_ASSERTION,
                X_REQUEST_ID, X_USER_EMAIL, X_USER_ID, X_USER_SCOPE,
            },
            via::received_protocol,
        },
        observe::trace_context::{TRACEPARENT, TraceId, Traceparent, continue_trace},
    },
};

/// The gateway's headers for one request.
pub(crate) struct GatewayHeaders<'r> {
    facts: &'r RequestFacts<'r>,
    received_protocol: &'static str,
    traceparent: Traceparent,
}

impl<'r> GatewayHeaders<'r> {
    /// The headers for a request that came in this version; a trace in its `headers` is continued.
    pub(crate) fn new(facts: &'r RequestFacts<'r>, version: Version, headers: &mut HeaderList) -> Self {
        let traceparent = continue_trace(headers, facts.random);
        Self { facts, received_protocol: received_protocol(version), traceparent }
    }

    /// The trace that the request belongs to.
    pub(crate) fn trace_id(&self) -> TraceId {
        self.traceparent.id()
    }

    /// Writes them into an HTTP/1.1 head.
    pub(crate) fn put(&self, head: &mut Vec<u8>) {
        self.each(|name, pieces| put_header_of(name.as_str(), pieces, head));
    }

    /// Adds them to the headers of an HTTP/2 request.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        self.each(|name, pieces| {
            // All values are printable ASCII.
            if let Ok(value) = HeaderValue::try_from(pieces.concat()) {
                headers.append(name, value);
            }
        });
        mark_credentials(headers, self.facts.provider_token.as_ref().map(|(name, _)| name));
    }

    /// Calls `put` for each header, with the pieces of its value.
    fn each(&self, mut put: impl FnMut(&HeaderName, &[&[u8]])) {
        let facts = self.facts;
        if let Some((name, token)) = &facts.provider_token {
            put(name, &[token.as_bytes()]);
        }
        if let Some(caller) = facts.caller.filter(|_| facts.permit.identity().is_some()) {
            put(&X_USER_ID, &[caller.user_id.as_bytes()]);
            put(&X_USER_SCOPE, &[caller.user_scope.as_bytes()]);
            if let Some(email) = &caller.user_email {
                put(&X_USER_EMAIL, &[email.as_bytes()]);
            }
            if let Some(assertion) = &facts.assertion {
                put(&X_GATEWAY_ASSERTION, &[assertion.as_bytes()]);
            }
        }
        put(&X_REQUEST_ID, &[facts.request_id.as_bytes()]);
        put(&X_FORWARDED_FOR, &[facts.client.forwarded_for.as_bytes()]);
        if let Some(host) = &facts.host {
            put(&X_FORWARDED_HOST, &[host]);
        }
        put(&X_FORWARDED_PROTO, &[facts.client.scheme.as_bytes()]);
        let prefix = stripped_prefix(facts.route);
        if !(prefix.is_empty() && facts.api_prefix.is_empty()) {
            put(&X_FORWARDED_PREFIX, &[facts.api_prefix.as_bytes(), prefix.as_bytes()]);
        }
        let host = facts.host.as_deref().and_then(|host| std::str::from_utf8(host).ok());
        put(&FORWARDED, &forwarded(facts.client.text(), host, facts.client.scheme).map(str::as_bytes));
        put(&TRACEPARENT, &[self.traceparent.as_bytes()]);
        put(&VIA, &[self.received_protocol.as_bytes(), b" ", facts.pseudonym.as_bytes()]);
    }
}

/// The prefix that turns a path at the service into the path outside: `/api` for a route from `/api/users` to `/users`.
/// If the two have nothing in common, it is the route's prefix.
fn stripped_prefix(route: &Route) -> &str {
    let outside = route.prefix.as_str();
    outside.strip_suffix(route.upstream_prefix.as_str()).unwrap_or(outside)
}

/// Marks the headers that header compression must not index (RFC 7541 §7.1.3), including the one with a provider's
/// token.
fn mark_credentials(headers: &mut HeaderMap, of_provider: Option<&HeaderName>) {
    for (name, value) in headers {
        let is_credential = [AUTHORIZATION, COOKIE, X_GATEWAY_ASSERTION].contains(name);
        value.set_sensitive(is_credential || of_provider == Some(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::tests::support::route;

    #[test]
    fn prefix_and_upstream_path_make_the_path_outside() {
        for (outside, inside, prefix) in [
            ("/api/users", "/users", "/api"),
            ("/api/users", "/", "/api/users"),
            ("/api/users", "/people", "/api/users"),
            ("/api/users", "/api/users", ""),
            ("/", "/", ""),
        ] {
            assert_eq!(stripped_prefix(&route(outside, "auth", inside)), prefix);
        }
    }

    #[test]
    fn credentials_are_never_indexed_by_compression() {
        let names = ["accept", "authorization", "cookie", "x-gateway-assertion", "x-google-token", "x-user-id"];
        let mut headers: HeaderMap =
            names.map(|name| (name.parse().unwrap(), "v".parse().unwrap())).into_iter().collect();
        let marked = |headers: &HeaderMap| names.map(|name| headers[name].is_sensitive());
        mark_credentials(&mut headers, None);
        assert_eq!(marked(&headers), [false, true, true, true, false, false]);
        mark_credentials(&mut headers, Some(&HeaderName::from_static("x-google-token")));
        assert_eq!(marked(&headers), [false, true, true, true, true, false]);
    }
}
