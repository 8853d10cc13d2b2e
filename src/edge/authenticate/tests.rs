use super::*;

fn map(values: &[&str]) -> HeaderList {
    values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
}

#[test]
fn there_is_one_bearer_token_or_none() {
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

#[test]
fn a_subject_is_one_line_of_ascii_and_like_no_other() {
    for (subject, text) in [
        ("u1", "u1"),
        ("google|1@x.example", "google|1@x.example"),
        ("a b", "a%20b"),
        ("a%20b", "a%2520b"),
        ("a\r\nX-User-Scope: admin", "a%0D%0AX-User-Scope:%20admin"),
        ("\u{7f}\0", "%7F%00"),
        ("김", "%EA%B9%80"),
    ] {
        assert_eq!(header_text(subject), text);
    }
}
