//! Which requests the admin listener takes. It asks for no credentials, so pages in the operator's browser must neither
//! read from it nor change anything.

use http::{StatusCode, header};
use poem::Request;

use crate::{domain::gateway::models::http::page::is_local_host, problem::Problem};

/// Checks a request.
///
/// - A page of another site cannot read a response, unless its name is made to resolve to this machine (DNS rebinding):
///   then only `Host` gives it away. On a loopback address all operators call by `localhost` or by an address. Elsewhere
///   they may have any name for the gateway, and who reaches it is the network's business.
/// - A page can send what it cannot read, so none may change anything. Browsers send one of these headers with such a
///   request.
///
/// # Errors
/// `foreign_host`, `cross_site_request`
pub(in crate::api) fn check(request: &Request, on_loopback: bool) -> Result<(), Problem> {
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    if on_loopback && text(header::HOST).is_some_and(|host| !is_local_host(host)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign_host",
            "ADMIN_ADDR is a loopback address, so call it by localhost or by an IP address, because any page could give its own \
             name this address; to call it by another name (Host), set ADMIN_ADDR to an address that only operators reach",
        ));
    }
    let of_page = ["origin", "sec-fetch-site"].iter().any(|&name| request.headers().contains_key(name));
    if of_page && !request.method().is_safe() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "cross_site_request",
            "pages may not change anything here; send the request with a program such as curl",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn code(method: Method, headers: &[(&str, &str)], on_loopback: bool) -> Option<&'static str> {
        let request = Request::builder().method(method);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).finish();
        check(&request, on_loopback).err().map(|problem| problem.code)
    }

    #[test]
    fn on_a_loopback_address_no_page_of_another_name_reads_anything() {
        let hosts = |host| [false, true].map(|on_loopback| code(Method::GET, &[("host", host)], on_loopback));
        for own in ["localhost:9090", "LOCALHOST", "ops.localhost", "127.0.0.1:9090", "[::1]:9090", "10.0.0.7"] {
            assert_eq!(hosts(own), [None, None], "{own}");
        }
        for other in [
            "rebound.example:9090",
            "127.0.0.1.rebound.example",
            "localhost.rebound.example",
            "gateway:9090",
            "localhost@rebound.example",
            "",
            "\u{e9}",
        ] {
            assert_eq!(hosts(other), [None, Some("foreign_host")], "{other}");
        }
        assert_eq!(code(Method::GET, &[], true), None, "a program that sends no Host");
    }

    #[test]
    fn no_page_changes_anything_wherever_it_listens() {
        let page = [[("origin", "http://localhost:9090")], [("origin", "null")], [("sec-fetch-site", "same-site")]];
        for headers in page {
            for on_loopback in [false, true] {
                assert_eq!(code(Method::POST, &headers, on_loopback), Some("cross_site_request"), "{headers:?}");
                assert_eq!(code(Method::GET, &headers, on_loopback), None, "it cannot be read from there");
            }
        }
        assert_eq!(code(Method::POST, &[("host", "gateway:9090")], false), None, "curl");
    }
}
