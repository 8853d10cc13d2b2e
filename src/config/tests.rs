//! The settings as a whole.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};

mod properties;

use super::*;
use crate::domain::gateway::models::access::Access;

const ENV_FILE: &str = include_str!("../../.env");

fn settings(variables: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    Settings::from_sources(&Sources::default().with_environment(variables.iter().copied()))
}

fn development(variables: &[(&str, &str)]) -> Settings {
    let with_mode = [&[("GATEWAY_ENV", "development")], variables].concat();
    settings(&with_mode).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn said(variables: &[(&str, &str)]) -> Vec<String> {
    settings(variables).map_or_else(|mistakes| mistakes.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

fn said_in_development(variables: &[(&str, &str)]) -> Vec<String> {
    said(&[&[("GATEWAY_ENV", "development")], variables].concat())
}

fn a_key() -> String {
    "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=".to_owned()
}

#[test]
fn development_needs_nothing_else() {
    let settings = development(&[]);
    assert_eq!(settings.environment, Environment::Development);
    assert_eq!(settings.listener.address.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.admin_address.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.public.base(), "http://localhost:8080");
    assert_eq!((settings.public.api_prefix.as_str(), settings.public.timezone), ("/e", Tz::UTC));
    assert_eq!((&settings.database, settings.vault_keys.len()), (&Database::Memory, 0));
    assert_eq!(settings.tokens.algorithm, SigningAlgorithm::Es256);
    assert_eq!(settings.tokens.audience, "http://localhost:8080");
    assert_eq!(settings.tokens.access_ttl, Duration::from_mins(15));
    assert_eq!(settings.tokens.access_ttl_max, Duration::from_hours(24));
    assert_eq!(settings.tokens.refresh_ttl, Duration::from_hours(720));
    assert_eq!(settings.tokens.family_ttl, Duration::from_hours(2160));
    assert_eq!(settings.tokens.refresh_grace, Duration::from_secs(10));
    assert_eq!(settings.tokens.key_rotation, Duration::from_hours(720));
    assert_eq!(settings.listener.head_timeout, Duration::from_secs(10));
    assert_eq!(settings.listener.idle_timeout, Duration::from_secs(75));
    assert_eq!(settings.listener.drain_timeout, Duration::from_secs(20));
    assert_eq!((settings.listener.max_connections, settings.listener.max_connections_per_client), (10_000, 1000));
    assert_eq!(settings.listener.trusted_proxies, []);
    assert_eq!(settings.upstream.connect_timeout, Duration::from_secs(2));
    assert_eq!(settings.upstream.first_byte_timeout, Duration::from_secs(30));
    assert_eq!(settings.upstream.idle_timeout, Duration::from_secs(4));
    assert_eq!(settings.oauth_refresh_ahead, Duration::from_mins(10));
    assert_eq!(settings.log_format, LogFormat::Text);
    assert_eq!(settings.services, []);
    let networks: Vec<_> = settings.service_networks.iter().map(ToString::to_string).collect();
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128"];
    assert_eq!(networks, private);
}

#[test]
fn everything_can_be_set() {
    let key = a_key();
    let settings = settings(&[
        ("HOST", "::1"),
        ("PORT", "3000"),
        ("ADMIN_ADDR", "[::1]:0"),
        ("PUBLIC_URL", "https://www.jinmini.com/"),
        ("API_PREFIX", "/gateway/v1"),
        ("TIMEZONE", "Asia/Seoul"),
        ("DATABASE_URL", "postgres://gateway:secret@db/gateway"),
        ("VAULT_KEY", &key),
        ("TOKEN_ALGORITHM", "EdDSA"),
        ("ACCESS_TOKEN_TTL", "5m"),
        ("OAUTH_REFRESH_AHEAD", "0s"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7"),
        ("CLIENT_ADDRESS_HEADER", "X-Real-IP"),
        ("SERVICE_CIDRS", "10.1.0.0/16, 192.0.2.7"),
        ("AUTH_SERVICE_URL", "http://localhost:8001,http://localhost:8002"),
        ("USER_PROFILE_SERVICE_URL", "http://profiles"),
    ])
    .unwrap();
    assert_eq!(settings.environment, Environment::Production);
    assert_eq!(settings.listener.address.to_string(), "[::1]:3000");
    assert_eq!(
        (settings.public.base(), settings.tokens.audience.as_str()),
        ("https://www.jinmini.com", "https://www.jinmini.com")
    );
    assert_eq!(settings.public.timezone, Tz::Asia__Seoul);
    let (url, schema) = ("postgres://gateway:secret@db/gateway".to_owned(), "gateway".to_owned());
    assert_eq!(settings.database, Database::Url { url, schema });
    assert_eq!(settings.vault_keys, [VaultKey(STANDARD.decode(a_key()).unwrap().try_into().unwrap())]);
    assert_eq!(settings.tokens.algorithm, SigningAlgorithm::EdDsa);
    assert_eq!(settings.listener.trusted_proxies.len(), 2);
    assert_eq!(settings.service_networks.len(), 2);
    assert_eq!(settings.listener.client_address_header, ClientAddressHeader::RealIp);
    assert_eq!(settings.oauth_refresh_ahead, Duration::ZERO);
    assert_eq!(settings.log_format, LogFormat::Json);
    let services: Vec<_> = settings.services.iter().map(|s| (s.name.as_str(), s.urls.len())).collect();
    assert_eq!(services, [("auth", 2), ("user-profile", 1)]);
    let printed = format!("{settings:?}");
    assert!(!printed.contains("secret") && !printed.contains(&key) && !printed.contains("7, 7"), "{printed}");
}

#[test]
fn the_shipped_routes_lead_to_the_auth_service() {
    let routes = development(&[]).routes;
    let seen: Vec<_> = routes
        .iter()
        .map(|route| {
            (
                route.prefix.as_str(),
                route.service.as_str(),
                route.upstream_prefix.as_str(),
                route.access == Access::Open,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("/api/users", "auth", "/users", true),
            ("/api/users/me", "auth", "/users/me", false),
            ("/api/user/login", "auth", "/login", true),
        ]
    );
}

/// The paths, and where each of their routes comes from.
fn origins(environment: &str, file: &str) -> Result<Vec<String>, String> {
    let environment = [
        ("GATEWAY_ENV", environment),
        ("X_SERVICE_URL", "http://x"),
        ("PUBLIC_URL", "https://x"),
        ("DATABASE_URL", "sqlite://gateway.db"),
        ("VAULT_KEY", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE="),
    ];
    let sources = Sources::default().with_environment(environment).with_routes_file("gateway.toml", file);
    let settings = Settings::from_sources(&sources).map_err(|mistakes| mistakes.to_string())?;
    let origin = |route: &Route| &settings.route_origins[&(route.prefix.clone(), route.methods.clone())];
    Ok(settings.routes.iter().map(|route| format!("{} of {}", route.prefix, origin(route))).collect())
}

#[test]
fn shipped_routes_stay_beside_those_of_the_file_unless_it_says_otherwise() {
    let of_x = "[[routes]]\npath = '/api/x'\nservice = 'x'\n";
    assert_eq!(
        origins("development", of_x).unwrap(),
        [
            "/api/x of gateway.toml line 1",
            "/api/users of a shipped route",
            "/api/users/me of a shipped route",
            "/api/user/login of a shipped route"
        ]
    );
    assert_eq!(origins("development", "default_routes = true").unwrap().len(), 3);
    assert_eq!(
        origins("development", &format!("default_routes = false\n{of_x}")).unwrap(),
        ["/api/x of gateway.toml line 2"]
    );
    let said = origins("development", "default_routes = 'no'").unwrap_err();
    assert!(said.contains("gateway.toml line 1: default_routes must be true or false"), "{said}");
}

#[test]
fn of_a_path_that_the_file_has_a_route_for_no_shipped_route_stays() {
    for path in ["path = '/api/users'", "path = '/api/users'\nmethods = ['GET']", "path = '/api/Users'"] {
        let found = origins("development", &format!("[[routes]]\n{path}\nservice = 'x'\n")).unwrap();
        let of_users = found.iter().filter(|origin| origin.to_lowercase().starts_with("/api/users of"));
        assert_eq!(of_users.count(), 1, "{found:?}");
        assert!(found[0].ends_with("of gateway.toml line 1") && found.len() == 3, "{found:?}");
    }
}

/// An image has a copy of the shipped file, perhaps an older one with other comments; AUTH may be missing.
#[test]
fn a_copy_of_the_shipped_file_works_without_an_auth_service_like_the_shipped_routes() {
    let shipped = include_str!("../../gateway.toml");
    for copy in
        [shipped.to_owned(), shipped.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")]
    {
        for environment in ["development", "production"] {
            let found = origins(environment, &copy).unwrap();
            assert_eq!(found.len(), 3, "{found:?}");
            assert!(found.iter().all(|origin| origin.contains("gateway.toml line")), "{found:?}");
        }
    }
    let changed = shipped.replace("upstream_path = \"/login\"", "upstream_path = \"/sign-in\"");
    let said = origins("production", &changed).unwrap_err();
    assert!(said.contains("service must be a service with an address, not \"auth\""), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn a_route_leads_to_a_service_with_an_address() {
    let said = |service: &str, variables: &[(&str, &str)]| {
        let file = format!("[[routes]]\npath = '/api/x'\nservice = '{service}'\n");
        let environment = [&[("GATEWAY_ENV", "development")], variables].concat();
        let sources = Sources::default().with_environment(environment).with_routes_file("gateway.toml", &file);
        Settings::from_sources(&sources).map(|settings| settings.routes.len()).map_err(|mistakes| mistakes.to_string())
    };
    assert_eq!(said("auth", &[]), Ok(4), "development brings it along");
    assert_eq!(said("user-mail", &[("USER_MAIL_SERVICE_URL", "http://x")]), Ok(4));
    assert_eq!(said("user-mail", &[("USER_MAIL_SERVICE_URL", ",")]), Ok(4), "it is declared, and has no instance now");
    let told = said("user-mali", &[("USER_MAIL_SERVICE_URL", "http://x")]).unwrap_err();
    assert!(
        told.contains(
            "USER_MALI_SERVICE_URL is not set, and there is no [services.user-mali]; did you mean \"user-mail\"?"
        ),
        "{told}"
    );
    assert!(said("auth", &[("GATEWAY_ENV", "production")]).unwrap_err().contains("AUTH_SERVICE_URL is not set"));
}

#[test]
fn nothing_set_is_production_which_says_at_once_what_it_needs() {
    let said = said(&[]);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(
        said[0].starts_with(
            "PUBLIC_URL is required in production (GATEWAY_ENV is not set, so this is production): an https URL such as \
             https://www.jinmini.com; "
        ),
        "{said:#?}"
    );
    assert!(
        said[1].starts_with(
            "DATABASE_URL is required in production (GATEWAY_ENV is not set, so this is production): sqlite://data/"
        ),
        "{said:#?}"
    );
    assert!(
        said[2].starts_with(
            "VAULT_KEY is required in production (GATEWAY_ENV is not set, so this is production): a key to seal"
        ),
        "{said:#?}"
    );
    assert!(said[2].contains("openssl rand -base64 32"), "{said:#?}");
}

#[test]
fn the_committed_env_file_works_in_development_and_is_refused_in_production() {
    let committed = Sources::default().with_dotenv(ENV_FILE);
    let settings = Settings::from_sources(&committed).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(settings.environment, Environment::Development);
    // DOMAIN is only the name for people; the URL is local.
    assert_eq!((settings.public.domain(), settings.public.base()), ("www.jinmini.com", "http://localhost:8080"));
    assert_eq!(settings.public.timezone, Tz::Asia__Seoul);
    assert_eq!(settings.vault_keys, [DEVELOPMENT_VAULT_KEY]);

    for keys in [None, Some(format!("{},{}", a_key(), STANDARD.encode(DEVELOPMENT_VAULT_KEY.0)))] {
        let sources = committed
            .clone()
            .with_environment([("GATEWAY_ENV", "production"), ("DATABASE_URL", "postgres://db/gateway")])
            .with_environment(keys.map(|keys| ("VAULT_KEY", keys)));
        let mistakes = Settings::from_sources(&sources).unwrap_err();
        assert_eq!(mistakes.iter().count(), 1, "{mistakes}");
        assert!(
            mistakes.to_string().contains("must not hold the development key of .env, which is public"),
            "{mistakes}"
        );
    }
}

/// A deployment that has sealed with such a key must be able to replace it.
#[test]
fn a_vault_key_that_can_be_guessed_is_refused_in_production_alone() {
    let zero = STANDARD.encode([0; 32]);
    for (keys, nth) in [(zero.clone(), 1), (format!("{},{zero}", a_key()), 2)] {
        let production = [
            ("GATEWAY_ENV", "production"),
            ("PUBLIC_URL", "https://a.test"),
            ("DATABASE_URL", "postgres://db/gateway"),
        ];
        let said = said(&[&production[..], &[("VAULT_KEY", &keys)]].concat());
        assert_eq!(said.len(), 1, "{said:#?}");
        assert!(
            said[0].contains(&format!("key {nth} is text or follows a pattern")) && !said[0].contains(&zero),
            "{said:#?}"
        );
        assert!(said[0].contains("GATEWAY_ENV=development gateway keys rotate"), "{said:#?}");
        assert_eq!(development(&[("VAULT_KEY", &keys)]).vault_keys.len(), nth);
    }
}

#[test]
fn a_store_needs_a_key_in_development_too() {
    let said = said_in_development(&[("DATABASE_URL", "sqlite://gateway.db")]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].starts_with("VAULT_KEY is required with a store (DATABASE_URL): a key"), "{said:#?}");
}

#[test]
fn production_is_reached_at_its_domain_unless_another_address_is_set() {
    let public = |more: &[(&str, &str)]| {
        let key = a_key();
        let always = [("DATABASE_URL", "postgres://db/gateway"), ("VAULT_KEY", &*key), ("DOMAIN", "www.jinmini.com")];
        settings(&[&always, more].concat()).unwrap().public
    };
    let at_domain = public(&[]);
    assert_eq!((at_domain.base(), &*at_domain.api_base()), ("https://www.jinmini.com", "https://www.jinmini.com/e"));
    let elsewhere = public(&[("PUBLIC_URL", "https://app.jinmini.com/e")]);
    assert_eq!((elsewhere.base(), &*elsewhere.api_base()), ("https://app.jinmini.com/e", "https://app.jinmini.com/e"));
    assert_eq!((&*elsewhere.origin(), elsewhere.domain()), ("https://app.jinmini.com", "www.jinmini.com"));
}

#[test]
fn production_wants_https() {
    let said = said(&[
        ("GATEWAY_ENV", "production"),
        ("PUBLIC_URL", "http://www.jinmini.com"),
        ("DATABASE_URL", "postgres://db/gateway"),
        ("VAULT_KEY", &a_key()),
    ]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].starts_with(
            "PUBLIC_URL must be an https URL such as https://www.jinmini.com in production, not \"http://www.jinmini.com\"; "
        ),
        "{said:#?}"
    );
}

#[test]
fn every_variable_is_read_and_its_mistake_is_told_with_all_the_others() {
    let read: Vec<_> = variables::ALL.iter().filter(|variable| **variable != variables::GATEWAY_CONFIG).collect();
    let bad: Vec<_> = read.iter().map(|variable| (variable.name, "\u{1}")).collect();
    let said = said(&[bad.as_slice(), &[("A.B_SERVICE_URL", "http://a"), ("B_SERVICE_URL", "ftp://b")]].concat());
    for variable in &read {
        let begin = format!("{} ", variable.name);
        assert_eq!(said.iter().filter(|line| line.starts_with(&begin)).count(), 1, "{begin}{said:#?}");
    }
    assert_eq!(said.len(), read.len() + 2, "{said:#?}");
}

#[test]
fn fallbacks_are_as_good_as_set_values() {
    let set: Vec<_> = variables::ALL
        .iter()
        .filter_map(|variable| match variable.fallback {
            variables::Fallback::Text(text) => Some((variable.name, text)),
            variables::Fallback::Derived(_) => None,
        })
        .filter(|(name, _)| *name != variables::GATEWAY_ENV.name)
        .collect();
    assert_eq!(format!("{:?}", development(&set)), format!("{:?}", development(&[])));
}

#[test]
fn values_that_make_no_sense_are_told() {
    let rules = [
        ("GATEWAY_ENV", "staging", "GATEWAY_ENV must be development or production, not \"staging\""),
        (
            "HOST",
            "here",
            "HOST must be an IP address such as 127.0.0.1, 0.0.0.0 (every interface) or ::1, not \"here\"",
        ),
        ("PORT", "65536", "PORT must be 0 to 65535, not \"65536\""),
        (
            "ADMIN_ADDR",
            "9090",
            "ADMIN_ADDR must be an IP address and a port, such as 127.0.0.1:9090 or [::1]:9090, not \"9090\"",
        ),
        (
            "ADMIN_ADDR",
            "127.0.0.1:8080",
            "ADMIN_ADDR must have a port of its own, not \"127.0.0.1:8080\"; PORT is 8080, too",
        ),
        (
            "PUBLIC_URL",
            "www.jinmini.com",
            "PUBLIC_URL must be an http or https URL such as https://www.jinmini.com, not \"www.jinmini.com\"",
        ),
        ("API_PREFIX", "/api", "API_PREFIX must be a path such as /e, not \"/api\"; it is neither the root nor /api"),
        (
            "TIMEZONE",
            "Seoul",
            "TIMEZONE must be an IANA time zone such as UTC, Asia/Seoul or Europe/Berlin, not \"Seoul\"",
        ),
        ("TOKEN_ALGORITHM", "none", "TOKEN_ALGORITHM must be one of ES256, RS256, EdDSA, HS256, not \"none\""),
        ("ACCESS_TOKEN_TTL", "0s", "ACCESS_TOKEN_TTL must be a duration from 1s to 3650d, such as 15m, not \"0s\""),
        ("ACCESS_TOKEN_TTL", "25h", "ACCESS_TOKEN_TTL must be at most ACCESS_TOKEN_MAX_TTL (1d), not \"25h\""),
        ("ACCESS_TOKEN_MAX_TTL", "10m", "ACCESS_TOKEN_MAX_TTL must be at least ACCESS_TOKEN_TTL (15m), not \"10m\""),
        ("REFRESH_TOKEN_TTL", "30", "REFRESH_TOKEN_TTL must be a duration from 1s to 3650d, such as 30d, not \"30\""),
        ("TOKEN_FAMILY_TTL", "0s", "TOKEN_FAMILY_TTL must be a duration from 1s to 3650d, such as 90d, not \"0s\""),
        ("REFRESH_GRACE", "1h", "REFRESH_GRACE must be a duration from 0s to 5m, such as 10s, not \"1h\""),
        ("KEY_ROTATION", "1s", "KEY_ROTATION must be a duration from 1m to 3650d, such as 30d, not \"1s\""),
        ("HEAD_TIMEOUT", "0s", "HEAD_TIMEOUT must be a duration from 1ms to 1h, such as 10s, not \"0s\""),
        ("MAX_CONNECTIONS", "0", "MAX_CONNECTIONS must be 1 to 1000000, not \"0\""),
        (
            "TRUSTED_PROXIES",
            "10.0.0.0/8,all",
            "TRUSTED_PROXIES must be addresses or CIDRs separated by commas, such as 10.0.0.0/8,192.0.2.7, not \"10.0.0.0/8,all\"; \"all\" is neither",
        ),
        (
            "SERVICE_CIDRS",
            "none",
            "SERVICE_CIDRS must be addresses or CIDRs separated by commas, such as 10.0.0.0/8,192.0.2.7, not \"none\"",
        ),
        (
            "CLIENT_ADDRESS_HEADER",
            "True-Client-IP",
            "CLIENT_ADDRESS_HEADER must be X-Forwarded-For or X-Real-IP, not \"True-Client-IP\"",
        ),
        ("LOG_FORMAT", "xml", "LOG_FORMAT must be text or json, not \"xml\""),
        (
            "AUTH_SERVICE_URL",
            "localhost:8001",
            "AUTH_SERVICE_URL must be the URL of a service, not \"localhost:8001\"; it must be",
        ),
    ];
    for (name, value, begin) in rules {
        let said = said_in_development(&[(name, value)]);
        assert_eq!(said.len(), 1, "{said:#?}");
        assert!(said[0].starts_with(begin), "{}", said[0]);
    }
    assert!(said_in_development(&[("REFRESH_GRACE", "0s"), ("DRAIN_TIMEOUT", "0s"), ("PORT", "0")]).is_empty());
}

#[test]
fn no_mistake_shows_a_secret() {
    let told = said_in_development(&[
        ("DATABASE_URL", "postgres://gateway:hunter2#x@db/gateway"),
        ("VAULT_KEY", "hunter2"),
        ("AUTH_SERVICE_URL", "http://me:hunter2@auth"),
        ("PUBLIC_URL", "https://me:hunter2@www.jinmini.com"),
    ]);
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(!told.concat().contains("hunter2"), "{told:#?}");
}

#[test]
fn a_mistake_in_env_names_the_line() {
    let sources = Sources::default().with_dotenv("GATEWAY_ENV=development\nPORT=80a\n");
    let mistakes = Settings::from_sources(&sources).unwrap_err();
    assert_eq!(
        mistakes.to_string(),
        "One setting needs your attention:\n  \
         - PORT (.env line 2) must be 0 to 65535, not \"80a\""
    );
}

#[test]
fn names_are_listed_once() {
    let names: BTreeSet<_> = variables::ALL.iter().map(|variable| variable.name).collect();
    assert_eq!(names.len(), variables::ALL.len());
}

#[test]
fn a_route_may_only_name_a_provider_that_will_be_on() {
    let with_route = |provider: &str, variables: &[(&str, &str)]| {
        let file = format!("[[routes]]\npath = '/api/x'\nservice = 'x'\nprovider_token = '{provider}'\n");
        let environment = [&[("GATEWAY_ENV", "development"), ("X_SERVICE_URL", "http://x")], variables].concat();
        let sources = Sources::default().with_environment(environment).with_routes_file("gateway.toml", &file);
        match Settings::from_sources(&sources) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }
    };
    let github = [("GITHUB_CLIENT_ID", "gateway"), ("GITHUB_CLIENT_SECRET", "s3cret")];
    let rule = |provider: &str, on: &str| {
        vec![format!("gateway.toml line 4: provider_token must be an enabled provider ({on}), not {provider:?}")]
    };
    assert_eq!(with_route("github", &github), Vec::<String>::new());
    assert_eq!(with_route("google", &github), rule("google", "github"));
    assert_eq!(with_route("stand-in", &[]), Vec::<String>::new(), "development brings it along");
    assert_eq!(with_route("stand-in", &github), rule("stand-in", "github"), "but not beside another");
    assert_eq!(with_route("google", &[]), rule("google", "stand-in, stand-in-apple"));
    let production = [("GATEWAY_ENV", "production"), ("DATABASE_URL", "postgres://db/x"), ("VAULT_KEY", &a_key())];
    let said = with_route("stand-in", &[&production[..], &[("PUBLIC_URL", "https://www.jinmini.com")]].concat());
    assert_eq!(
        said,
        [
            "gateway.toml line 4: provider_token must be an enabled provider, not \"stand-in\"; none is: set its client id \
             and secret"
        ]
    );
}
