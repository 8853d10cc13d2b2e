//! Which providers are enabled, and the mistakes of the others.

use super::super::{Settings, Sources, variables};
use crate::domain::gateway::models::provider::{
    IdTokenKey, Prompt, ProviderKind, ProviderSettings, entra::AllowedTenants,
};

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
        "GOOGLE_CLIENT_SECRET is required because GOOGLE_CLIENT_ID is set; a provider needs both"
    );
    assert_eq!(
        one_mistake("production", &GOOGLE[1..]),
        "GOOGLE_CLIENT_ID is required because GOOGLE_CLIENT_SECRET is set; a provider needs both"
    );
    for missing in 0..3 {
        let mut some = OKTA.to_vec();
        let (name, _) = some.remove(missing);
        let said = one_mistake("production", &some);
        assert_eq!(said, format!("{name} is required; OIDC_MY_OKTA needs _ISSUER, _CLIENT_ID and _CLIENT_SECRET"));
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
        [("google", true), ("github", true), ("facebook", false), ("naver", true), ("kakao", true), ("my-okta", true)]
    );
    let ProviderKind::GitHub { endpoints, emails, webhook_secret: None } = &all[1].kind else {
        panic!("{:?}", all[1].kind)
    };
    assert_eq!(endpoints.revoke.as_str(), "https://api.github.com/applications/an-id/token");
    assert_eq!(emails.as_str(), "https://api.github.com/user/emails");
    let ProviderKind::Facebook(endpoints) = &all[2].kind else { panic!("{:?}", all[2].kind) };
    assert_eq!(endpoints.authorize.as_str(), "https://www.facebook.com/v27.0/dialog/oauth");
    let okta = |id_token_key| ProviderKind::Oidc { issuer: "https://okta.example.com".to_owned(), id_token_key };
    assert_eq!(all[5].kind, okta(IdTokenKey::Published));
    let marked = on(&[&OKTA[..], &[("OIDC_MY_OKTA_ID_TOKEN_ALG", "HS256")]].concat());
    assert_eq!(marked[0].kind, okta(IdTokenKey::ClientSecret));
    assert_eq!(all[5].display_name, "My Okta");
    // Only Facebook documents that it compares the redirect URIs.
    assert!(all.iter().all(|one| one.takes_unbound_codes == (one.name.as_str() == "facebook")));
    let distrusted = on(&[&ids[2..4], &[("FACEBOOK_UNBOUND_CODES", "refuse")]].concat());
    assert!(!distrusted[0].takes_unbound_codes);
}

const NAVER: [(&str, &str); 2] = [("NAVER_CLIENT_ID", "n-id"), ("NAVER_CLIENT_SECRET", "hunter2")];
const KAKAO: [(&str, &str); 2] = [("KAKAO_CLIENT_ID", "k-id"), ("KAKAO_CLIENT_SECRET", "hunter2")];

#[test]
fn naver_and_kakao_speak_open_id_connect_unless_that_is_off() {
    let naver = |more: &[(&str, &str)]| {
        let naver = on(&[&NAVER[..], more].concat()).remove(0);
        let ProviderKind::Naver { endpoints, jwks } = naver.kind else { panic!("{:?}", naver.kind) };
        let paths = [endpoints.authorize, endpoints.token].map(|url| url.path().to_owned());
        (paths, jwks.map(String::from), naver.scopes, naver.pkce)
    };
    let jwks = Some("https://nid.naver.com/oauth2/jwks".to_owned());
    let paths = |at: &str| ["authorize", "token"].map(|path| format!("/{at}/{path}"));
    assert_eq!(naver(&[]), (paths("oauth2"), jwks, "openid".to_owned(), true));
    assert_eq!(naver(&[("NAVER_OIDC", "off")]), (paths("oauth2.0"), None, String::new(), false));
    // A plain endpoint that was set before OpenID Connect keeps its effect.
    let set = ("NAVER_AUTHORIZE_URL", "https://nid.naver.com/oauth2.0/authorize?auth_type=reauthenticate");
    assert_eq!(naver(&[set]).1, None);
    assert!(naver(&[set, ("NAVER_OIDC", "on")]).1.is_some());

    let kakao = |more: &[(&str, &str)]| {
        let kakao = on(&[&KAKAO[..], more].concat()).remove(0);
        let ProviderKind::Kakao { jwks, .. } = kakao.kind else { panic!("{:?}", kakao.kind) };
        (jwks.map(String::from), kakao.scopes, kakao.pkce)
    };
    let jwks = Some("https://kauth.kakao.com/.well-known/jwks.json".to_owned());
    assert_eq!(kakao(&[]), (jwks.clone(), "openid,account_email,profile_nickname".to_owned(), true));
    assert_eq!(kakao(&[("KAKAO_OIDC", "off")]), (None, "account_email,profile_nickname".to_owned(), true));
    // Scopes that were set without it keep their effect.
    assert_eq!(kakao(&[("KAKAO_SCOPES", "profile_nickname")]).1, "openid,profile_nickname");
    assert_eq!(kakao(&[("KAKAO_SCOPES", "gender birthday")]).1, "openid gender birthday");
    assert_eq!(kakao(&[("KAKAO_SCOPES", "gender,openid")]).1, "gender,openid");
    assert_eq!(kakao(&[("KAKAO_JWKS_URL", "https://a/j")]).0.as_deref(), Some("https://a/j"));
    assert_eq!(one_mistake("production", &[("KAKAO_OIDC", "no")]), "KAKAO_OIDC must be on or off, not \"no\"");
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
fn prompts_and_more_scopes_can_be_set() {
    let prompt = |more: &[(&str, &str)]| on(&[&GOOGLE[..], more].concat()).remove(0).prompt;
    assert_eq!(prompt(&[]), Prompt::WhenNeeded);
    assert_eq!(prompt(&[("GOOGLE_PROMPT", "")]), Prompt::WhenNeeded);
    assert_eq!(prompt(&[("GOOGLE_PROMPT", "never")]), Prompt::Never);
    let words = "consent select_account";
    assert_eq!(prompt(&[("GOOGLE_PROMPT", words)]), Prompt::Always(words.to_owned()));
    // The parameter of the URL takes precedence, so people are not asked twice.
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
        let begin = format!("GOOGLE_AUTHORIZE_URL must be a URL without the parameter {name}, not {address:?}; ");
        assert!(said.starts_with(&begin), "{said}");
    }
    let both = [("GOOGLE_AUTHORIZE_URL", "https://a/authorize?nonce=2&hl=ko&state=1")];
    let said = one_mistake("production", &[&GOOGLE[..], &both].concat());
    assert!(
        said.contains(" must be a URL without the parameters state, nonce, not ") && said.contains("; they bind"),
        "{said}"
    );
    let scoped = [("KAKAO_AUTHORIZE_URL", "https://a/b?scope=c"), ("KAKAO_MORE_SCOPES", "gender")];
    let said = one_mistake("production", &scoped);
    assert!(
        said.starts_with(
            "KAKAO_MORE_SCOPES must be unset while KAKAO_AUTHORIZE_URL has the parameter scope, not \"gender\""
        ),
        "{said}"
    );
}

#[test]
fn google_may_be_for_one_domain_and_kakao_proves_its_notices_with_a_key() {
    let set = [("GOOGLE_HOSTED_DOMAIN", "Jinmini.com"), ("KAKAO_ADMIN_KEY", "hunter3")];
    let all = on(&[&GOOGLE[..], &KAKAO, &set].concat());
    let ProviderKind::Google { hosted_domain: Some(domain), .. } = &all[0].kind else { panic!("{:?}", all[0].kind) };
    let ProviderKind::Kakao { admin_key: Some(key), .. } = &all[1].kind else { panic!("{:?}", all[1].kind) };
    assert_eq!((domain.as_str(), key.expose()), ("jinmini.com", "hunter3"));
    assert!(!format!("{all:?}").contains("hunter"));
    let plain = on(&[&GOOGLE[..], &KAKAO].concat());
    assert!(matches!(plain[0].kind, ProviderKind::Google { hosted_domain: None, .. }));
    assert!(matches!(plain[1].kind, ProviderKind::Kakao { admin_key: None, .. }));
    for domain in ["*", "jinmini", "https://jinmini.com", "jinmini..com", "jinmini.com, b.com"] {
        let said = one_mistake("production", &[("GOOGLE_HOSTED_DOMAIN", domain)]);
        assert_eq!(said, format!("GOOGLE_HOSTED_DOMAIN must be a domain such as example.com, not {domain:?}"));
    }
}

const ENTRA: [(&str, &str); 2] = [("ENTRA_CLIENT_ID", "e-id"), ("ENTRA_CLIENT_SECRET", "hunter2")];

#[test]
fn entra_is_for_one_tenant_or_for_those_that_are_named() {
    const CONTOSO: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let entra = |mode: &str, more: &[(&str, &str)]| {
        let mut providers = read(mode, &[&ENTRA[..], more].concat()).unwrap_or_else(|said| panic!("{said:#?}"));
        let entra = providers.remove(0);
        assert_eq!((entra.name.as_str(), entra.pkce), ("entra", true));
        assert_eq!(entra.callback, "https://www.jinmini.com/login/entra/callback");
        let ProviderKind::Entra(settings) = entra.kind else { panic!("{:?}", entra.kind) };
        settings
    };
    let contoso = entra("production", &[("ENTRA_TENANT", CONTOSO)]);
    assert_eq!(contoso.authority, "https://login.microsoftonline.com");
    assert_eq!(
        (contoso.tenant.segment().as_str(), contoso.tenants, contoso.groups.len()),
        (CONTOSO, AllowedTenants::Any, 0)
    );
    for tenant in ["common", "organizations"] {
        let tenant = ("ENTRA_TENANT", tenant);
        let listed = entra("production", &[tenant, ("ENTRA_ALLOWED_TENANTS", CONTOSO), ("ENTRA_GROUPS", "A, b")]);
        let AllowedTenants::Listed(tenants) = listed.tenants else { panic!("{:?}", listed.tenants) };
        assert_eq!(tenants.iter().map(ToString::to_string).collect::<Vec<_>>(), [CONTOSO]);
        assert_eq!(listed.groups.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(entra("production", &[tenant, ("ENTRA_ALLOWED_TENANTS", "any")]).tenants, AllowedTenants::Any);
        assert_eq!(entra("development", &[tenant]).tenants, AllowedTenants::Any);
        let said = one_mistake("production", &[&ENTRA[..], &[tenant]].concat());
        let begin = "ENTRA_ALLOWED_TENANTS is required in production: the ids of the tenants whose people may sign in";
        let end = format!("or any if people of every tenant may; ENTRA_TENANT is {}", tenant.1);
        assert!(said.starts_with(begin) && said.ends_with(&end), "{said}");
    }
    for (more, begin) in [
        (&[][..], "ENTRA_TENANT is required because ENTRA_CLIENT_ID is set: the id or a domain of your tenant"),
        (&[("ENTRA_TENANT", "contoso")], "ENTRA_TENANT must be the id or a domain of your tenant"),
        (
            &[("ENTRA_TENANT", CONTOSO), ("ENTRA_ALLOWED_TENANTS", CONTOSO)],
            "ENTRA_ALLOWED_TENANTS must be unset, not \"72f988bf",
        ),
        (
            &[("ENTRA_TENANT", "common"), ("ENTRA_ALLOWED_TENANTS", "contoso.com")],
            "ENTRA_ALLOWED_TENANTS must be ids of tenants, such as 72f988bf-86f1-41af-91ab-2d7cd011db47, separated by commas, or any alone, not \"contoso.com\"",
        ),
        (
            &[("ENTRA_TENANT", "common"), ("ENTRA_ALLOWED_TENANTS", ",")],
            "ENTRA_ALLOWED_TENANTS must be ids of tenants, such as 72f988bf-86f1-41af-91ab-2d7cd011db47, separated by commas, or any alone, not \",\"",
        ),
        (
            &[("ENTRA_TENANT", CONTOSO), ("ENTRA_GROUPS", " , ")],
            "ENTRA_GROUPS must be ids of groups, separated by commas, not \",\"",
        ),
        (
            &[("ENTRA_TENANT", CONTOSO), ("ENTRA_SCOPES", "email")],
            "ENTRA_SCOPES must include the word openid, not \"email\"",
        ),
        (
            &[("ENTRA_TENANT", CONTOSO), ("ENTRA_AUTHORITY_URL", "http://a")],
            "ENTRA_AUTHORITY_URL must be an https URL without user or fragment, not \"http://a\"",
        ),
    ] {
        let said = one_mistake("production", &[&ENTRA[..], more].concat());
        assert!(said.starts_with(begin), "{said}");
    }
    let said = one_mistake("production", &ENTRA[..1]);
    assert_eq!(said, "ENTRA_CLIENT_SECRET is required because ENTRA_CLIENT_ID is set; a provider needs both");
}

/// The key of RFC 6979 §A.2.5.
const P8: &str = "-----BEGIN PRIVATE KEY-----
MIGTAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBHkwdwIBAQQgya+p2EW6dRZrXCFX
Z7HWk05Qw9s26JsSe4piKxIPZyGgCgYIKoZIzj0DAQehRANCAARg/tS6JVqdMclh
63TGNW1owEm4kjth+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXej
wpTURiKZ
-----END PRIVATE KEY-----
";
/// A key on another curve, made for this test.
const P384: &str = "-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDDfZa2Bz0rWpIG5UDmq
DOTxg0GM/jKNVNx0dcwdUBJbrRr7/brLCYfPSiptucXmNvahZANiAASVqfhN34O/
nQ+ONhIS4AohvLCiRjaNFIdPnolsL7VD12mxs+0RTqyvFtmyttnQHMMNKRM8TCu/
6sMV2wT4A/SK+uF0zbavo2l2zcizX+yNJD4VCj//PY48KtuAsCVY5FA=
-----END PRIVATE KEY-----
";
const APPLE: [(&str, &str); 4] = [
    ("APPLE_CLIENT_ID", "com.example.web"),
    ("APPLE_TEAM_ID", "TEAM567890"),
    ("APPLE_KEY_ID", "KEY4567890"),
    ("APPLE_PRIVATE_KEY", P8),
];

/// Apple, with one setting changed.
fn apple_with<'a>(name: &str, value: &'a str) -> Vec<(&'static str, &'a str)> {
    APPLE.map(|(known, usual)| (known, if known == name { value } else { usual })).to_vec()
}

#[test]
fn apple_is_on_when_all_four_are_set() {
    let apple = on(&APPLE).remove(0);
    assert_eq!(
        (apple.name.as_str(), apple.display_name.as_str(), apple.client_id.as_str()),
        ("apple", "Apple", "com.example.web")
    );
    assert_eq!((apple.scopes.as_str(), apple.pkce, apple.prompt), ("name email", true, Prompt::Never));
    assert_eq!(apple.callback, "https://www.jinmini.com/login/apple/callback");
    let ProviderKind::Apple(registration) = &apple.kind else { panic!("{:?}", apple.kind) };
    assert_eq!((registration.team_id.as_str(), registration.key_id.as_str()), ("TEAM567890", "KEY4567890"));
    let urls = [&registration.authorize, &registration.token, &registration.revoke, &registration.jwks];
    let at = |path: &str| format!("https://appleid.apple.com/auth/{path}");
    assert_eq!(urls.map(|url| url.as_str().to_owned()), ["authorize", "token", "revoke", "keys"].map(at));

    let set = [
        ("APPLE_AUTHORIZE_URL", "http://localhost:1/a?locale=ko_KR"),
        ("APPLE_TOKEN_URL", "http://127.0.0.1:1/t"),
        ("APPLE_REVOKE_URL", "http://[::1]:1/r"),
        ("APPLE_JWKS_URL", "https://a/j"),
        ("APPLE_SCOPES", "email"),
        ("APPLE_PKCE", "off"),
    ];
    let apple = read("development", &[&APPLE[..], &set].concat()).unwrap().remove(0);
    let ProviderKind::Apple(registration) = &apple.kind else { panic!("{:?}", apple.kind) };
    let urls = [&registration.authorize, &registration.token, &registration.revoke, &registration.jwks];
    assert_eq!(urls.map(|url| url.as_str().to_owned()), [0, 1, 2, 3].map(|nth| set[nth].1.to_owned()));
    assert_eq!((apple.scopes.as_str(), apple.pkce), ("email", false));
}

#[test]
fn missing_variables_of_apple_are_named() {
    for (missing, _) in APPLE {
        let some: Vec<_> = APPLE.into_iter().filter(|(name, _)| *name != missing).collect();
        let there: Vec<_> = some.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            one_mistake("production", &some),
            format!(
                "{missing} is required because {} are set; Apple needs APPLE_CLIENT_ID, APPLE_TEAM_ID, APPLE_KEY_ID and \
                 APPLE_PRIVATE_KEY",
                there.join(" and ")
            )
        );
    }
    let said = read("production", &APPLE[..1]).unwrap_err();
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("APPLE_TEAM_ID is required because APPLE_CLIENT_ID is set; Apple needs"), "{said:#?}");
}

#[test]
fn apples_ids_have_the_shape_of_apples() {
    for (name, value, rule) in [
        ("APPLE_CLIENT_ID", "web", "an identifier such as com.example.web"),
        ("APPLE_CLIENT_ID", "com..web", "an identifier such as com.example.web"),
        ("APPLE_CLIENT_ID", "com.example.*", "an identifier such as com.example.web"),
        ("APPLE_CLIENT_ID", "TEAM567890.com.example.web", "the identifier of the Services ID alone"),
        ("APPLE_TEAM_ID", "team567890", "10 upper-case letters and digits, such as ABCDE12345"),
        ("APPLE_TEAM_ID", "TEAM56789", "10 upper-case letters and digits, such as ABCDE12345"),
        ("APPLE_KEY_ID", "AuthKey_KEY4567890.p8", "10 upper-case letters and digits, such as ABCDE12345"),
    ] {
        let said = one_mistake("production", &apple_with(name, value));
        assert!(said.starts_with(&format!("{name} must be {rule}, not {value:?}")), "{said}");
    }
    for parameter in ["scope=email", "response_mode=query"] {
        let address = format!("https://a/b?{parameter}");
        let said = one_mistake("production", &[&APPLE[..], &[("APPLE_AUTHORIZE_URL", &address)]].concat());
        assert!(said.contains(" must be a URL without the parameter "), "{said}");
    }
}

#[test]
fn apples_key_is_taken_as_settings_hold_it() {
    let one_line = P8.trim().replace('\n', "\\n");
    let carriage_returns = P8.replace('\n', "\r\n");
    // In OpenSSL's format.
    let sec1 = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49\n\
                AwEHoUQDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8\nmaQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==\n\
                -----END EC PRIVATE KEY-----\n";
    for text in [P8, &one_line, &carriage_returns, sec1] {
        let apple = on(&apple_with("APPLE_PRIVATE_KEY", text)).remove(0);
        assert!(apple.client_secret.expose().starts_with("-----BEGIN "), "{text}");
        assert!(!format!("{apple:?}").contains("PRIVATE KEY"), "{apple:?}");
    }
    for (text, rule) in [
        ("hunter2", "must be the text of the key's .p8 file, from -----BEGIN PRIVATE KEY-----"),
        ("/run/secrets/AuthKey_KEY4567890.p8", "must be the text of the key's .p8 file"),
        (&P8.replace("MIGTAgEA", "MIGSAgEA"), "must be a private key over P-256, as in every .p8 file from Apple"),
        (&P8.replace('\n', "\t"), "must be UTF-8 without control characters other than line ends"),
        (P384, "must be a private key over P-256"),
        (include_str!("../../adapters/client_keys/tests/p256.pem"), "must be the text of the key's .p8 file"),
    ] {
        let said = one_mistake("production", &apple_with("APPLE_PRIVATE_KEY", text));
        assert!(said.starts_with(&format!("APPLE_PRIVATE_KEY {rule}")), "{said}");
        assert!(said.ends_with("; its value is not shown because it is secret"), "{said}");
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
        assert!(said.starts_with("OIDC_MY_OKTA_ISSUER must be ") && !said.contains("hunter2"), "{said}");
        let said = one_mistake(mode, &[("OAUTH_REDIRECT_URIS", url)]);
        assert!(said.starts_with("OAUTH_REDIRECT_URIS must be ") && !said.contains("hunter2"), "{said}");
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
    let said = |uris: &str| one_mistake("production", &[("OAUTH_REDIRECT_URIS", uris)]);
    let rule = "OAUTH_REDIRECT_URIS must be https URLs without user or fragment, separated by commas";
    let hint = "there are no wildcards, and in development http://localhost is allowed, too";
    assert_eq!(said("/callback"), format!("{rule}, not \"/callback\"; {hint}"));
    let both = "https://a/cb,/callback";
    assert_eq!(said(both), format!("{rule}, not \"{both}\"; \"/callback\" is not one; {hint}"));
}

#[test]
fn mistakes_are_told_and_show_no_secret() {
    for (name, value, begin) in [
        ("GOOGLE_CLIENT_ID", "two words", "GOOGLE_CLIENT_ID must be printable ASCII without blanks, not \"two words\""),
        ("GOOGLE_SCOPES", "email", "GOOGLE_SCOPES must include the word openid, not \"email\""),
        (
            "GITHUB_SCOPES",
            "가",
            "GITHUB_SCOPES must be words of printable ASCII, separated as the provider expects them, not \"가\"",
        ),
        ("GOOGLE_PKCE", "yes", "GOOGLE_PKCE must be on or off, not \"yes\""),
        (
            "GOOGLE_PROMPT",
            "select_acount",
            "GOOGLE_PROMPT must be consent, select_account or both, or only never, not \"select_acount\"",
        ),
        (
            "GOOGLE_PROMPT",
            "never consent",
            "GOOGLE_PROMPT must be consent, select_account or both, or only never, not \"never consent\"",
        ),
        ("GITHUB_PROMPT", "consent", "GITHUB_PROMPT must be select_account or never, not \"consent\""),
        ("LINE_PROMPT", "none", "LINE_PROMPT must be consent, login or both, or only never, not \"none\""),
        (
            "ENTRA_PROMPT",
            "create",
            "ENTRA_PROMPT must be one or more of login, consent, select_account, or only never, not \"create\"",
        ),
        ("X_PKCE", "off", "X_PKCE must be on or unset, not \"off\"; the provider refuses sign-ins without it"),
        (
            "OIDC_MY_OKTA_PROMPT",
            "가",
            "OIDC_MY_OKTA_PROMPT must be words that the provider knows, such as select_account, or only never, not \"가\"",
        ),
        (
            "NAVER_PROMPT",
            "login",
            "NAVER_PROMPT must be unset, not \"login\"; this provider does not know `prompt`. GET /login/{provider}?auth_type",
        ),
        (
            "FACEBOOK_PROMPT",
            "never",
            "FACEBOOK_PROMPT must be unset, not \"never\"; this provider does not know `prompt`",
        ),
        (
            "GITHUB_MORE_SCOPES",
            "가",
            "GITHUB_MORE_SCOPES must be words of printable ASCII, separated by blanks or commas, not \"가\"",
        ),
        ("NAVER_UNBOUND_CODES", "on", "NAVER_UNBOUND_CODES must be accept or refuse, not \"on\""),
        ("FACEBOOK_API_VERSION", "25", "FACEBOOK_API_VERSION must be a version such as v26.0, not \"25\""),
        (
            "OIDC_MY_OKTA_ISSUER",
            "https://a?b",
            "OIDC_MY_OKTA_ISSUER must be an issuer without a query, not \"https://a?b\"",
        ),
        (
            "OIDC_MY_OKTA_ISSUER",
            "okta.com",
            "OIDC_MY_OKTA_ISSUER must be an https URL without user or fragment, not \"okta.com\"; in development",
        ),
        (
            "OIDC_MY_OKTA_ISSUER",
            "https://me:hunter2@okta.com",
            "OIDC_MY_OKTA_ISSUER must be an https URL without user or fragment; in development http://localhost is allowed, too; \
             its value is not shown because it may hold a password",
        ),
        ("OIDC_MY_OKTA_CLIENT_ID", "two words", "OIDC_MY_OKTA_CLIENT_ID must be printable ASCII without blanks, not"),
        (
            "OIDC_MY_OKTA_ID_TOKEN_ALG",
            "none",
            "OIDC_MY_OKTA_ID_TOKEN_ALG must be HS256, if the client secret signs the id tokens, or unset, not \"none\"",
        ),
        (
            "OIDC_MY_OKTA_ID_TOKEN_ALG",
            "RS256",
            "OIDC_MY_OKTA_ID_TOKEN_ALG must be HS256, if the client secret signs the id tokens, or unset, not \"RS256\"",
        ),
        ("OIDC_MY_OKTA_SCOPES", "email", "OIDC_MY_OKTA_SCOPES must include the word openid, not \"email\""),
        (
            "OIDC_MY_OKTA_CLIENT_SECRET",
            "hunter2\u{1}",
            "OIDC_MY_OKTA_CLIENT_SECRET must be text without control characters; its value is not shown because it is secret",
        ),
    ] {
        let said = one_mistake("production", &[&GOOGLE[..], &OKTA, &[(name, value)]].concat());
        assert!(said.starts_with(begin) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn another_provider_needs_a_name_of_its_own() {
    let said_of = |stem: &str| {
        let names = ["ISSUER", "CLIENT_ID", "CLIENT_SECRET"].map(|suffix| format!("OIDC_{stem}_{suffix}"));
        one_mistake("production", &[(&names[0], "https://a"), (&names[1], "b"), (&names[2], "c")])
    };
    for stem in ["GOOGLE", "KAKAO", "ENTRA", "LINE", "X"] {
        let rule = "must not be set, because the gateway knows this provider";
        let remedy = format!("set {stem}_CLIENT_ID and the like instead");
        assert_eq!(said_of(stem), format!("OIDC_{stem}_ISSUER {rule}; {remedy}"));
    }
    for stem in ["1A", "a", "A.B", &"A".repeat(33)] {
        let said = said_of(stem);
        let begin = format!("OIDC_{stem}_ISSUER must have the name of a provider after OIDC_; ");
        assert!(said.starts_with(&begin), "{said}");
    }
}

#[test]
fn a_slip_of_the_pen_is_found_in_env_and_what_others_need_is_left_alone() {
    let said = |name: &str| {
        let sources = Sources::default().with_dotenv(&format!("GATEWAY_ENV=development\n{name}=x\n"));
        let mistakes = Settings::from_sources(&sources).err();
        mistakes
            .and_then(|mistakes| mistakes.iter().map(ToString::to_string).find(|said| said.contains(" must not set ")))
    };
    for (name, meant) in [
        ("GOOGLE_AUTHORISE_URL", "GOOGLE_AUTHORIZE_URL"),
        ("KAKAO_SCOPE", "KAKAO_SCOPES"),
        ("KAKAO_PROMPTS", "KAKAO_PROMPT"),
        ("NAVER_CLIENTID", "NAVER_CLIENT_ID"),
        ("NAVER_ODIC", "NAVER_OIDC"),
        ("ENTRA_SCOPE", "ENTRA_SCOPES"),
        ("ENTRA_TENNANT", "ENTRA_TENANT"),
    ] {
        assert!(said(name).unwrap().ends_with(&format!("did you mean {meant}?")), "{name}");
    }
    assert!(said("OIDC_OKTA_SECRET").is_some() && said("OIDC_ISSUER").is_some());
    for name in ["GOOGLE_MAPS_KEY", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "NAVER_MAP_URL", "FACEBOOK_PIXEL"] {
        assert_eq!(said(name), None, "{name}");
    }
    assert!(variables::PROVIDER_FAMILIES.iter().all(|family| family.name.contains('_')));
}
