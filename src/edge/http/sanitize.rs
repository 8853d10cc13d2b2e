//! Decides which received headers may be forwarded. Hop-by-hop headers, and headers that a service trusts only from the
//! gateway, are removed from a message before the gateway sets its own. So a client can neither forge the gateway's
//! headers nor have them removed by naming them in `Connection`.

use std::collections::HashSet;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName,
    header::{CONNECTION, EXPECT, HOST, TE, TRAILER},
};
use http_body::Frame;

use super::{
    cookies,
    header_list::HeaderList,
    header_names::X_REQUEST_ID,
    header_values::{TRAILERS, all_elements, elements, wants_trailers},
};
use crate::domain::gateway::models::http::header::{are_alike, is_framing, is_gateway_header, may_be_trailer};

/// Removes the headers of a client's request that may not be forwarded.
pub(crate) fn sanitise_request(headers: &mut HeaderList) {
    let wants_trailers = wants_trailers(headers);
    // The gateway handles `Expect` itself: it asks for the body when the service takes it.
    remove_connection_headers(headers, |name, _| *name != EXPECT && !is_gateway_header(name.as_str()));
    if wants_trailers {
        headers.append(TE, TRAILERS);
    }
}

/// Removes the trailers that may not be forwarded.
fn sanitise_trailers(trailers: &mut HeaderMap) {
    let doomed: Vec<HeaderName> = trailers.keys().filter(|name| !may_be_trailer(name.as_str())).cloned().collect();
    for name in doomed {
        trailers.remove(name);
    }
}

/// The forwardable part of trailers, if there is any.
pub(crate) fn forwardable(trailers: Frame<Bytes>) -> Option<Frame<Bytes>> {
    let mut trailers = trailers.into_trailers().ok()?;
    sanitise_trailers(&mut trailers);
    (!trailers.is_empty()).then(|| Frame::trailers(trailers))
}

/// Removes every header that some server would read as `name`.
pub(crate) fn remove_all_like(headers: &mut HeaderList, name: &str) {
    headers.retain(|known, _| !are_alike(known.as_str(), name));
}

/// Removes the headers by which some frameworks override a request's method: with them, a request could bypass rules
/// that depend on the method.
pub(crate) fn remove_method_overrides(headers: &mut HeaderList) {
    headers.retain(|name, _| !is_method_override(name.as_str()));
}

/// Whether some frameworks take the value of this header for the method of a request.
pub(crate) fn is_method_override(name: &str) -> bool {
    const NAMES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];
    NAMES.iter().any(|known| are_alike(name, known))
}

/// Removes the headers of a service's response that may not be forwarded.
pub(crate) fn sanitise_response(headers: &mut HeaderList) {
    remove_connection_headers(headers, |name, value| *name != X_REQUEST_ID && cookies::may_be_set(name, value));
}

/// `Trailer` without the names of trailers that are not forwarded (RFC 9110 §6.6.2).
fn announced_trailers(headers: &HeaderList) -> Option<String> {
    let names = all_elements(headers, TRAILER).filter_map(|name| HeaderName::from_bytes(name).ok());
    let kept: Vec<String> =
        names.filter(|name| may_be_trailer(name.as_str())).map(|name| name.as_str().to_owned()).collect();
    if kept.is_empty() { None } else { Some(kept.join(", ")) }
}

/// Removes hop-by-hop headers, and the headers that `Connection` names (RFC 9110 §7.6.1). `Trailer` is forwarded, as it
/// concerns the other end, too. Of the other headers, those stay for which `is_forwardable` is true.
fn remove_connection_headers(headers: &mut HeaderList, is_forwardable: impl Fn(&HeaderName, &[u8]) -> bool) {
    let trailers = announced_trailers(headers);
    let named = named_in_connection(headers);
    headers.retain(|name, value| {
        !is_hop_by_hop(name.as_str())
            && !is_framing(name.as_str())
            && !named.contains(name)
            && is_forwardable(name, value)
    });
    if let Some(trailers) = trailers {
        headers.append(TRAILER, trailers);
    }
}

/// The names in `Connection`, beyond those that are removed anyway. A set, as there may be thousands of them.
fn named_in_connection(headers: &HeaderList) -> HashSet<HeaderName> {
    // The most frequent value names no other header.
    let others = headers.all(CONNECTION).filter(|value| !value.eq_ignore_ascii_case(b"keep-alive"));
    others
        .flat_map(elements)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        // A sender may not remove the host that a message is for.
        .filter(|name| *name != HOST)
        .collect()
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "upgrade"
            | "http2-settings"
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::header_names::{
        X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PREFIX, X_FORWARDED_PROTO, X_USER_ID, X_USER_SCOPE,
    };
    use super::*;
    use crate::domain::gateway::models::http::header::TokenHeader;

    fn map<M: FromIterator<(HeaderName, HeaderValue)>>(headers: &[(&str, &str)]) -> M {
        headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn left(headers: &[(&str, &str)]) -> Vec<String> {
        let mut headers = map(headers);
        sanitise_request(&mut headers);
        let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn gateway_headers_never_come_from_outside() {
        for name in [
            "X-User-Id",
            "x_user_id",
            "X.User.Id",
            "X-User_Scope",
            "X-USER-ANYTHING",
            "X-Gateway-Secret",
            "x-auth-request-user",
            "X_Auth_User",
            "X-Forwarded-For",
            "X_Forwarded_Host",
            "X-Forwarded-Proto",
            "X-Forwarded-Anything",
            "Forwarded",
            "X-Real-IP",
            "X_Real_IP",
            "X-Request-Id",
            "x.request_id",
            "x-middleware-subrequest",
            "X_Middleware_Subrequest",
            "X-Original-URL",
            "X-Rewrite-URL",
        ] {
            assert_eq!(left(&[(name, "spoofed"), ("accept", "*/*")]), ["accept"], "{name}");
        }
    }

    #[test]
    fn no_token_header_is_one_that_is_sanitised_here() {
        let ours = [&X_USER_ID, &X_USER_SCOPE, &X_REQUEST_ID, &X_FORWARDED_FOR, &X_FORWARDED_HOST, &X_FORWARDED_PROTO];
        let connection =
            ["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te"];
        let framing = ["trailer", "transfer-encoding", "upgrade", "http2-settings", "content-length", "host"];
        let more = [&X_FORWARDED_PREFIX, &EXPECT];
        assert!(connection.iter().chain(&framing[..3]).all(|name| is_hop_by_hop(name) || is_framing(name)));
        let ours = ours.into_iter().chain(more).map(HeaderName::as_str);
        for name in ours.chain(connection).chain(framing).chain(["set-cookie"]) {
            assert!(name.parse::<TokenHeader>().is_err(), "{name}");
        }
    }

    #[test]
    fn merely_similar_names_pass() {
        let names = ["x-username", "x-users", "x-real-ipx", "forwardedx", "user-id", "x-requested-with", "xuser-id"];
        for name in names {
            assert_eq!(left(&[(name, "1")]), [name]);
        }
    }

    #[test]
    fn hop_by_hop_headers_are_removed() {
        let headers = [
            ("connection", "keep-alive, X-Custom"),
            ("connection", "x-other ,, content-length, host, accept"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip"),
            ("trailer", "x-user-id"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("http2-settings", "x"),
            ("expect", "100-continue"),
            ("x-custom", "1"),
            ("x-other", "1"),
            ("accept", "*/*"),
            ("content-length", "5"),
            ("host", "x"),
            ("cookie", "a=b"),
        ];
        assert_eq!(left(&headers), ["cookie", "host"]);
    }

    #[test]
    fn headers_that_a_server_could_read_as_the_length_are_removed() {
        for name in ["content_length", "Content.Length", "transfer_encoding", "Transfer.Encoding"] {
            assert_eq!(left(&[(name, "5"), ("content-type", "a/b")]), ["content-type"], "{name}");
        }
    }

    #[test]
    fn trailers_are_forwarded_unless_they_could_pass_for_headers() {
        let mut headers = map(&[
            ("connection", "te, trailer"),
            ("te", "gzip, Trailers"),
            ("trailer", "X-Checksum , x-user-id"),
            ("trailer", "grpc-status"),
        ]);
        sanitise_request(&mut headers);
        assert_eq!(headers, map(&[("trailer", "x-checksum, grpc-status"), ("te", "trailers")]));
        let mut trailers: HeaderMap = map(&[("grpc-status", "0"), ("x-user-id", "u1"), ("authorization", "x")]);
        sanitise_trailers(&mut trailers);
        assert_eq!(trailers, map(&[("grpc-status", "0")]));
    }

    #[test]
    fn a_response_is_sanitised_alike_and_cannot_set_our_cookie() {
        let mut headers = map(&[
            ("connection", "close, x-internal"),
            ("x-internal", "1"),
            ("transfer-encoding", "chunked"),
            ("x-request-id", "theirs"),
            ("set-cookie", "__Host-gateway_session=fixated; Path=/"),
            ("set-cookie", "=__Host-gateway_session=fixated; Path=/"),
            ("set-cookie", " = gateway_session=fixated"),
            ("set-cookie", "__host-GATEWAY_session"),
            ("set-cookie", "theme=dark"),
            ("x-user-id", "u1"),
        ]);
        sanitise_response(&mut headers);
        assert_eq!(headers.len(), 2);
        assert_eq!((&headers["set-cookie"], &headers["x-user-id"]), ("theme=dark", "u1"));
    }
}
