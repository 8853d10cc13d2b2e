use super::*;
use crate::{
    domain::gateway::models::{
        access::{ClaimDemand, ClaimValue},
        oauth::ProviderName,
        token::Rejection,
        values::{id::RequestId, scope::Scope},
    },
    edge::{
        error::{Retry, Source},
        http::path::BadPath,
    },
};

const MISSING: Denied = Denied::CredentialMissing(Accepted::Token);

fn respond(failure: &Failure) -> Response {
    failure.respond(&RequestText::of(RequestId::from_random([7; 16])))
}

fn challenge(failure: &Failure) -> String {
    respond(failure).headers["www-authenticate"].to_owned()
}

fn scope() -> Scope {
    "a b".parse().unwrap()
}

fn provider() -> ProviderName {
    "my-idp".parse().unwrap()
}

fn every_failure() -> Vec<Failure> {
    let mut all = vec![
        Failure::Head(BadHead::TooLarge),
        Failure::Head(BadHead::Version),
        Failure::Head(BadHead::Host),
        Failure::Path(BadPath::DotSegment),
        Failure::Authority,
        Failure::Trace,
        Failure::Connect,
        Failure::MaxForwards,
        Failure::Credential,
        Failure::Denied(MISSING),
        Failure::Denied(Denied::ScopeMissing(scope())),
        Failure::Denied(Denied::AnyScopeMissing(scope())),
        Failure::Denied(Denied::ClaimMissing(ClaimDemand { name: "role".into(), one_of: vec![ClaimValue::Number(1)] })),
        Failure::Denied(Denied::ProviderMissing(provider())),
        Failure::CrossSite,
        Failure::NoRoute,
        Failure::MethodNotAllowed { allow: HeaderValue::from_static("GET, HEAD") },
        Failure::BodyTooLarge { limit_bytes: 3 },
        Failure::BodyBroken,
        Failure::BodyTimeout,
        Failure::ClientOverloaded,
        Failure::RouteOverloaded,
        Failure::ServiceOverloaded,
        Failure::ConnectionsExhausted,
        Failure::NoInstance,
        Failure::CheckUnavailable,
        Failure::ProviderGrantMissing(provider()),
        Failure::ReauthorizationRequired(provider()),
        Failure::ProviderUnavailable(provider()),
        Failure::VaultUnavailable,
        Failure::Unreachable,
        Failure::ConnectTimeout,
        Failure::HungUp,
        Failure::BadResponse,
        Failure::ResponseTimeout,
        Failure::Internal,
    ];
    all.extend(Rejection::ALL.map(Failure::Token));
    all
}

#[test]
fn the_status_matches_the_source_of_the_failure() {
    for failure in every_failure() {
        let status = respond(&failure).status;
        match failure.source() {
            Source::Shortage => assert_eq!(status, 503, "{failure:?}"),
            // So that a client that was asked to wait does so: a 429 would blame its requests.
            Source::Client if failure == Failure::ClientOverloaded => assert_eq!(status, 503),
            // 501 and 505 concern the request, too.
            Source::Client => {
                assert!(status.is_client_error() || matches!(status.as_u16(), 501 | 505), "{failure:?}: {status}");
            }
            Source::Upstream => assert!(matches!(status.as_u16(), 502..=504), "{failure:?}: {status}"),
            Source::Gateway => assert!(matches!(status.as_u16(), 500 | 503), "{failure:?}: {status}"),
        }
    }
}

#[test]
fn a_401_and_a_403_carry_the_challenge_of_rfc_6750() {
    assert_eq!(challenge(&Failure::Denied(MISSING)), r#"Bearer realm="gateway""#);
    assert_eq!(
        challenge(&Failure::Token(Rejection::Expired)),
        r#"Bearer realm="gateway", error="invalid_token", error_description="the token has expired""#
    );
    assert_eq!(
        challenge(&Failure::Denied(Denied::ScopeMissing(scope()))),
        r#"Bearer realm="gateway", error="insufficient_scope", scope="a b""#
    );
    for failure in every_failure() {
        let response = respond(&failure);
        // No other token would supply anything else that is missing (RFC 6750 §3.1).
        let lacks_scope = matches!(failure, Failure::Denied(Denied::ScopeMissing(_) | Denied::AnyScopeMissing(_)));
        let must = response.status == StatusCode::UNAUTHORIZED || lacks_scope;
        assert!(!must || response.headers.contains(&WWW_AUTHENTICATE), "{failure:?}");
    }
}

#[test]
fn a_login_is_a_redirect() {
    let response = respond(&Failure::SignIn(HeaderValue::from_static("/e/login")));
    assert_eq!((response.status, &response.headers["location"]), (StatusCode::SEE_OTHER, "/e/login"));
    assert_eq!(&response.headers["cache-control"], "no-store");
}

#[test]
fn a_503_has_retry_after_and_a_405_has_allow() {
    for failure in every_failure() {
        let response = respond(&failure);
        assert_eq!(response.status.as_u16() == 503, response.headers.contains(&RETRY_AFTER), "{failure:?}");
        assert_eq!(response.status.as_u16() == 405, response.headers.contains(&ALLOW), "{failure:?}");
    }
}

#[test]
fn only_unsent_or_idempotent_requests_are_retried() {
    for failure in every_failure() {
        let expected = match failure {
            Failure::Unreachable | Failure::ConnectTimeout => Retry::Any,
            Failure::HungUp => Retry::Idempotent,
            _ => Retry::Never,
        };
        assert_eq!(failure.retry(), expected, "{failure:?}");
    }
}

#[test]
fn a_limit_is_written_in_its_largest_whole_unit() {
    for (bytes, written) in [(10 << 20, "10 MiB"), (256 << 10, "256 KiB"), (1025, "1025 bytes"), (0, "0 bytes")] {
        assert_eq!(Failure::BodyTooLarge { limit_bytes: bytes }.why(), format!("the body must be at most {written}"));
    }
}

#[test]
fn a_refused_path_comes_with_a_remedy() {
    assert_eq!(Failure::Path(BadPath::DotSegment).why(), "the path has a dot segment; remove it, encoded or not");
}
