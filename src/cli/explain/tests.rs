use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;

const FILE: &str = "
[services.shop]
url = ['http://a:1', 'http://b:2/base']

[services.news]

[[routes]]
path = '/api/Shop'
service = 'shop'
upstream_path = '/v2'
scope = ['shop:read']
methods = ['GET']

[[routes]]
path = '/api/news'
service = 'news'
access = 'session'

[[routes]]
path = '/api/news/archive'
service = 'news'
allow = ['semicolon']
access = 'open'
rate_limit = { requests = 5, per = '1s' }

[[routes]]
path = '/api/old'
access = 'open'
redirect = { to = '/api/news' }

[[routes]]
path = '/api/closed'
service = 'news'
access = 'open'
maintenance = true
";

fn explained(request: &Request<'_>) -> (String, Value, bool) {
    let sources = Sources::default()
        .with_environment([("GATEWAY_ENV", "development"), ("PUBLIC_URL", "https://www.jinmini.com")])
        .with_routes_file("gateway.toml", FILE);
    let settings = Settings::from_sources(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let explanation = explain(&settings, request);
    (explanation.to_text(), explanation.to_json(), explanation.passes())
}

fn text(method: &str, path: &str) -> String {
    explained(&Request { method, path, token: None, json: false }).0
}

fn token(claims: &Value) -> String {
    format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn claims(scope: &str, expires_at: i64) -> Value {
    let mut claims = json!({
        "iss": "https://www.jinmini.com", "aud": "https://www.jinmini.com", "sub": "alice", "client_id": "c", "scope": scope,
        "jti": "2u7RJpjs7HR6yhmLcSHvyR", "sid": "2u7RJpjs7HR6yhmLcSHvyR", "iat": 1, "exp": expires_at,
    });
    if scope.is_empty() {
        claims.as_object_mut().unwrap().remove("scope");
    }
    claims
}

#[test]
fn a_request_with_a_route_is_followed_to_its_service() {
    assert_eq!(
        text("GET", "/e/api/Shop/%61?x=1"),
        "GET /api/Shop/a\n\
         route      /api/Shop (GET, HEAD), gateway.toml line 7\n\
         access     callers with a valid token, if they have scope shop:read\n\
         service    shop, where the path is /v2/a\n\
         instances  http://a:1\n\
         instances  http://b:2/base\n"
    );
    let news = text("POST", "/api/news");
    assert!(news.contains("instances  none is declared (NEWS_SERVICE_URL is not set)"), "{news}");
    let shipped = text("GET", "/api/users/me");
    assert!(shipped.contains("route      /api/users/me (any method), a shipped route\n"), "{shipped}");
    assert!(shipped.contains("instances  the sample service, which development starts\n"), "{shipped}");
    let default = text("GET", "/api/auth");
    assert!(default.contains("refused with 404 no_route"), "a service with routes has no other door: {default}");
}

#[test]
fn a_route_tells_its_limits_and_its_own_answer() {
    let limited = text("GET", "/api/news/archive");
    assert!(limited.contains("policy     at most 5 requests in 1s by address\nservice    news"), "{limited}");
    let (told, document, passes) = explained(&Request { method: "GET", path: "/api/old", token: None, json: false });
    assert_eq!(
        told,
        "GET /api/old\n\
         route      /api/old (any method), gateway.toml line 26\n\
         access     everyone\n\
         policy     redirected to /api/news\n"
    );
    assert_eq!((document["outcome"].as_str(), &document["service"]), (Some("answered"), &Value::Null));
    assert!(passes);
    let closed = text("GET", "/api/closed");
    assert!(closed.ends_with("policy     closed for maintenance\n"), "its service gets nothing: {closed}");
}

#[test]
fn a_request_without_a_route_is_told_which_ones_come_near() {
    for (method, path, told) in [
        (
            "GET",
            "/api/shop/1",
            "GET /api/shop/1\nrefused with 404 no_route: no route matches the path; a service whose instances register themselves, or \
             are containers, is known to the running gateway alone: GET /services\n  /api/Shop has a route; case matters\n",
        ),
        ("GET", "/api/nwes/1", "  /api/news has a route; is the path misspelt?\n"),
        ("GET", "/api/users/ME", "refused with 404 no_route: a server that reads the path"),
        (
            "get",
            "/api/Shop",
            "refused with 405 method_not_allowed: no route of this path has the method get\n  methods are written in upper case: GET\n",
        ),
        ("DELETE", "/api/Shop", "  /api/Shop has GET, HEAD\n"),
        (
            "GET",
            "/api/news;x",
            "refused with 400 bad_path: the path has a semicolon\n  a route lets such paths through with allow = [\"semicolon\"]\n",
        ),
        ("GET", "/api/../x", "refused with 400 bad_path: the path has a dot segment\n"),
        ("GET", "/tokens/create", "the gateway itself responds"),
        ("GET", "/api/elsewhere", "alone: GET /services\n"),
    ] {
        let said = text(method, path);
        assert!(said.contains(told), "{said}\n{told}");
    }
}

/// Long after any test.
const LATER: i64 = 32_000_000_000;

#[test]
fn a_token_is_judged_by_its_claims_and_never_said_to_be_verified() {
    let judge = |path: &str, token: &str| explained(&Request { method: "GET", path, token: Some(token), json: false });
    let (text, json, passes) = judge("/api/Shop", &token(&claims("shop:read", LATER)));
    assert!(passes && text.contains("token      passes\n") && text.contains("neither its signature nor"), "{text}");
    assert_eq!((&json["token"]["passes"], &json["token"]["signature_checked"]), (&json!(true), &json!(false)));
    assert_eq!(json["token"]["claims"]["sub"], json!("alice"));
    for (path, token, why) in [
        ("/api/Shop", token(&claims("shop:write", LATER)), "the token must have the scope shop:read"),
        ("/api/Shop", token(&claims("shop:read", 2)), "the token has expired"),
        ("/api/Shop", token(&json!({ "sub": "x" })), "it is not an access token of a gateway"),
        ("/api/Shop", "any text".to_owned(), "it is not an access token of a gateway"),
        ("/api/news", token(&claims("", LATER)), "the route accepts sessions of browsers alone"),
    ] {
        let (text, json, passes) = judge(path, &token);
        assert!(!passes && text.contains(&format!("token      does not pass: {why}")), "{text}");
        assert!(json["token"]["reason"].as_str().unwrap().starts_with(why), "{json}");
    }
    let (_, open, passes) = judge("/api/news/archive", &token(&claims("", LATER)));
    assert!(passes && open["outcome"] == json!("forwarded"), "{open}");
}

#[test]
fn arguments_come_in_any_order() {
    let request = read(&["--json", "GET", "--token", "t", "/api"]).unwrap_or_else(|mistake| panic!("{mistake}"));
    assert_eq!((request.method, request.path, request.token, request.json), ("GET", "/api", Some("t"), true));
    for (arguments, mistake) in [
        (&["GET"][..], "explain needs a method and a path"),
        (&["GET", "api"], "PATH must begin with /, not \"api\""),
        (&["GET", "/", "--token"], "--token needs a token"),
        (&["GET", "/", "--tokn"], "explain has no option --tokn"),
    ] {
        assert!(read(arguments).err().unwrap().starts_with(mistake), "{arguments:?}");
    }
}
