//! Every provider against a stand-in on loopback that responds as the real one does.

mod apple;
mod authorizing;
mod documented;
mod entra;
mod facebook;
mod failures;
mod fake;
mod github;
mod google;
mod kakao;
mod line_discord_x;
mod naver;
mod notices;
mod open_id;
mod security_events;

use std::{sync::Arc, time::Duration};

use fake::Fake;
use url::Url;

use crate::{
    adapters::providers::{protocol::http::Limits, with_limits},
    config::{Settings, Sources},
    domain::gateway::{
        models::{oauth::ProviderTokens, values::secret::Secret},
        services::ports::{AdmissionRule, AuthorizationRequest, CodeExchange, Provider, ProviderError},
    },
    ports::{Clock, testing::TestClock},
};

const NOW: i64 = 1_800_000_000;
/// All secrets in tests begin with this, and no error may contain it.
const SECRET: &str = "s3cret";
const CALLBACK: &str = "https://www.jinmini.com/login/any/callback";
const QUICK: Limits =
    Limits { connect: Duration::from_millis(300), whole: Duration::from_millis(600), ..Limits::USUAL };

/// A provider with all endpoints at the stand-in.
fn provider(prefix: &str, fake: &Fake) -> Arc<dyn Provider> {
    provider_at(prefix, &fake.url(""), &TestClock::at(NOW))
}

fn provider_at(prefix: &str, base: &str, clock: &Arc<TestClock>) -> Arc<dyn Provider> {
    provider_with(prefix, base, clock, &[])
}

fn provider_with(prefix: &str, base: &str, clock: &Arc<TestClock>, more: &[(&str, &str)]) -> Arc<dyn Provider> {
    let mut variables = vec![
        ("GATEWAY_ENV".to_owned(), "development".to_owned()),
        (format!("{prefix}_CLIENT_ID"), "client:1".to_owned()),
        (format!("{prefix}_CLIENT_SECRET"), "s3cret/client".to_owned()),
    ];
    if prefix.starts_with("OIDC_") {
        variables.push((format!("{prefix}_ISSUER"), base.to_owned()));
    }
    if prefix == "ENTRA" {
        variables.push(("ENTRA_AUTHORITY_URL".to_owned(), base.to_owned()));
    }
    for endpoint in ["authorize", "token", "userinfo", "revoke", "emails", "jwks"] {
        variables.push((format!("{prefix}_{}_URL", endpoint.to_uppercase()), format!("{base}/{endpoint}")));
    }
    if prefix == "APPLE" {
        variables.extend(apple::settings().map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let settings = Settings::from_sources(&Sources::default().with_environment(variables));
    let settings = settings.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let clock: Arc<dyn Clock> = clock.clone();
    with_limits(&settings.providers, &clock, QUICK).0.remove(0)
}

/// A provider that has OpenID Connect, set to plain OAuth 2.0.
fn plain(prefix: &str, fake: &Fake) -> Arc<dyn Provider> {
    provider_with(prefix, &fake.url(""), &TestClock::at(NOW), &[(&format!("{prefix}_OIDC"), "off")])
}

fn code() -> CodeExchange {
    CodeExchange {
        code: Secret::new("s3cret-code"),
        redirect_uri: CALLBACK.to_owned(),
        code_verifier: Some(Secret::new("s3cret-verifier")),
        nonce: Some(Secret::new("s3cret-nonce")),
        state: Secret::new("s3cret-state"),
        name: None,
    }
}

fn tokens(refresh_token: Option<&str>) -> ProviderTokens {
    ProviderTokens {
        access_token: Secret::new("s3cret-access"),
        token_type: "Bearer".to_owned(),
        expires_at: None,
        refresh_token: refresh_token.map(Secret::new),
        scope: None,
        id_token: None,
    }
}

/// A request with default options.
fn request(provider: &dyn Provider) -> AuthorizationRequest {
    AuthorizationRequest {
        redirect_uri: CALLBACK.to_owned(),
        state: Secret::new("s3cret-state"),
        code_verifier: provider.uses_pkce().then(|| Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")),
        nonce: Some(Secret::new("s3cret-nonce")),
        more_scopes: Vec::new(),
        consent: false,
        login_hint: None,
        auth_type: None,
    }
}

/// The query of the URL for the browser, in order.
async fn authorize(provider: &dyn Provider) -> Vec<(String, String)> {
    query(provider, &request(provider)).await
}

/// The query of the URL for this request.
async fn query(provider: &dyn Provider, request: &AuthorizationRequest) -> Vec<(String, String)> {
    let url = Url::parse(&provider.authorize_url(request).await.unwrap()).unwrap();
    assert_eq!(url.path(), "/authorize");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn value<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    let mut values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let first = values.next();
    assert_eq!(values.next(), None, "{name} is there twice");
    first
}

/// Every URL for the browser contains this.
fn is_a_code_request(query: &[(String, String)]) {
    assert_eq!(value(query, "response_type"), Some("code"));
    assert_eq!(value(query, "client_id"), Some("client:1"));
    assert_eq!(value(query, "redirect_uri"), Some(CALLBACK));
    assert_eq!(value(query, "state"), Some("s3cret-state"));
    assert_eq!(value(query, "code_verifier"), None, "the verifier stays here");
}

const CHALLENGE: Option<&str> = Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");

/// The log and callers must not see anything secret.
fn is_discreet(error: &ProviderError) {
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
}

fn refused(code: &str) -> ProviderError {
    ProviderError::Refused { code: code.to_owned() }
}

fn invalid_grant(code: &str) -> ProviderError {
    ProviderError::InvalidGrant { code: code.to_owned() }
}

fn misconfigured(code: &str) -> ProviderError {
    ProviderError::Misconfigured { code: code.to_owned() }
}

/// The text of a `BadResponse`.
fn bad_response<T: std::fmt::Debug>(outcome: Result<T, ProviderError>) -> String {
    match outcome {
        Err(ProviderError::BadResponse(what)) => what,
        other => panic!("{other:?}"),
    }
}
