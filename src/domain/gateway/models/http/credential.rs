//! Credentials in request headers: the bearer token in `Authorization`, and cookies. Both halves of the gateway read them
//! by the same rules.

use thiserror::Error;

/// `Authorization` holds no credential that can be used (RFC 6750 §3.1, `invalid_request`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidBearer {
    /// There are several headers.
    #[error("there must be only one Authorization header")]
    Repeated,
    /// The token is missing.
    #[error("the header must be `Authorization: Bearer <access token>`")]
    Empty,
}

/// The token in `Authorization` (RFC 6750 §2.1), given every value of that header. Other schemes are ignored, but there
/// may be at most one credential.
pub fn bearer_token<'h>(mut values: impl Iterator<Item = &'h [u8]>) -> Result<Option<&'h [u8]>, InvalidBearer> {
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(one), None) => one,
        (Some(_), Some(_)) => return Err(InvalidBearer::Repeated),
    };
    let (scheme, token) = value.split_at(value.iter().position(|&byte| byte == b' ').unwrap_or(value.len()));
    match token.trim_ascii() {
        _ if !scheme.eq_ignore_ascii_case(b"bearer") => Ok(None),
        [] => Err(InvalidBearer::Empty),
        token => Ok(Some(token)),
    }
}

/// The pairs in a value of `Cookie` (RFC 6265 §4.2.1).
pub fn cookie_pairs(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// The value of a cookie, given every value of `Cookie`; of the first, if several have the name.
pub fn cookie<'h>(values: impl Iterator<Item = &'h [u8]>, name: &[u8]) -> Option<&'h [u8]> {
    values.flat_map(cookie_pairs).find_map(|pair| {
        let (begin, value) = pair.split_at(pair.iter().position(|&byte| byte == b'=')?);
        (begin.trim_ascii() == name).then(|| value[1..].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_one_bearer_token_is_accepted() {
        fn token<'v>(values: &[&'v str]) -> Result<Option<&'v [u8]>, InvalidBearer> {
            bearer_token(values.iter().map(|value| value.as_bytes()))
        }
        for (value, expected) in [
            ("Bearer a.b.c", "a.b.c"),
            ("bearer a.b.c", "a.b.c"),
            ("BEARER  a.b.c ", "a.b.c"),
            ("Bearer hello world", "hello world"),
            ("Bearer 토큰", "토큰"),
        ] {
            assert_eq!(token(&[value]), Ok(Some(expected.as_bytes())), "{value}");
        }
        for values in [&[][..], &["Basic dTpw"], &["Bearerx a"], &["BearerToken"], &[""], &["Digest a=b"]] {
            assert_eq!(token(values), Ok(None), "{values:?}");
        }
        for empty in ["Bearer", "Bearer   ", "bearer "] {
            assert_eq!(token(&[empty]), Err(InvalidBearer::Empty), "{empty:?}");
        }
        for values in [["Bearer a", "Bearer a"], ["Bearer a", "Basic b"], ["Basic a", "Bearer b"]] {
            assert_eq!(token(&values), Err(InvalidBearer::Repeated), "{values:?}");
        }
    }

    #[test]
    fn the_first_cookie_of_a_name_counts() {
        let values = [&b"a=1; gateway_session=s ; b"[..], b"gateway_session=later;c==2"];
        let read = |name: &str| cookie(values.into_iter(), name.as_bytes());
        assert_eq!(read("gateway_session"), Some(&b"s"[..]));
        assert_eq!((read("a"), read("c")), (Some(&b"1"[..]), Some(&b"=2"[..])));
        assert_eq!((read("b"), read("d"), read("")), (None, None, None));
    }
}
