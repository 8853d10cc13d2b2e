//! Keeps the gateway's cookies between the browser and the gateway: they never go to a service, and no service can set
//! them.

use http::{
    HeaderName,
    header::{COOKIE, SET_COOKIE},
};

use super::header_list::HeaderList;
use crate::domain::gateway::models::http::credential::{cookie, cookie_pairs};

/// The start of the names of the gateway's cookies, after a `__Host-` or `__Secure-` prefix if there is one.
const OUR_PREFIX: &[u8] = b"gateway_";

/// Removes the gateway's cookies from a request.
pub(crate) fn remove_ours_from_request(headers: &mut HeaderList) {
    if !headers.all(COOKIE).any(has_ours) {
        return;
    }
    let kept: Vec<Vec<u8>> = headers.all(COOKIE).filter_map(without_ours).collect();
    headers.remove(&COOKIE);
    for value in kept {
        headers.append(COOKIE, value);
    }
}

/// Whether a service may send this header: it may not set one of the gateway's cookies.
pub(crate) fn may_be_set(name: &HeaderName, value: &[u8]) -> bool {
    *name != SET_COOKIE || !is_gateway_cookie(value)
}

/// The value of a cookie in the request; of the first, if several have the name.
pub(crate) fn sent<'h>(headers: &'h HeaderList, name: &[u8]) -> Option<&'h [u8]> {
    cookie(headers.all(COOKIE), name)
}

fn has_ours(value: &[u8]) -> bool {
    cookie_pairs(value).any(is_gateway_cookie)
}

fn without_ours(value: &[u8]) -> Option<Vec<u8>> {
    let kept: Vec<&[u8]> = cookie_pairs(value).filter(|pair| !is_gateway_cookie(pair)).collect();
    if kept.is_empty() { None } else { Some(kept.join(&b"; "[..])) }
}

/// Whether a cookie is the gateway's. Some servers look names up case-insensitively. For a cookie without a name, a
/// browser sends only the value, which then reads as a name and a value (RFC 6265bis §5.7): `=gateway_session=x` comes
/// back as the gateway's cookie.
fn is_gateway_cookie(pair: &[u8]) -> bool {
    let nameless = pair.iter().take_while(|&&byte| byte == b'=' || byte.is_ascii_whitespace()).count();
    let name = pair[nameless..].split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
    let begins =
        |name: &[u8], prefix: &[u8]| name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix);
    let bare = [&b"__Host-"[..], b"__Secure-"].into_iter().find(|prefix| begins(name, prefix));
    begins(&name[bare.map_or(0, <[u8]>::len)..], OUR_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(cookies: &[&str]) -> Vec<String> {
        let mut headers: HeaderList = cookies.iter().map(|value| (COOKIE, value)).collect();
        remove_ours_from_request(&mut headers);
        headers.all(COOKIE).map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
    }

    #[test]
    fn gateway_cookies_are_removed_and_others_are_passed_on() {
        assert_eq!(rest(&["a=1; __Host-gateway_session=x; b=2"]), ["a=1; b=2"]);
        assert_eq!(rest(&["gateway_session=x;a=\"q\""]), ["a=\"q\""]);
        assert_eq!(rest(&["__Secure-gateway_login=x", "a=1"]), ["a=1"]);
        assert_eq!(rest(&["__host-GATEWAY_session=x; gateway_session = y"]), Vec::<String>::new());
        assert_eq!(rest(&["a=gateway_session=x", "b=1; gateway_session"]), ["a=gateway_session=x", "b=1"]);
        assert_eq!(rest(&["=__Host-gateway_session=x; a=1", " = gateway_session=x", "=b=1"]), ["a=1", "=b=1"]);
    }

    #[test]
    fn the_session_cookie_is_found_among_others() {
        let headers = |cookies: &[&str]| -> HeaderList { cookies.iter().map(|value| (COOKIE, value)).collect() };
        let found = |cookies: &[&str]| {
            sent(&headers(cookies), b"__Host-gateway_session").map(|value| String::from_utf8(value.to_vec()).unwrap())
        };
        assert_eq!(found(&["a=1;__Host-gateway_session = x=y ; b=2"]).as_deref(), Some("x=y"));
        assert_eq!(found(&["a=1", "__Host-gateway_session=x; __Host-gateway_session=y"]).as_deref(), Some("x"));
        for none in [
            "",
            "gateway_session=x",
            "__host-gateway_session=x",
            "__Host-gateway_session",
            "a=__Host-gateway_session=x",
        ] {
            assert_eq!(found(&[none]), None, "{none}");
        }
    }

    #[test]
    fn a_request_without_gateway_cookies_is_unchanged() {
        assert_eq!(rest(&["a=1;b=2 ;; c", "my_gateway_session=1"]), ["a=1;b=2 ;; c", "my_gateway_session=1"]);
        assert_eq!(rest(&[]), Vec::<String>::new());
    }
}
