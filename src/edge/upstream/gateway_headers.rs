//! The headers that a service takes our word for. They are written straight into the request as it goes out, behind all that
//! came from the client: nothing that was done to those before can touch them.

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
        },
        observe::trace_context::{TRACEPARENT, TraceId, Traceparent, continue_trace},
    },
};

/// See the module.
pub(crate) struct GatewayHeaders<'r> {
    facts: &'r RequestFacts<'r>,
    via: &'static str,
    traceparent: Traceparent,
}

impl<'r> GatewayHeaders<'r> {
    /// Those of a request that came in this version; what its `headers` say of a trace is continued.
    pub(crate) fn new(facts: &'r RequestFacts<'r>, version: Version, headers: &mut HeaderList) -> Self {
        Self { facts, via: via(version), traceparent: continue_trace(headers, facts.random) }
    }

    /// The trace that the request belongs to.
    pub(crate) fn trace_id(&self) -> TraceId {
        self.traceparent.id()
    }

    /// Writes them into a head of HTTP/1.1.
    pub(crate) fn put(&self, head: &mut Vec<u8>) {
        self.each(|name, pieces| put_header_of(name.as_str(), pieces, head));
    }

    /// Adds them to the headers of a request of HTTP/2.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        self.each(|name, pieces| {
            // All of it is printable ASCII.
            if let Ok(value) = HeaderValue::try_from(pieces.concat()) {
                headers.append(name, value);
            }
        });
        mark_credentials(headers, self.facts.provider_token.as_ref().map(|(name, _)| name));
    }

    /// Each with the pieces of its value.
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
        put(&VIA, &[self.via.as_bytes()]);
    }
}

/// What has to be put before a path of the service's own to get the path outside: `/api` for a route from `/api/users` to
/// `/users`. If the two have nothing in common, the route's prefix is all there is to tell.
fn stripped_prefix(route: &Route) -> &str {
    let outside = route.prefix.as_str();
    outside.strip_suffix(route.upstream_prefix.as_str()).unwrap_or(outside)
}

/// Marks what the compression of heads must not remember (RFC 7541 §7.1.3), the header of a provider's token included.
fn mark_credentials(headers: &mut HeaderMap, of_provider: Option<&HeaderName>) {
    for (name, value) in headers {
        let is_credential = [AUTHORIZATION, COOKIE, X_GATEWAY_ASSERTION].contains(name);
        value.set_sensitive(is_credential || of_provider == Some(name));
    }
}

/// What `Via` says of a message that came to us in this version; we go by a pseudonym (RFC 9110 §7.6.3).
pub(crate) fn via(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0 gateway",
        Version::HTTP_2 => "2.0 gateway",
        _ => "1.1 gateway",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::tests::support::route;

    #[test]
    fn prefix_and_path_at_the_service_make_the_path_outside() {
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
    fn no_compression_may_remember_credentials() {
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
