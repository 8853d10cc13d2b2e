//! The exact URLs that browsers are sent to.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::domain::gateway::models::{account::ProviderIdentity, login::LoginHint};

/// The endpoints are known, so building a URL makes no request.
const NOWHERE: &str = "http://127.0.0.1:1";
/// The common beginning of every request.
const BEGIN: &str = "response_type=code&client_id=client%3A1\
                     &redirect_uri=https%3A%2F%2Fwww.jinmini.com%2Flogin%2Fany%2Fcallback&state=s3cret-state";
pub(super) const PKCE: &str = "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

fn at(prefix: &str, more: &[(&str, &str)]) -> Arc<dyn Provider> {
    provider_with(prefix, NOWHERE, &TestClock::at(NOW), more)
}

/// The URL without its common beginning.
async fn url(provider: &dyn Provider, request: &AuthorizationRequest) -> String {
    let url = provider.authorize_url(request).await.unwrap();
    let (endpoint, query) = url.split_once('?').unwrap();
    assert!(endpoint.ends_with("/authorize"), "{url}");
    // Apple's client ids have another form.
    query.replacen(super::apple::CLIENT, "client%3A1", 1).replacen(BEGIN, "…", 1)
}

/// The URL of a request with default options.
pub(super) async fn usual(provider: &dyn Provider) -> String {
    url(provider, &request(provider)).await
}

/// A request with all options.
fn all(provider: &dyn Provider, more_scopes: &[&str]) -> AuthorizationRequest {
    AuthorizationRequest {
        more_scopes: more_scopes.iter().map(|&scope| scope.to_owned()).collect(),
        login_hint: Some(LoginHint::parse("mina@example.com").unwrap()),
        auth_type: provider.auth_types().first().copied(),
        ..request(provider)
    }
}

struct Discovered {
    fake: Fake,
    clock: Arc<TestClock>,
}

impl Discovered {
    async fn new(query: &str) -> Self {
        let fake = Fake::start().await;
        let url = |path: &str| fake.url(path);
        let document = json!({
            "issuer": url(""), "authorization_endpoint": url(&format!("/authorize{query}")), "token_endpoint": url("/token"),
            "jwks_uri": url("/jwks"),
        });
        fake.on("GET /.well-known/openid-configuration", document);
        Self { fake, clock: TestClock::at(NOW) }
    }

    fn with(&self, more: &[(&str, &str)]) -> Arc<dyn Provider> {
        provider_with("OIDC_MY_IDP", &self.fake.url(""), &self.clock, more)
    }
}

#[tokio::test]
async fn granted_scopes_are_not_asked_for_again() {
    let google = at("GOOGLE", &[]);
    let scope = "scope=openid+email+profile";
    assert_eq!(usual(&*google).await, format!("…&{scope}&{PKCE}&nonce=s3cret-nonce&access_type=offline"));
    let github = at("GITHUB", &[]);
    assert_eq!(usual(&*github).await, format!("…&scope=read%3Auser+user%3Aemail&{PKCE}"));
    assert_eq!(usual(&*at("FACEBOOK", &[])).await, "…&scope=email%2Cpublic_profile");
    assert_eq!(usual(&*at("NAVER", &[("NAVER_OIDC", "off")])).await, "…");
    assert_eq!(usual(&*at("NAVER", &[])).await, format!("…&scope=openid&{PKCE}&nonce=s3cret-nonce"));
    let (kakao, plain) = (at("KAKAO", &[]), at("KAKAO", &[("KAKAO_OIDC", "off")]));
    assert_eq!(usual(&*plain).await, format!("…&scope=account_email%2Cprofile_nickname&{PKCE}"));
    let with_openid = "scope=openid%2Caccount_email%2Cprofile_nickname";
    assert_eq!(usual(&*kakao).await, format!("…&{with_openid}&{PKCE}&nonce=s3cret-nonce"));
    let idp = Discovered::new("").await;
    assert_eq!(usual(&*idp.with(&[])).await, format!("…&{scope}&{PKCE}&nonce=s3cret-nonce"));
    let offline = idp.with(&[("OIDC_MY_IDP_SCOPES", "openid offline_access")]);
    assert_eq!(usual(&*offline).await, format!("…&scope=openid+offline_access&{PKCE}&nonce=s3cret-nonce"));
}

#[tokio::test]
async fn one_attempt_may_ask_for_more_where_the_provider_knows_how() {
    let google = at("GOOGLE", &[]);
    let calendar = "https://www.googleapis.com/auth/calendar.readonly";
    let (nonce, hint) = ("nonce=s3cret-nonce", "login_hint=mina%40example.com");
    assert_eq!(
        url(&*google, &all(&*google, &[calendar])).await,
        format!(
            "…&scope=openid+email+profile+https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcalendar.readonly&{PKCE}&{nonce}&{hint}\
             &access_type=offline&include_granted_scopes=true"
        )
    );
    let github = at("GITHUB", &[]);
    assert_eq!(
        url(&*github, &all(&*github, &["repo", "gist"])).await,
        format!("…&scope=read%3Auser+user%3Aemail+repo+gist&{PKCE}&login=mina%40example.com")
    );
    let facebook = at("FACEBOOK", &[]);
    assert_eq!(
        url(&*facebook, &all(&*facebook, &["user_friends"])).await,
        "…&scope=email%2Cpublic_profile%2Cuser_friends&auth_type=rerequest"
    );
    let naver = at("NAVER", &[]);
    assert_eq!(url(&*naver, &all(&*naver, &[])).await, format!("…&scope=openid&{PKCE}&auth_type=reprompt&{nonce}"));
    let kakao = at("KAKAO", &[]);
    assert_eq!(
        url(&*kakao, &all(&*kakao, &["gender"])).await,
        format!("…&scope=openid%2Caccount_email%2Cprofile_nickname%2Cgender&{PKCE}&{nonce}&{hint}")
    );
    let discovered = Discovered::new("").await;
    let idp = discovered.with(&[]);
    assert_eq!(
        url(&*idp, &all(&*idp, &["groups"])).await,
        format!("…&scope=openid+email+profile+groups&{PKCE}&{nonce}&{hint}")
    );
    let types = [&google, &github, &facebook, &naver, &kakao, &idp].map(|provider| provider.auth_types());
    let no_types: &[&str] = &[];
    let document: Value = serde_json::from_str(include_str!("../../../../tests/openapi.json")).unwrap();
    let parameters = document["paths"]["/login/{provider}"]["get"]["parameters"].as_array().unwrap();
    let documented = parameters.iter().find(|parameter| parameter["name"] == "auth_type").unwrap();
    let all_types: BTreeSet<_> = types.concat().into_iter().collect();
    assert_eq!(documented["schema"]["enum"], json!(all_types));
    let (facebook, naver) = (&["rerequest", "reauthenticate"], &["reprompt", "reauthenticate"]);
    assert_eq!(types, [no_types, no_types, facebook, naver, no_types, no_types]);
}

#[tokio::test]
async fn a_set_prompt_is_always_sent_and_never_sends_none() {
    let asked = async |provider: &dyn Provider| {
        let [once, again] = [false, true].map(|consent| AuthorizationRequest { consent, ..request(provider) });
        let prompt = async |request| value(&query(provider, &request).await, "prompt").map(str::to_owned);
        (prompt(once).await, prompt(again).await)
    };
    let words = |once: Option<&str>, again: Option<&str>| (once.map(str::to_owned), again.map(str::to_owned));
    let idp = Discovered::new("").await;
    let offline = ("OIDC_MY_IDP_SCOPES", "openid offline_access");
    for (provider, expected) in [
        (at("GOOGLE", &[]), words(None, Some("consent"))),
        (at("GOOGLE", &[("GOOGLE_PROMPT", "")]), words(None, Some("consent"))),
        (at("GOOGLE", &[("GOOGLE_PROMPT", "never")]), words(None, None)),
        (at("GOOGLE", &[("GOOGLE_PROMPT", "consent select_account")]), {
            words(Some("consent select_account"), Some("consent select_account"))
        }),
        (at("GITHUB", &[("GITHUB_PROMPT", "select_account")]), words(Some("select_account"), Some("select_account"))),
        (at("KAKAO", &[("KAKAO_PROMPT", "login,create")]), words(Some("login,create"), Some("login,create"))),
        (idp.with(&[offline]), words(None, Some("consent"))),
        (idp.with(&[offline, ("OIDC_MY_IDP_PROMPT", "login")]), words(Some("login"), Some("login"))),
        (idp.with(&[offline, ("OIDC_MY_IDP_PROMPT", "never")]), words(None, None)),
    ] {
        assert_eq!(asked(&*provider).await, expected, "{}", provider.name());
    }
}

#[tokio::test]
async fn consent_is_asked_for_where_it_brings_a_refresh_token_and_the_settings_say_nothing_else() {
    let google_at = |query: &str| at("GOOGLE", &[("GOOGLE_AUTHORIZE_URL", &format!("{NOWHERE}/authorize{query}"))]);
    let idp = Discovered::new("").await;
    let scopes = |scopes| idp.with(&[("OIDC_MY_IDP_SCOPES", scopes)]);
    for (provider, takes_consent) in [
        (at("GOOGLE", &[]), true),
        (google_at("?access_type=offline&hl=ko"), true),
        (google_at("?access_type=online"), false),
        (google_at("?prompt=select_account"), false),
        (at("GOOGLE", &[("GOOGLE_PROMPT", "select_account")]), false),
        (at("GOOGLE", &[("GOOGLE_PROMPT", "never")]), false),
        (at("GITHUB", &[]), false),
        (at("FACEBOOK", &[]), false),
        (at("NAVER", &[]), false),
        (at("KAKAO", &[]), false),
        (scopes("openid offline_access"), true),
        (scopes("openid"), false),
        (scopes("openid offline_access_of_another_kind"), false),
        (idp.with(&[("OIDC_MY_IDP_SCOPES", "openid offline_access"), ("OIDC_MY_IDP_PROMPT", "never")]), false),
    ] {
        let settings = usual(&*provider).await;
        assert_eq!(provider.refresh_token_takes_consent(&[]), takes_consent, "{}: {settings}", provider.name());
    }
    assert!(scopes("openid").refresh_token_takes_consent(&["offline_access".to_owned()]), "this once");
}

#[tokio::test]
async fn a_returning_person_is_named_in_the_providers_own_terms() {
    let mina = |provider: &dyn Provider, email: Option<&str>| ProviderIdentity {
        provider: provider.name().clone(),
        subject: "1122334455".to_owned(),
        verified_email: email.map(str::to_owned),
        name: None,
    };
    let idp = Discovered::new("").await;
    let [google, idp, kakao] = [at("GOOGLE", &[]), idp.with(&[]), at("KAKAO", &[])];
    let hint = |provider: &dyn Provider, email| {
        provider.login_hint_of(&mina(provider, email)).map(|hint| hint.expose().to_owned())
    };
    assert_eq!(hint(&*google, Some("mina@example.com")).as_deref(), Some("1122334455"));
    assert_eq!(hint(&*idp, Some("mina@example.com")).as_deref(), Some("mina@example.com"));
    assert_eq!((hint(&*idp, None), hint(&*kakao, Some("mina@example.com"))), (None, None));
}

/// The operator's parameters in the URL take precedence, and no parameter appears twice.
#[tokio::test]
async fn the_endpoints_own_parameters_win() {
    let own = "scope=openid+email&prompt=select_account&access_type=online&login_hint=a%40b&hl=ko&include_granted_scopes=false";
    let google =
        at("GOOGLE", &[("GOOGLE_AUTHORIZE_URL", &format!("{NOWHERE}/authorize?{own}")), ("GOOGLE_PROMPT", "never")]);
    let request = AuthorizationRequest { consent: true, ..all(&*google, &["calendar"]) };
    assert_eq!(url(&*google, &request).await, format!("{own}&…&{PKCE}&nonce=s3cret-nonce"));

    let naver = at("NAVER", &[("NAVER_AUTHORIZE_URL", &format!("{NOWHERE}/authorize?auth_type=reauthenticate"))]);
    let query = url(&*naver, &all(&*naver, &[])).await;
    assert_eq!(query, format!("auth_type=reauthenticate&…&scope=openid&{PKCE}&nonce=s3cret-nonce"));

    let discovered = Discovered::new("?p=b2c_1_sign_in&prompt=login").await;
    let query = usual(&*discovered.with(&[("OIDC_MY_IDP_PROMPT", "create")])).await;
    assert_eq!(query, format!("p=b2c_1_sign_in&prompt=login&…&scope=openid+email+profile&{PKCE}&nonce=s3cret-nonce"));
}
