use http::HeaderValue;

use super::*;

fn map(values: &[&str]) -> HeaderList {
    values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
}

#[test]
fn at_most_one_bearer_token_is_accepted() {
    let token = |values: &[&str]| presented(&map(values)).map(|token| token.map(<[u8]>::to_vec));
    for (value, expected) in [
        ("Bearer a.b.c", "a.b.c"),
        ("bearer a.b.c", "a.b.c"),
        ("BEARER  a.b.c ", "a.b.c"),
        ("Bearer hello world", "hello world"),
        ("Bearer 토큰", "토큰"),
    ] {
        assert_eq!(token(&[value]), Ok(Some(expected.as_bytes().to_vec())), "{value}");
    }
    for values in [&[][..], &["Basic dTpw"], &["Bearerx a"], &[""], &["Digest a=b"]] {
        assert_eq!(token(values), Ok(None), "{values:?}");
    }
    for values in [&["Bearer"][..], &["Bearer   "], &["Bearer a", "Bearer a"], &["Bearer a", "Basic b"]] {
        assert_eq!(token(values), Err(Failure::Credential), "{values:?}");
    }
}
