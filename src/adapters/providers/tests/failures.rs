//! Failures, with GitHub as the example; the flow is the same for all.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::fake::Reply;
use super::*;

async fn refresh_of(reply: impl Into<Reply>) -> Result<ProviderTokens, ProviderError> {
    let fake = Fake::start().await;
    fake.on("POST /token", reply);
    let outcome = provider("GITHUB", &fake).refresh(&tokens(Some("s3cret-refresh"))).await;
    if let Err(error) = &outcome {
        is_discreet(error);
    }
    outcome
}

#[test]
fn a_provider_has_ten_seconds_and_a_mebibyte() {
    let Limits { connect, whole, body } = Limits::USUAL;
    assert_eq!((connect.as_secs(), whole.as_secs(), body), (5, 10, 1 << 20));
}

#[tokio::test]
async fn temporary_failures_are_unavailable() {
    let error = json!({"error": "invalid_grant"});
    for (why, reply) in [
        ("500", (500, error.clone()).into()),
        ("503", Reply::text(503, "<html>maintenance</html>")),
        ("408", Reply::text(408, "")),
        ("an error that passes", json!({"error": "temporarily_unavailable"}).into()),
        ("slow", Reply::from(json!({"access_token": "a"})).after(Duration::from_secs(5))),
        ("oversized", Reply::text(200, format!("{{\"access_token\": \"{}\"}}", "a".repeat(QUICK.body)))),
    ] {
        let outcome = refresh_of(reply).await;
        assert!(matches!(outcome, Err(ProviderError::Unavailable(_))), "{why}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_limit_is_told_apart() {
    for (why, reply) in [
        ("429", (429, json!({"error": "invalid_grant"})).into()),
        ("a limit told as 403", Reply::from((403, json!({"message": "m"}))).header("x-ratelimit-remaining", "0")),
        ("a limit with a time", Reply::from((403, json!({"message": "m"}))).header("retry-after", "60")),
    ] {
        let outcome = refresh_of(reply).await;
        assert!(matches!(outcome, Err(ProviderError::Throttled(_))), "{why}: {outcome:?}");
    }
}

#[tokio::test]
async fn no_connection_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let provider = provider_at("GITHUB", &base, &TestClock::at(NOW));
    let outcome = provider.exchange(&code()).await;
    assert_eq!(outcome, Err(ProviderError::Unavailable("no connection".to_owned())));
}

#[tokio::test]
async fn a_response_that_breaks_off_or_stalls_is_unavailable() {
    for stalls in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access").await.unwrap();
            if stalls {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
        });
        let provider = provider_at("GITHUB", &base, &TestClock::at(NOW));
        let expected = if stalls { "no response in time" } else { "the connection broke" };
        assert_eq!(provider.exchange(&code()).await, Err(ProviderError::Unavailable(expected.to_owned())));
        server.abort();
    }
}

#[tokio::test]
async fn errors_not_about_the_grant_are_refused_with_their_code() {
    for (reply, code) in [
        ((401, json!({"error": "invalid_token"})).into(), "invalid_token"),
        ((403, json!({"error": "access_denied"})).into(), "access_denied"),
        (Reply::text(400, "no"), "http_400"),
        (Reply::text(401, ""), "http_401"),
        ((400, json!({"error": "it was s3cret-refresh"})).into(), "unnamed_error"),
        ((400, json!({"error": "it was s3cret/client"})).into(), "unnamed_error"),
        ((400, json!({"error": "two words"})).into(), "two_words"),
        ((400, json!({"error": "two words\u{7}"})).into(), "unnamed_error"),
        // The secrets as they were sent: the refresh token and the client secret in a form, both halves of the client
        // in a header.
        ((400, json!({"error": "refresh_token s3cret-refresh"})).into(), "unnamed_error"),
        ((400, json!({"error": "client_secret=s3cret%2Fclient"})).into(), "unnamed_error"),
        ((400, json!({"error": "Y2xpZW50JTNBMTpzM2NyZXQlMkZjbGllbnQ="})).into(), "unnamed_error"),
        ((400, json!({"error": "Y2xpZW50JTNBMTpzM2NyZXQlMkZjbGllbnQ"})).into(), "unnamed_error"),
        ((400, json!({"error": "Y2xpZW50OjE6czNjcmV0L2NsaWVudA"})).into(), "unnamed_error"),
        ((400, json!({"error": "czNjcmV0LXJlZnJlc2g"})).into(), "unnamed_error"),
    ] {
        let reply: Reply = reply;
        assert_eq!(refresh_of(reply).await, Err(refused(code)));
    }
}

#[tokio::test]
async fn an_error_about_the_grant_comes_with_any_status_and_beside_a_token() {
    let described = json!({"error": "invalid_grant", "error_description": "s3cret-refresh is bad"});
    for (reply, code) in [
        ((400, described.clone()), "invalid_grant"),
        ((200, described), "invalid_grant"),
        ((200, json!({"error": "bad_refresh_token", "access_token": "a"})), "bad_refresh_token"),
    ] {
        assert_eq!(refresh_of(reply).await, Err(invalid_grant(code)));
    }
}

#[tokio::test]
async fn temporary_failures_are_named_by_code_or_status() {
    let busy = json!({"error": "temporarily_unavailable"});
    for (reply, name) in [
        ((400, busy.clone()), "temporarily_unavailable"),
        ((503, busy.clone()), "temporarily_unavailable"),
        ((503, json!({"error": "invalid_grant"})), "http_503"),
    ] {
        assert_eq!(refresh_of(reply).await, Err(ProviderError::Unavailable(name.to_owned())));
    }
    for (reply, name) in [((429, busy), "temporarily_unavailable"), ((429, json!({})), "http_429")] {
        assert_eq!(refresh_of(reply).await, Err(ProviderError::Throttled(name.to_owned())));
    }
}

#[tokio::test]
async fn a_wrong_client_secret_ends_no_grant() {
    let outcome = refresh_of((401, json!({"error": "invalid_client"}))).await;
    assert_eq!(outcome, Err(misconfigured("invalid_client")));
}

#[tokio::test]
async fn nonsense_is_a_bad_response() {
    for (reply, what) in [
        (Reply::text(200, "access_token=s3cret-new&token_type=bearer"), "it is not JSON"),
        (Reply::text(200, ""), "it contains no access token"),
        (Reply::text(200, "[]"), "it contains no access token"),
        (json!({"access_token": 0.5, "token_type": "x"}).into(), "-"),
        (Reply::text(404, "no"), "its status is 404"),
    ] {
        let outcome = refresh_of(reply).await;
        if what == "-" {
            assert_eq!(outcome.unwrap().access_token.expose(), "0.5", "a number is text, too");
        } else {
            assert_eq!(bad_response(outcome), what);
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let fake = Fake::start().await;
        fake.on("POST /token", Reply::text(status, "").header("location", fake.url("/elsewhere")));
        fake.on("GET /elsewhere", json!({"access_token": "a"})).on("POST /elsewhere", json!({"access_token": "a"}));
        let outcome = provider("GITHUB", &fake).exchange(&code()).await;
        assert_eq!(bad_response(outcome), format!("its status is {status}"));
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn no_provider_needs_no_client() {
    let clock: Arc<dyn Clock> = TestClock::at(NOW);
    let (providers, preparation) = crate::adapters::providers::providers(&[], &clock);
    assert!(providers.is_empty() && preparation.0.is_none() && preparation.run().is_ok());
}
