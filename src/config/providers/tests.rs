//! Which providers are on, and what is wrong with those that are not.

use super::super::{Settings, Sources, variables};
use crate::domain::gateway::models::provider::{Prompt, ProviderKind, ProviderSettings};

fn read(mode: &str, variables: &[(&str, &str)]) -> Result<Vec<ProviderSettings>, Vec<String>> {
    let usual = [
        ("GATEWAY_ENV", mode),
        ("PUBLIC_URL", "https://www.jinmini.com"),
        ("DATABASE_URL", "postgres://db/gateway"),
        ("VAULT_KEY", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE="),
    ];
    let sources = Sources::default().with_environment(usual).with_environment(variables.iter().copied());
    let settings = Settings::from_sources(&sources);
    settings.map(|settings| settings.providers).map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
}

fn on(variables: &[(&str, &str)]) -> Vec<ProviderSettings> {
    read("production", variables).unwrap_or_else(|said| panic!("{said:#?}"))
}

fn one_mistake(mode: &str, variables: &[(&str, &str)]) -> String {
    let said = read(mode, variables).unwrap_err();
    assert_eq!(said.len(), 1, "{said:#?}");
    said.concat()
}

const GOOGLE: [(&str, &str); 2] = [("GOOGLE_CLIENT_ID", "g-id"), ("GOOGLE_CLIENT_SECRET", "hunter2")];
const OKTA: [(&str, &str); 3] = [
    ("OIDC_MY_OKTA_ISSUER", "https://okta.example.com"),
    ("OIDC_MY_OKTA_CLIENT_ID", "o-id"),
    ("OIDC_MY_OKTA_CLIENT_SECRET", "hunter2"),
];

#[test]
fn a_provider_is_on_when_its_id_and_secret_are_set() {
    assert_eq!(on(&[]), []);
    let google = on(&GOOGLE).remove(0);
    assert_eq!(
        (google.name.as_str(), google.display_name.as_str(), google.client_id.as_str()),
        ("google", "Google", "g-id")
    );
    assert_eq!(
        (google.client_secret.expose(), google.scopes.as_str(), google.pkce),
        ("hunter2", "openid email profile", true)
    );
    assert_eq!(google.callback, "https://www.jinmini.com/login/google/callback");
    assert!(google.redirect_uris.is_empty(), "POST /oauth takes no code of a sign-in at /login");
    assert!(!format!("{google:?}").contains("hunter2"));
}

#[test]
fn one_without_the_other_is_a_mistake() {
    assert_eq!(
        one_mistake("production", &GOOGLE[..1]),
        "GOOGLE_CLIENT_SECRET is not set: GOOGLE_CLIENT_ID is set, and a provider needs both"
    );
    assert_eq!(
        one_mistake("production", &GOOGLE[1..]),
        "GOOGLE_CLIENT_ID is not set: GOOGLE_CLIENT_SECRET is set, and a provider needs both"
    );
    for missing in 0..3 {
        let mut some = OKTA.to_vec();
        let (name, _) = some.remove(missing);
        let said = one_mistake("production", &some);
        assert_eq!(said, format!("{name} is not set: OIDC_MY_OKTA needs _ISSUER, _CLIENT_ID and _CLIENT_SECRET"));
    }
}

#[test]
fn all_are_on_at_their_own_endpoints() {
    let ids = ["GITHUB", "FACEBOOK", "NAVER", "KAKAO"].map(|prefix| {
        [(format!("{prefix}_CLIENT_ID"), "an-id".to_owned()), (format!("{prefix}_CLIENT_SECRET"), "hunter2".to_owned())]
    });
    let ids: Vec<_> = ids.as_flattened().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let all = on(&[&GOOGLE[..], &ids, &OKTA, &[("FACEBOOK_API_VERSION", "v27.0")]].concat());
    let seen: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.pkce)).collect();
    assert_eq!(
        seen,
        [("google", true), ("github", true), ("facebook", false), ("naver", false), ("kakao", true), ("my-okta", true)]
    );
    let ProviderKind::GitHub { endpoints, emails, webhook_secret: None } = &all[1].kind else {
        panic!("{:?}", all[1].kind)
    };
    assert_eq!(endpoints.revoke.as_str(), "https://api.github.com/applications/an-id/token");
    assert_eq!(emails.as_str(), "https://api.github.com/user/emails");
    let ProviderKind::Facebook(endpoints) = &all[2].kind else { panic!("{:?}", all[2].kind) };
    assert_eq!(endpoints.authorize.as_str(), "https://www.facebook.com/v27.0/dialog/oauth");
    assert_eq!(all[5].kind, ProviderKind::Oidc { issuer: "https://okta.example.com".to_owned() });
    assert_eq!(all[5].display_name, "My Okta");
    // Facebook alone documents that it compares the redirect URIs.
    assert!(all.iter().all(|one| one.takes_unbound_codes == (one.name.as_str() == "facebook")));
    let distrusted = on(&[&ids[2..4], &[("FACEBOOK_UNBOUND_CODES", "refuse")]].concat());
    assert!(!distrusted[0].takes_unbound_codes);
}

#[test]
fn everything_about_a_provider_can_be_set() {
    let set = [
        ("GOOGLE_AUTHORIZE_URL", "http://localhost:1/a"),
        ("GOOGLE_TOKEN_URL", "http://127.0.0.1:1/t"),
        ("GOOGLE_USERINFO_URL", "http://[::1]:1/u"),
        ("GOOGLE_REVOKE_URL", "https://a/r"),
        ("GOOGLE_JWKS_URL", "https://a/j"),
        ("GOOGLE_RISC_URL", "https://a/e"),
        ("GOOGLE_SCOPES", "openid"),
        ("GOOGLE_PKCE", "off"),
    ];
    let google = read("development", &[&GOOGLE[..], &set].concat()).unwrap().remove(0);
    let ProviderKind::Google { endpoints, jwks, events, hosted_domain: None } = &google.kind else {
        panic!("{:?}", google.kind)
    };
    let urls = [&endpoints.authorize, &endpoints.token, &endpoints.userinfo, &endpoints.revoke, jwks, events];
    assert_eq!(urls.map(|url| url.as_str().to_owned()), [0, 1, 2, 3, 4, 5].map(|nth| set[nth].1.to_owned()));
    assert_eq!((google.scopes.as_str(), google.pkce), ("openid", false));
}

#[test]
fn what_people_are_asked_can_be_set() {
    let prompt = |more: &[(&str, &str)]| on(&[&GOOGLE[..], more].concat()).remove(0).prompt;
    assert_eq!(prompt(&[]), Prompt::WhenNeeded);
    assert_eq!(prompt(&[("GOOGLE_PROMPT", "")]), Prompt::WhenNeeded);
    assert_eq!(prompt(&[("GOOGLE_PROMPT", "never")]), Prompt::Never);
    let words = "consent select_account";
    assert_eq!(prompt(&[("GOOGLE_PROMPT", words)]), Prompt::Always(words.to_owned()));
    // What the address says counts, so nobody is asked twice.
    let address = ("GOOGLE_AUTHORIZE_URL", "https://a/b?prompt=login+consent");
    assert_eq!(prompt(&[address]), Prompt::Always("login consent".to_owned()));
    assert_eq!(prompt(&[address, ("GOOGLE_PROMPT", "never")]), Prompt::Never);

    let okta = [("OIDC_MY_OKTA_PROMPT", "login"), ("OIDC_MY_OKTA_MORE_SCOPES", "groups, calendar")];
    let all = on(&[&GOOGLE[..], &OKTA, &okta, &[("GOOGLE_MORE_SCOPES", "https://a/b c")]].concat());
    assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["google", "my-okta"]);
    assert_eq!(
        (&all[0].more_scopes[..], &all[1].more_scopes[..]),
        (&["https://a/b".to_owned(), "c".to_owned()][..], &["groups".to_owned(), "calendar".to_owned()][..])
    );
    assert_eq!(all[1].prompt, Prompt::Always("login".to_owned()));
}

#[test]
fn an_address_for_browsers_leaves_to_the_gateway_what_binds_a_sign_in() {
    for name in
        ["response_type", "client_id", "redirect_uri", "state", "nonce", "code_challenge", "code_challenge_method"]
    {
        let address = format!("https://a/authorize?hl=ko&{name}=x");
        let said = one_mistake("production", &[&GOOGLE[..], &[("GOOGLE_AUTHORIZE_URL", &address)]].concat());
        let begin = format!("GOOGLE_AUTHORIZE_URL is {address:?}: an address without the parameter {name}: ");
        assert!(said.starts_with(&begin), "{said}");
    }
    let scoped = [("KAKAO_AUTHORIZE_URL", "https://a/b?scope=c"), ("KAKAO_MORE_SCOPES", "gender")];
    let said = one_mistake("production", &scoped);
    assert!(said.starts_with("KAKAO_MORE_SCOPES is \"gender\": nothing, as long as KAKAO_AUTHORIZE_URL has"), "{said}");
}

#[test]
fn google_may_be_for_one_domain_and_kakao_proves_its_notices_with_a_key() {
    let kakao = [("KAKAO_CLIENT_ID", "k-id"), ("KAKAO_CLIENT_SECRET", "hunter2")];
    let set = [("GOOGLE_HOSTED_DOMAIN", "Jinmini.com"), ("KAKAO_ADMIN_KEY", "hunter3")];
    let all = on(&[&GOOGLE[..], &kakao, &set].concat());
    let ProviderKind::Google { hosted_domain: Some(domain), .. } = &all[0].kind else { panic!("{:?}", all[0].kind) };
    let ProviderKind::Kakao { admin_key: Some(key), .. } = &all[1].kind else { panic!("{:?}", all[1].kind) };
    assert_eq!((domain.as_str(), key.expose()), ("jinmini.com", "hunter3"));
    assert!(!format!("{all:?}").contains("hunter"));
    let plain = on(&[&GOOGLE[..], &kakao].concat());
    assert!(matches!(plain[0].kind, ProviderKind::Google { hosted_domain: None, .. }));
    assert!(matches!(plain[1].kind, ProviderKind::Kakao { admin_key: None, .. }));
    for domain in ["*", "jinmini", "https://jinmini.com", "jinmini..com", "jinmini.com, b.com"] {
        let said = one_mistake("production", &[("GOOGLE_HOSTED_DOMAIN", domain)]);
        assert_eq!(said, format!("GOOGLE_HOSTED_DOMAIN is {domain:?}: a domain such as example.com"));
    }
}

#[test]
fn http_is_for_loopback_in_development() {
    for (mode, url) in [
        ("production", "http://localhost:1/t"),
        ("development", "http://idp.example.com/t"),
        ("development", "http://10.0.0.1/t"),
        ("development", "https://user:hunter2@a/t"),
        ("development", "https://a/t#b"),
        ("development", "ftp://localhost/t"),
        ("development", "https://a/\tt"),
        ("development", "/t"),
    ] {
        let said = one_mistake(mode, &[("GITHUB_TOKEN_URL", url)]);
        assert!(said.starts_with("GITHUB_TOKEN_URL ") && !said.contains("hunter2"), "{said}");
        let said = one_mistake(mode, &[&[("OIDC_MY_OKTA_ISSUER", url)], &OKTA[1..]].concat());
        assert!(said.starts_with("OIDC_MY_OKTA_ISSUER cannot be used: "), "{said}");
        let said = one_mistake(mode, &[("OAUTH_REDIRECT_URIS", url)]);
        assert!(said.starts_with("OAUTH_REDIRECT_URIS "), "{said}");
    }
}

#[test]
fn redirect_uris_are_exact_strings() {
    let listed = on(&[&GOOGLE[..], &[("OAUTH_REDIRECT_URIS", "https://a/cb, https://b:8443/CB?x=1")]].concat());
    assert_eq!(listed[0].redirect_uris, ["https://a/cb", "https://b:8443/CB?x=1"]);
    assert_eq!(listed[0].callback, "https://www.jinmini.com/login/google/callback");
    for uri in [
        "https://*.example.com/cb",
        "https://a/cb#x",
        "https://a\\@b/cb",
        "https://u@a/cb",
        "https://a/가",
        "a",
        "https://www.jinmini.com/login/google/callback",
        "https://a/cb,https://www.jinmini.com/login/kakao/callback",
        "https://www.jinmini.com/e/login/google/callback",
        "https://www.jinmini.com/login/google/callback?x=1",
    ] {
        let said = one_mistake("production", &[("OAUTH_REDIRECT_URIS", uri)]);
        assert!(said.starts_with("OAUTH_REDIRECT_URIS "), "{said}");
    }
}

#[test]
fn mistakes_are_told_and_show_no_secret() {
    for (name, value, begin) in [
        ("GOOGLE_CLIENT_ID", "two words", "GOOGLE_CLIENT_ID is \"two words\": printable ASCII without blanks"),
        ("GOOGLE_SCOPES", "email", "GOOGLE_SCOPES is \"email\": one of the words is openid"),
        ("GITHUB_SCOPES", "가", "GITHUB_SCOPES is \"가\": words of printable ASCII"),
        ("GOOGLE_PKCE", "yes", "GOOGLE_PKCE is \"yes\": either on or off"),
        (
            "GOOGLE_PROMPT",
            "가",
            "GOOGLE_PROMPT is \"가\": words that the provider knows, such as select_account, or never alone",
        ),
        ("GOOGLE_PROMPT", "never consent", "GOOGLE_PROMPT is \"never consent\": words that the provider knows"),
        ("OIDC_MY_OKTA_PROMPT", "가", "OIDC_MY_OKTA_PROMPT is \"가\": words that the provider knows"),
        (
            "NAVER_PROMPT",
            "login",
            "NAVER_PROMPT is \"login\": this provider does not know `prompt`; GET /login/{provider}?auth_type",
        ),
        ("FACEBOOK_PROMPT", "never", "FACEBOOK_PROMPT is \"never\": this provider does not know `prompt`"),
        ("GITHUB_MORE_SCOPES", "가", "GITHUB_MORE_SCOPES is \"가\": words of printable ASCII"),
        ("NAVER_UNBOUND_CODES", "on", "NAVER_UNBOUND_CODES is \"on\": either accept or refuse"),
        ("FACEBOOK_API_VERSION", "25", "FACEBOOK_API_VERSION is \"25\": a version such as v26.0"),
        ("OIDC_MY_OKTA_ISSUER", "https://a?b", "OIDC_MY_OKTA_ISSUER cannot be used: an issuer has no query"),
        ("OIDC_MY_OKTA_SCOPES", "email", "OIDC_MY_OKTA_SCOPES is \"email\": one of the words is openid"),
        ("OIDC_MY_OKTA_CLIENT_SECRET", "hunter2\u{1}", "OIDC_MY_OKTA_CLIENT_SECRET cannot be used: a value has no"),
    ] {
        let said = one_mistake("production", &[&GOOGLE[..], &OKTA, &[(name, value)]].concat());
        assert!(said.starts_with(begin) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn another_provider_needs_a_name_of_its_own() {
    for stem in ["GOOGLE", "KAKAO", "1A", "a", "A.B", &"A".repeat(33)] {
        let names = ["ISSUER", "CLIENT_ID", "CLIENT_SECRET"].map(|suffix| format!("OIDC_{stem}_{suffix}"));
        let said = one_mistake("production", &[(&names[0], "https://a"), (&names[1], "b"), (&names[2], "c")]);
        assert!(said.starts_with(&format!("OIDC_{stem}_ISSUER names no provider: the name behind OIDC_")), "{said}");
    }
}

#[test]
fn a_slip_of_the_pen_is_found_in_env_and_what_others_need_is_left_alone() {
    let said = |name: &str| {
        let sources = Sources::default().with_dotenv(&format!("GATEWAY_ENV=development\n{name}=x\n"));
        let mistakes = Settings::from_sources(&sources).err();
        mistakes.and_then(|mistakes| mistakes.iter().map(ToString::to_string).find(|said| said.contains(" sets ")))
    };
    for (name, meant) in [
        ("GOOGLE_AUTHORISE_URL", "GOOGLE_AUTHORIZE_URL"),
        ("KAKAO_SCOPE", "KAKAO_SCOPES"),
        ("KAKAO_PROMPTS", "KAKAO_PROMPT"),
        ("NAVER_CLIENTID", "NAVER_CLIENT_ID"),
    ] {
        assert!(said(name).unwrap().ends_with(&format!("did you mean {meant}?")), "{name}");
    }
    assert!(said("OIDC_OKTA_SECRET").is_some() && said("OIDC_ISSUER").is_some());
    for name in ["GOOGLE_MAPS_KEY", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "NAVER_MAP_URL", "FACEBOOK_PIXEL"] {
        assert_eq!(said(name), None, "{name}");
    }
    assert!(variables::PROVIDER_FAMILIES.iter().all(|family| family.name.contains('_')));
}
