use super::*;
use crate::{
    config::Sources,
    domain::gateway::models::{http::path::Spelling, service::Methods},
};

fn routes(text: &str) -> Result<Vec<Route>, Vec<String>> {
    let sources = Sources::default().with_routes_file("gateway.toml", text);
    let mut reader = Reader::new(&sources);
    let known = Known {
        providers: Some(&["google", "my-idp"]),
        algorithm: Some(SigningAlgorithm::Hs256),
        services: None,
        redis: None,
    };
    let routes = read(&mut reader, known).of_file();
    reader.finish(Some(routes)).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

#[test]
fn a_route_is_read_whole() {
    let text = r#"
            [[routes]]
            path = "/api/reports"
            methods = ["POST", "GET"]
            allow = ["semicolon", "encoded-slash"]
            service = "reports"
            upstream_path = "/v2/reports"
            access = "token"
            scope = ["read", "reports:see"]
            forward_authorization = true
            provider_token = "google"
            provider_token_header = "X-Google-Token"
            body_limit = "64KiB"
            buffer_request = "1KiB"
            max_requests = 20
            connect_timeout = "500ms"
            first_byte_timeout = "2m"
            idle_timeout = "1h"
            total_timeout = "1d"
            end_with_token = false
            revocation = "strict"
            revocation_max_age = "3s"
            preserve_host = true
            assertion = false
        "#;
    let whole = Route {
        prefix: "/api/reports".parse().unwrap(),
        methods: Methods::only(&["GET".to_owned(), "POST".to_owned()]).unwrap(),
        allow: [Spelling::EncodedSlash, Spelling::Semicolon].into_iter().collect(),
        service: "reports".parse().unwrap(),
        upstream_prefix: "/v2/reports".parse().unwrap(),
        access: Access::with_scope("read reports:see".parse().unwrap()),
        forward_authorization: true,
        provider_token: Some(ProviderToken {
            provider: "google".parse().unwrap(),
            header: "x-google-token".parse().unwrap(),
        }),
        body_limit_bytes: 65_536,
        buffer_bytes: 1024,
        max_requests: Some(20),
        time_limits: TimeLimits {
            connect: Some(Duration::from_millis(500)),
            first_byte: Some(Duration::from_mins(2)),
            idle: Some(Duration::from_hours(1)),
            total: Some(Duration::from_hours(24)),
        },
        end_with_token: false,
        strict_revocation: Some(Duration::from_secs(3)),
        host_sent: HostSent::Client,
        assertion: false,
        traffic: None,
    };
    assert_eq!(routes(text), Ok(vec![whole]));
}

#[test]
fn the_defaults_of_a_route_are_safe() {
    let found =
        routes("routes = [{path = \"/api/x/y\", service = \"x\"}, {path = \"/api\", service = \"x\"}]").unwrap();
    let safe = Route {
        prefix: "/api/x/y".parse().unwrap(),
        upstream_prefix: "/y".parse().unwrap(),
        ..Route::of_service(&"x".parse().unwrap())
    };
    assert_eq!((&found[0], found[1].upstream_prefix.as_str()), (&safe, ""));
}

#[test]
fn a_file_without_routes_has_none() {
    assert_eq!(routes("# nothing yet"), Ok(vec![]));
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let text = r#"
[[routes]]
path = "/users"
service = "Auth"
upstream_path = "users"
access = "opne"
body_limit = "10"

[[routes]]
path = "/api/x"
service = "x"
access = "open"
scope = ["read"]

[[routes]]
path = "/api/x"
service = "x"
scope = ["read write"]

[[routes]]
path = "/api/y"

[[routes]]
path = "/api/z"
service = "z"
acess = "open"

[[routes]]
path = "/api/v"
service = "v"
access = "open"
idle_timeout = "10"
total_timeout = "25h"
end_with_token = true
assertion = true

[service]
"#;
    let said = routes(text).unwrap_err();
    let begins = [
        "gateway.toml line 3: path must be a path under /api, such as /api/users, not \"/users\"",
        "gateway.toml line 4: service must be the name of a service, not \"Auth\"; a service name must have",
        "gateway.toml line 5: upstream_path must be a path, not \"users\"; a path must begin with /",
        "gateway.toml line 6: access must be open, token, session or token-or-session, not \"opne\"",
        "gateway.toml line 7: body_limit must be a size such as 64KiB or 10MiB, not \"10\"",
        "gateway.toml line 13: scope must not be set on an open route; it needs access",
        "gateway.toml line 16: path must not be \"/api/x\"; line 10 has a route for it already",
        "gateway.toml line 18: scope must be a list of words, such as [\"read\", \"write\"], not [\"read write\"]",
        "gateway.toml line 20: service is required in every [[routes]]",
        "gateway.toml line 26: a route must not have the field \"acess\"; did you mean access?",
        "gateway.toml line 32: idle_timeout must be a duration from 1ms to 1d, such as 500ms or 10s, not \"10\"",
        "gateway.toml line 33: total_timeout must be a duration from 1ms to 1d, such as 500ms or 10s, not \"25h\"",
        "gateway.toml line 34: end_with_token must not be set on an open route; it needs access",
        "gateway.toml line 35: assertion must be false with TOKEN_ALGORITHM=HS256, not true; only the gateway has the key",
        "gateway.toml line 37: the file must have only default_routes, [services.NAME] and [[routes]], not \"service\"; did you mean [services.NAME]?",
    ];
    assert_eq!(said.len(), begins.len(), "{said:#?}");
    for (said, begin) in said.iter().zip(begins) {
        assert!(said.starts_with(begin), "{said}\n{begin}");
    }
}

#[test]
fn values_of_another_type_are_told_as_the_file_has_them_and_hide_no_other_mistake() {
    let text = r#"
[[routes]]
path = 5
methods = "GET"
body_limit = 10
preserve_host = "yes"
max_requests = "many"
claims = [ "a",
  "b" ]
scope = [1]
colour = "blue"
access = "opne"

[[routes]]
service = "x"
"#;
    assert_eq!(
        routes(text).unwrap_err(),
        [
            "gateway.toml line 2: service is required in every [[routes]]",
            "gateway.toml line 3: path must be a path in quotes, such as \"/api/users\", not 5",
            "gateway.toml line 4: methods must be a list of names in quotes, such as [\"GET\", \"POST\"], not \"GET\"",
            "gateway.toml line 5: body_limit must be a size in quotes, such as \"64KiB\" or \"10MiB\", not 10",
            "gateway.toml line 6: preserve_host must be true or false, not \"yes\"",
            "gateway.toml line 7: max_requests must be a whole number, not \"many\"",
            "gateway.toml line 8: claims must be a table, such as { team = \"blue\" }, not [ \"a\", \"b\" ]",
            "gateway.toml line 10: scope must be a list of words in quotes, such as [\"read\", \"write\"], not [1]",
            "gateway.toml line 11: a route must not have the field \"colour\"; docs/routes.md lists the fields",
            "gateway.toml line 12: access must be open, token, session or token-or-session, not \"opne\"",
            "gateway.toml line 14: path is required in every [[routes]]",
        ]
    );
}

#[test]
fn a_providers_token_goes_into_authorization_unless_a_header_is_named() {
    for (lines, header) in [
        ("provider_token = 'my-idp'", "authorization"),
        ("provider_token = 'my-idp'\naccess = 'token'\nprovider_token_header = 'authorization'", "authorization"),
        ("provider_token = 'my-idp'\nprovider_token_header = 'Private-Token'", "private-token"),
    ] {
        let found = routes(&format!("[[routes]]\npath = '/api/x'\nservice = 'x'\n{lines}\n")).unwrap();
        let token = found[0].provider_token.as_ref().unwrap();
        assert_eq!((token.provider.as_str(), token.header.as_str()), ("my-idp", header));
    }
}

#[test]
fn a_providers_token_that_could_not_be_sent_is_told_with_its_line() {
    for (lines, begin) in [
        (
            "provider_token = 'Google'",
            "4: provider_token must be the name of a provider, not \"Google\"; a provider's name must have",
        ),
        ("provider_token = 'github'", "4: provider_token must be an enabled provider (google, my-idp), not \"github\""),
        (
            "access = 'open'\nprovider_token = 'google'",
            "5: provider_token must not be set on an open route; only a credential says whose token",
        ),
        (
            "forward_authorization = true\nprovider_token = 'google'",
            "5: provider_token and forward_authorization must not both use Authorization; remove one of them",
        ),
        (
            "forward_authorization = true\nprovider_token = 'google'\nprovider_token_header = 'AUTHORIZATION'",
            "5: provider_token and forward_authorization must not both use Authorization; remove one of them",
        ),
        ("provider_token_header = 'X-Token'", "4: provider_token_header needs provider_token; it names the provider"),
        (
            "provider_token = 'google'\nprovider_token_header = 'X-User-Token'",
            "5: provider_token_header must be a header for a token, not \"X-User-Token\"; a header's name must have",
        ),
    ] {
        let said = routes(&format!("[[routes]]\npath = '/api/x'\nservice = 'x'\n{lines}\n")).unwrap_err();
        assert_eq!(said.len(), 1, "{said:#?}");
        assert!(said[0].starts_with(&format!("gateway.toml line {begin}")), "{said:?}\n{begin}");
    }
}

#[test]
fn a_service_that_has_no_address_is_told_with_the_one_that_was_meant() {
    let text = "[[routes]]\npath = '/api/x'\nservice = 'reprots'\n[[routes]]\npath = '/api/y'\nservice = 'user-mail'\n\
                [[routes]]\npath = '/api/z'\nservice = 'reports'\n";
    let sources = Sources::default().with_routes_file("gateway.toml", text);
    let known = |services| Known { providers: None, algorithm: None, services, redis: None };
    let mut reader = Reader::new(&sources);
    let _ = read(&mut reader, known(Some(&["auth", "reports"])));
    let said = reader.finish(Some(())).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        said,
        [
            "gateway.toml line 3: service must be a service with an address, not \"reprots\"; REPROTS_SERVICE_URL is not set, and \
             there is no [services.reprots]; did you mean \"reports\"?",
            "gateway.toml line 6: service must be a service with an address, not \"user-mail\"; USER_MAIL_SERVICE_URL is not \
             set, and there is no [services.user-mail]",
        ]
    );
    // The shipped routes are not the operator's mistake.
    let sources = Sources::default();
    let mut reader = Reader::new(&sources);
    assert!(!read(&mut reader, known(Some(&[]))).routes.is_empty() && reader.finish(Some(())).is_ok());
}

#[test]
fn a_service_sees_no_unchecked_token() {
    let with = |access: &str| {
        routes(&format!(
            "[[routes]]\npath = '/api/x'\nservice = 'x'\naccess = '{access}'\nforward_authorization = true\n"
        ))
    };
    for access in ["token", "token-or-session", "open"] {
        assert!(with(access).unwrap()[0].forward_authorization, "{access}");
    }
    let begin =
        "gateway.toml line 5: forward_authorization must not be set on a route for sessions alone; no token is checked";
    let said = with("session").unwrap_err();
    assert!(said.len() == 1 && said[0].starts_with(begin), "{said:?}");
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let said = routes("[[routes]]\npath = /api/x\nservice = \"x\"\n").unwrap_err();
    assert!(said[0].starts_with("gateway.toml line 2: cannot be read"), "{said:?}");
    let said = routes("[[routes]]\npath = 1\nservice = \"x\"\n").unwrap_err();
    assert!(said[0].starts_with("gateway.toml line 2: path must be a path in quotes, such as"), "{said:?}");
    let said = routes("routes = 1").unwrap_err();
    assert_eq!(said, ["gateway.toml line 1: routes must be tables, each under a line [[routes]]"]);
}

#[test]
fn a_strict_route_needs_callers_and_time_for_news() {
    let of = |fields: &str| routes(&format!("[[routes]]\npath = \"/api/a\"\nservice = \"a\"\n{fields}"));
    for (fields, strict) in [
        ("", None),
        ("revocation = \"available\"", None),
        ("revocation = \"strict\"", Some(Duration::from_secs(5))),
        ("revocation = \"strict\"\nrevocation_max_age = \"1s\"", Some(Duration::from_secs(1))),
    ] {
        assert_eq!(of(fields).unwrap()[0].strict_revocation, strict, "{fields}");
    }
    for (fields, said) in [
        ("revocation = \"yes\"", "gateway.toml line 4: revocation must be \"available\" or \"strict\", not \"yes\""),
        (
            "access = \"open\"\nrevocation = \"strict\"",
            "gateway.toml line 5: revocation = \"strict\" must not be set on an open route",
        ),
        (
            "revocation_max_age = \"9s\"",
            "gateway.toml line 4: revocation_max_age has no effect without revocation = \"strict\"",
        ),
        (
            "revocation = \"strict\"\nrevocation_max_age = \"999ms\"",
            "gateway.toml line 5: revocation_max_age must be at least 1s",
        ),
    ] {
        let mistakes = of(fields).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(said), "{mistakes:?}");
    }
}
