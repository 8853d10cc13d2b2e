use super::*;
use crate::config::Settings;

#[test]
fn a_slip_is_found() {
    for (name, meant) in [
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABASE_ULR", "DATABASE_URL"),
        ("DATABASEURL", "DATABASE_URL"),
        ("database_url", "DATABASE_URL"),
        ("GATEWAY_EVN", "GATEWAY_ENV"),
        ("GATEAWY_ENV", "GATEWAY_ENV"),
        ("TRUSTED_PROXYS", "TRUSTED_PROXIES"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("VAULTKEY", "VAULT_KEY"),
        ("VUALT_KEY", "VAULT_KEY"),
        ("GOOGLE_CLIENT_SECERT", "GOOGLE_CLIENT_SECRET"),
        ("GOGLE_CLIENT_ID", "GOOGLE_CLIENT_ID"),
        ("GITHUB_SCOPE", "GITHUB_SCOPES"),
        ("KAKAO_AUTORIZE_URL", "KAKAO_AUTHORIZE_URL"),
        ("GOOGLE_JWK_URL", "GOOGLE_JWKS_URL"),
        ("AUTH_SERVICES_URL", "AUTH_SERVICE_URL"),
        ("auth_service_url", "AUTH_SERVICE_URL"),
        ("auth-x_SERVICE_URL", "AUTH_X_SERVICE_URL"),
        ("my-auth_SERVICES_URL", "MY_AUTH_SERVICE_URL"),
        ("oidc_my-okta_issuer", "OIDC_MY_OKTA_ISSUER"),
        ("USER_PROFILE_SERVICE_URI", "USER_PROFILE_SERVICE_URL"),
        ("AUTH_SERVICE_OPENPAI", "AUTH_SERVICE_OPENAPI"),
        ("OIDC_OKTA_ISUER", "OIDC_OKTA_ISSUER"),
        ("OIDC_MY_OKTA_CLIENT_SECERT", "OIDC_MY_OKTA_CLIENT_SECRET"),
        ("OICD_OKTA_ISSUER", "OIDC_OKTA_ISSUER"),
    ] {
        assert_eq!(meant_by(name).as_deref(), Some(meant), "{name}");
    }
}

#[test]
fn two_letters_that_were_swapped_are_found_in_every_name_of_several_words() {
    for known in ALL.iter().map(|variable| variable.name).filter(|name| name.contains('_')) {
        for at in 1..known.len() - 1 {
            let mut letters = known.as_bytes().to_vec();
            letters.swap(at, at + 1);
            let name = String::from_utf8(letters).unwrap();
            let (first, second) = (&known[at..=at], &known[at + 1..at + 2]);
            let begins_a_word = &known[at - 1..at] == "_";
            if first == second || first == "_" || second == "_" || begins_a_word {
                continue;
            }
            assert_eq!(meant_by(&name).as_deref(), Some(known), "{name}");
        }
    }
}

#[test]
fn our_own_names_are_no_slips() {
    let own = ["AUTH_SERVICE_URL", "AUTH_SERVICE_OPENAPI", "OIDC_OKTA_ISSUER", "GITHUB_SCOPES", "GOOGLE_JWKS_URL"];
    for name in ALL.iter().map(|variable| variable.name).chain(own) {
        assert_eq!(meant_by(name), None, "{name}");
    }
}

#[test]
fn a_name_without_a_service_or_a_provider_in_it_is_no_slip() {
    for name in ["SERVICES_URL", "_SERVICES_URL", "OIDC_ISUER", "OIDC__ISUER", "", "_", "__"] {
        assert_eq!(meant_by(name), None, "{name}");
    }
}

#[test]
fn a_name_that_no_service_can_have_is_never_suggested() {
    for name in ["1auth_SERVICE_URL", "1AUTH_SERVICES_URL", "a.b_SERVICE_URL", "é_SERVICES_URL", "auth-_SERVICE_URL"] {
        assert_eq!(meant_by(name), None, "{name}");
    }
    for name in ["1AUTH_SERVICES_URL", "A.B_SERVICES_URL", "é_SERVICES_URL"] {
        assert_eq!(misspelt(name).as_deref(), Some("did you mean <NAME>_SERVICE_URL?"), "{name}");
    }
}

/// Variables that shells, containers, platforms and other programs use.
#[test]
fn other_programs_names_are_no_slips() {
    let names = include_str!("usual_names.txt").lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for name in names.flat_map(str::split_whitespace) {
        assert_eq!(meant_by(name), None, "{name}");
        count += 1;
    }
    assert!(count > 500, "{count}");
}

#[test]
fn a_slip_of_the_pen_is_found() {
    for (name, meant) in [
        ("PROT", "PORT"),
        ("port", "PORT"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("VAULTKEY", "VAULT_KEY"),
        ("AUTH_SERVICES_URL", "AUTH_SERVICE_URL"),
        ("auth_service_url", "AUTH_SERVICE_URL"),
        ("my-auth_SERVICES_URL", "MY_AUTH_SERVICE_URL"),
        ("USER_PROFILE_SERVICE_URI", "USER_PROFILE_SERVICE_URL"),
    ] {
        assert_eq!(misspelt(name), Some(format!("did you mean {meant}?")), "{name}");
    }
    assert!(misspelt("GATEWAY_SECRET").is_some());
}

#[test]
fn names_of_ours_and_of_others_are_left_alone() {
    for name in [
        "PORT",
        "AUTH_SERVICE_URL",
        "STRIPE_SERVICE_KEY",
        "NODE_ENV",
        "GOOGLE_CLIENT_ID",
        "REDIS_URL",
        "RUST_LOG",
        "AWS_KEY",
    ] {
        assert_eq!(misspelt(name), None, "{name}");
    }
}

#[test]
fn a_misspelt_name_is_a_mistake_in_env_files_only() {
    let sources = Sources::default()
        .with_environment([("PROT", "1"), ("HOSTS", "a")])
        .with_dotenv("PORT=1\nTIMEZONES=UTC\nNODE_ENV=test\nHOSTS=a\n");
    let said: Vec<_> = mistakes(&sources).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            ".env line 2 must not set TIMEZONES; did you mean TIMEZONE?",
            ".env line 4 must not set HOSTS; did you mean HOST?",
        ]
    );
    let told = Settings::from_sources(&sources).unwrap_err().to_string();
    assert!(told.contains(&said[0]) && told.contains(&said[1]), "{told}");
}

#[test]
fn a_console_s_word_is_a_hint_unless_ours_is_set() {
    let alone = Sources::default().with_environment([("LINE_CHANNEL_ID", "1")]).with_dotenv("TWITTER_CLIENT_ID=2");
    assert_eq!(
        hints(&alone),
        [
            "LINE_CHANNEL_ID is set, but the gateway does not read it; it reads LINE_CLIENT_ID",
            "TWITTER_CLIENT_ID (.env line 1) is set, but the gateway does not read it; it reads X_CLIENT_ID",
        ]
    );
    assert!(mistakes(&alone).is_empty());
    assert_eq!(
        hints(&Sources::default().with_environment([("LINE_CHANNEL_ID", "1"), ("LINE_CLIENT_ID", "1")])),
        Vec::<String>::new()
    );
}

#[test]
fn a_usual_name_is_a_hint_at_ours() {
    for (name, value, hint) in [
        ("CORS_ORIGINS", "*", "it reads ALLOWED_ORIGINS"),
        ("CORS_ALLOWED_ORIGINS", "*", "it reads ALLOWED_ORIGINS"),
        ("FRONTEND_URL", "http://localhost:3000", "it reads ALLOWED_ORIGINS"),
        ("LOG_LEVEL", "debug", "it reads RUST_LOG"),
        ("NAVER_SECRET", "s3cret", "it reads NAVER_CLIENT_SECRET"),
        ("REDIS", "redis://:s3cret@localhost", "it reads REDIS_URL"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "30", "it reads ACCESS_TOKEN_TTL"),
        ("JWT_SECRET", "s3cret", "it makes its signing keys itself, and VAULT_KEY seals them"),
        ("SECRET_KEY", "s3cret", "it makes its signing keys itself, and VAULT_KEY seals them"),
        (
            "GOOGLE_REDIRECT_URI",
            "http://localhost/cb",
            "its callback is PUBLIC_URL and /login/google/callback, and OAUTH_REDIRECT_URIS lists those of front ends",
        ),
        ("SHOP_SERVICE", "http://shop:8000", "it reads SHOP_SERVICE_URL"),
    ] {
        let told = [format!("{name} is set, but the gateway does not read it; {hint}")];
        assert_eq!(hints(&Sources::default().with_environment([(name, value)])), told, "{name}");
        assert!(mistakes(&Sources::default().with_dotenv(&format!("{name}=x\n"))).is_empty(), "{name}");
    }
    let of_others = [
        ("SHOP_URL", "http://shop:8000"),
        ("DD_SERVICE", "shop"),
        ("K_SERVICE", "gateway"),
        ("OIDC_REDIRECT_URI", "http://localhost/cb"),
    ];
    assert_eq!(hints(&Sources::default().with_environment(of_others)), Vec::<String>::new());
    let both = [("SHOP_SERVICE", "http://shop:8000"), ("SHOP_SERVICE_URL", "http://shop:8000")];
    assert_eq!(hints(&Sources::default().with_environment(both)), Vec::<String>::new());
}

#[test]
fn a_slip_in_the_environment_is_told_without_its_value() {
    let sources = Sources::default().with_environment([("PATH", "/bin"), ("VAULT_KYE", "hunter2"), ("PORT", "1")]);
    let told = "VAULT_KYE is set in the environment, and the gateway has no such variable: did you mean VAULT_KEY?";
    assert_eq!(hints(&sources), [told]);
    assert!(mistakes(&sources).is_empty());
}
