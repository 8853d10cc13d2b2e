use super::*;
use crate::{
    config::{Sources, reading::reader::Reader, routes},
    domain::gateway::models::{
        http::header_rules::HeaderRules,
        service::{FixedAnswer, Maintenance, Redirect, Respond, Route},
    },
};

fn read(text: &str) -> Result<Vec<Route>, Vec<String>> {
    let sources = Sources::default().with_routes_file("gateway.toml", text);
    let mut reader = Reader::new(&sources);
    let known = routes::Known { providers: None, algorithm: None, services: Some(&["x"]), redis: Some(false) };
    let found = routes::read(&mut reader, known).of_file();
    reader.finish(Some(found)).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

fn route(lines: &str) -> Result<Route, Vec<String>> {
    read(&format!("[[routes]]\npath = '/api/x'\nservice = 'x'\n{lines}\n")).map(|mut routes| routes.remove(0))
}

fn policy(lines: &str) -> TrafficPolicy {
    let route = route(lines).unwrap_or_else(|mistakes| panic!("{lines}: {mistakes:?}"));
    route.traffic.as_deref().cloned().unwrap_or_default()
}

fn limit(requests: u32, seconds: u64, burst: u32, by: LimitBy) -> RateLimit {
    RateLimit { requests, per: Duration::from_secs(seconds), burst, by, methods: CountedMethods::All, shared: false }
}

#[test]
fn a_route_without_a_policy_has_none() {
    for lines in ["", "compress = false", "maintenance = false", "request_headers = {}"] {
        assert_eq!(route(lines).unwrap().traffic, None, "{lines}");
    }
    assert!(policy("compress = true").compress);
}

#[test]
fn rate_limits_are_one_table_or_several() {
    let limits = |lines: &str| policy(lines).rate_limits.iter().cloned().collect::<Vec<_>>();
    assert_eq!(limits("rate_limit = { requests = 100, per = '1m' }"), [limit(100, 60, 100, LimitBy::Address)]);
    let lines = "rate_limit = [
        { requests = 10, per = '1s', burst = 100, by = 'account' },
        { requests = 5, per = '24h', burst = 1, by = 'header:X-Api-Key' },
        { requests = 1, per = '1h', by = 'client' },
    ]";
    let three = [
        limit(10, 1, 100, LimitBy::Account),
        limit(5, 86_400, 1, LimitBy::Header("x-api-key".into())),
        limit(1, 3600, 1, LimitBy::Client),
    ];
    assert_eq!(limits(lines), three);
    assert_eq!(limits("[[routes.rate_limit]]\nrequests = 1\nper = '1s'"), [limit(1, 1, 1, LimitBy::Address)]);
}

#[test]
fn replicas_count_together_where_there_is_a_redis() {
    let shared = |redis, lines: &str| {
        let text = format!("[[routes]]\npath = '/api/x'\nservice = 'x'\n{lines}\n");
        let sources = Sources::default().with_routes_file("gateway.toml", &text);
        let mut reader = Reader::new(&sources);
        let known = routes::Known { providers: None, algorithm: None, services: Some(&["x"]), redis };
        let routes = routes::read(&mut reader, known).of_file();
        reader.finish(Some(())).unwrap();
        routes[0].traffic.as_ref().unwrap().rate_limits.iter().map(|limit| limit.shared).collect::<Vec<_>>()
    };
    assert_eq!(shared(Some(true), "rate_limit = { requests = 5, per = '1m', shared = true }"), [true]);
    assert_eq!(shared(Some(true), "rate_limit = { requests = 5, per = '1m' }"), [false]);
    assert_eq!(shared(Some(true), "protect = 'login'"), [true, true]);
    assert_eq!(shared(Some(false), "protect = 'login'"), [false, false]);
}

#[test]
fn a_login_is_limited_in_one_word() {
    let limits: Vec<_> = policy("protect = 'login'\nrate_limit = { requests = 9, per = '1s' }")
        .rate_limits
        .iter()
        .map(|limit| (limit.requests, limit.per.as_secs(), limit.methods, limit.is_by_address()))
        .collect();
    let login = CountedMethods::Unsafe;
    assert_eq!(limits, [(10, 60, login, true), (100, 3600, login, true), (9, 1, CountedMethods::All, true)]);
}

#[test]
fn addresses_are_networks() {
    let rule = policy("allow_ips = ['10.0.0.0/8', '::ffff:192.0.2.1']\ndeny_ips = ['10.0.0.1']").addresses;
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
    assert_eq!(rule.allow, Some(networks(&["10.0.0.0/8", "192.0.2.1/32"])));
    assert_eq!(rule.deny, networks(&["10.0.0.1/32"]));
    assert_eq!(policy("deny_ips = ['10.0.0.1']").addresses.allow, None);
}

#[test]
fn header_rules_have_three_parts() {
    let policy = policy(
        "request_headers = { set = { X-Team = 'blue', Accept = '' }, add = { X-Tag = 'a' }, remove = ['X-Debug'] }
         [routes.response_headers.set]
         Content-Security-Policy = \"default-src 'self'\"",
    );
    let HeaderRules { remove, set, add } = &policy.request_headers;
    let pairs = |rules: &[(_, Arc<str>)]| -> Vec<(String, String)> {
        let pair = |(name, value): &(crate::domain::gateway::models::http::header_rules::RuledHeader, Arc<str>)| {
            (name.as_str().to_owned(), value.to_string())
        };
        rules.iter().map(pair).collect()
    };
    assert_eq!(pairs(set), [("accept".into(), String::new()), ("x-team".into(), "blue".into())]);
    assert_eq!(pairs(add), [("x-tag".into(), "a".into())]);
    assert_eq!(remove[0].as_str(), "x-debug");
    let of_response = pairs(&policy.response_headers.set);
    assert_eq!(of_response, [("content-security-policy".into(), "default-src 'self'".into())]);
}

#[test]
fn a_route_that_answers_itself_needs_no_service() {
    let answer = |lines: &str| {
        let routes = read(&format!("[[routes]]\npath = '/api/x'\n{lines}\n")).unwrap();
        assert!(routes[0].service.is_none());
        routes[0].traffic.as_ref().unwrap().answer.clone().unwrap()
    };
    let redirect =
        |to: &str, with_rest, status| FixedAnswer::Redirect(Redirect { status, to: to.to_owned(), with_rest });
    assert_eq!(answer("redirect = { to = 'https://a.example/new' }"), redirect("https://a.example/new", false, 307));
    assert_eq!(answer("redirect = { to = '/api/y/{rest}', status = 308 }"), redirect("/api/y/", true, 308));
    assert_eq!(answer("redirect = { to = 'http://a.example/{rest}' }"), redirect("http://a.example/", true, 307));
    let respond = |status, content_type: Option<&str>, body: &str| {
        FixedAnswer::Respond(Respond { status, content_type: content_type.map(str::to_owned), body: body.into() })
    };
    assert_eq!(answer("respond = { status = 410 }"), respond(410, None, ""));
    assert_eq!(
        answer("respond = { status = 200, body = '{}', content_type = 'application/json' }"),
        respond(200, Some("application/json"), "{}")
    );
    assert_eq!(
        answer("respond = { status = 200, body = '안녕' }"),
        respond(200, Some("text/plain; charset=utf-8"), "안녕")
    );
    let maintenance = |seconds, message: Option<&str>| {
        let retry_after = Duration::from_secs(seconds);
        FixedAnswer::Maintenance(Maintenance { retry_after, message: message.map(Into::into) })
    };
    assert_eq!(answer("maintenance = true"), maintenance(300, None));
    assert_eq!(answer("maintenance = { retry_after = '10m', message = '곧' }"), maintenance(600, Some("곧")));
    // With a service, it is closed for now.
    assert_eq!(policy("maintenance = {}").answer, Some(maintenance(300, None)));
}

/// Lines of a route, and what is said of them.
const MISTAKES: &[(&str, &str)] = &[
    (
        "rate_limit = 5",
        "4: rate_limit must be a table or a list of tables, such as { requests = 100, per = \"1m\" }, not 5",
    ),
    (
        "rate_limit = []",
        "4: rate_limit must have 1 to 8 limits, such as [{ requests = 100, per = \"1m\", by = \"address\" }]",
    ),
    ("rate_limit = { per = '1m' }", "4: rate_limit.requests is required in every rate_limit"),
    ("rate_limit = { requests = 5 }", "4: rate_limit.per is required in every rate_limit"),
    ("rate_limit = { requests = 0, per = '1m' }", "4: rate_limit.requests must be 1 to 1000000, not 0"),
    (
        "rate_limit = { requests = 5, per = 60 }",
        "4: rate_limit.per must be a duration in quotes, such as \"1m\", not 60",
    ),
    (
        "rate_limit = { requests = 5, per = '1500ms' }",
        "4: rate_limit.per must be a duration from 1s to 1d in whole seconds, such as 1m, not \"1500ms\"",
    ),
    (
        "rate_limit = [\n{ requests = 5, per = '1m' },\n{ requests = 5, per = '1m', burst = 51 },\n]",
        "6: rate_limit.burst must be 1 to 50, not 51",
    ),
    (
        "rate_limit = { requests = 5, per = '1m', by = 'ip' }",
        "4: rate_limit.by must be address, account, client, or header: and a header's name, such as header:X-Api-Key, not \
             \"ip\"",
    ),
    (
        "rate_limit = { requests = 5, per = '1m', by = 'header:X-User-Id' }",
        "4: rate_limit.by must be address, account, client, or header: and a header's name, such as header:X-Api-Key, not \
             \"header:X-User-Id\"",
    ),
    (
        "rate_limit = { requests = 5, per = '1m', bursts = 6 }",
        "4: rate_limit must not have the field \"bursts\"; did you mean burst?",
    ),
    (
        "rate_limit = { requests = 5, per = '1m', shared = true }",
        "4: rate_limit.shared must be false without REDIS_URL; the replicas count together in a Redis",
    ),
    ("protect = 'admin'", "4: protect must be login, not \"admin\""),
    (
        "allow_ips = ['10.0.0.0/33']",
        "4: allow_ips must be a list of addresses and CIDRs, such as [\"10.0.0.0/8\", \"192.0.2.7\"], not \
             [\"10.0.0.0/33\"]; \"10.0.0.0/33\" is neither",
    ),
    (
        "deny_ips = []",
        "4: deny_ips must be a list of addresses and CIDRs, such as [\"10.0.0.0/8\", \"192.0.2.7\"], not []",
    ),
    (
        "request_headers = { set = { X_User_Id = '1' } }",
        "4: request_headers.set must not have \"X_User_Id\"; the gateway writes or checks this header itself",
    ),
    (
        "\n[routes.request_headers]\nremove = [\n'X-A',\n'Authorization',\n]",
        "8: request_headers.remove must not have \"Authorization\"; the gateway writes or checks this header itself; \
             forward_authorization and provider_token say which token a service gets",
    ),
    (
        "request_headers = { set = { X-A = \"a\\r\\nX-User-Id: 1\" } }",
        "4: request_headers.set.X-A is no header's value; a value has up to 4096 printable ASCII characters, and no space at \
             its ends",
    ),
    (
        "response_headers = { add = { Set-Cookie = 'a=b' } }",
        "4: response_headers.add must not have \"Set-Cookie\"; only a service may set cookies; a rule may remove them",
    ),
    (
        "response_headers = { set = { Access-Control-Allow-Origin = '*' } }",
        "4: response_headers.set must not have \"Access-Control-Allow-Origin\"; ALLOWED_ORIGINS sets who may read responses",
    ),
    // The value may be a secret.
    ("response_headers = { set = { X-A = 12345 } }", "4: response_headers.set.X-A must be a text in quotes"),
    (
        "response_headers = { set = 'a' }",
        "4: response_headers.set must be a table, such as { X-Team = \"blue\" }, not 'a'",
    ),
    (
        "redirect = { to = '/api/x/y' }",
        "4: redirect.to must not be a path of the same route; clients would be redirected for ever",
    ),
    ("redirect = { to = '/a', status = 303 }", "4: redirect.status must be 301, 302, 307 or 308, not 303"),
    (
        "redirect = { to = '/a', status = 301 }\nmaintenance = true",
        "5: a route must have only one of redirect, respond and maintenance; remove the others",
    ),
    (
        "respond = { status = 302 }",
        "4: respond.status must be a status from 200 to 599, but not of a redirect (3xx), a part (206) or a challenge (401, \
             407), not 302",
    ),
    ("respond = { status = 204, body = 'a' }", "4: respond must not have a body with the status 204; remove the body"),
    ("respond = { body = 'a' }", "4: respond.status is required in every respond"),
    (
        "maintenance = { retry_after = 10 }",
        "4: maintenance.retry_after must be a duration in quotes, such as \"1m\", not 10",
    ),
    (
        "maintenance = 'on'",
        "4: maintenance must be true, false or a table, such as { retry_after = \"10m\" }, not 'on'",
    ),
    ("compress = 'br'", "4: compress must be true or false, not 'br'"),
];

#[test]
fn mistakes_are_told_with_their_line() {
    for (lines, said) in MISTAKES {
        let mistakes = route(lines).unwrap_err();
        assert_eq!(mistakes[0], format!("gateway.toml line {said}"), "{lines}");
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    }
    let mistakes = read("[[routes]]\npath = '/api/x'\nmaintenance = false").unwrap_err();
    assert_eq!(
        mistakes,
        ["gateway.toml line 3: service is required in every [[routes]] that is open; maintenance is false here"]
    );
}

#[test]
fn no_redirect_can_be_steered_to_another_host() {
    for to in [
        "//evil.example",
        "https://a.example{rest}",
        "https://{rest}",
        "/a{rest}",
        "/{rest}/b",
        "https://user@a.example/",
        "https:///a",
        "https:a.example",
        "ftp://a.example/",
        "javascript:alert(1)",
        "https://a.example/?to={rest}",
        "https://a.example/?a/{rest}",
        "/\\\\evil.example",
        "a",
        "",
        "/a b",
        "/a\\r\\nX: 1",
    ] {
        let mistakes = route(&format!("redirect = {{ to = \"{to}\" }}")).unwrap_err();
        assert!(
            mistakes[0].starts_with("gateway.toml line 4: redirect.to must be an http or https URL or a path"),
            "{to}"
        );
    }
}
