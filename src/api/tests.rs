use std::collections::BTreeSet;

use http::{Method, StatusCode};
use poem::Request;
use serde_json::{Value, json};

use super::*;
use crate::{
    adapters::{client_keys::AwsLcClientKeys, names::SystemNames, sealing::Vault},
    domain::gateway::{
        controllers::caller::Callers,
        models::{
            http::page::PagePolicy,
            registration::AddressPolicy,
            service::{Circuit, Instance, Service, ServiceName},
        },
        repositories::memory::{
            MemoryAccounts, MemoryClients, MemoryLogins, MemoryNotices, MemoryRegistrations, MemoryThrottle,
        },
        schemas::{client::ServerMetadata, cookie::Cookies, health::HealthCheck},
        services::{
            account::{AccountParts, AccountService},
            client::{ClientParts, ClientService},
            discovery::Discovery,
            login::{LoginParts, LoginService},
            notice::{NoticeParts, NoticeService},
            oauth::{OAuthParts, OAuthService},
            ports::{InstanceState, InstanceStates, ServicePublisher},
            provider::ProviderHealths,
            registration::{RegistrationParts, Registrations},
            service::ServiceDirectory,
            session::{SessionParts, SessionService},
            testing::{Bench, PlainHasher, SESSION_LIMITS, bench, policy},
        },
    },
    ports::testing::CountingEntropy,
};

/// The parts of signing in, without a provider.
struct SignIns {
    notices: NoticeController,
    tokens: TokenController,
    oauth: OAuthController,
    logins: LoginController,
    accounts: AccountController,
    sessions: SessionController,
}

fn sign_ins(bench: &Bench) -> SignIns {
    let entropy = Arc::new(CountingEntropy::default());
    let (sealer, accounts) = (Arc::new(Vault::new(&[[1; 32]]).unwrap()), Arc::new(MemoryAccounts::default()));
    let store = bench.sessions.clone();
    let vault = Arc::new(OAuthService::new(OAuthParts {
        store: accounts.clone(),
        accounts: accounts.clone(),
        attempts: Arc::new(MemoryThrottle::default()),
        providers: Vec::new(),
        healths: Arc::new(ProviderHealths::new([], bench.clock.clone())),
        sealer: sealer.clone(),
        publisher: bench.recorder.clone(),
        tokens: bench.service.clone(),
        clock: bench.clock.clone(),
        entropy: entropy.clone(),
    }));
    let sessions = Arc::new(SessionService::new(SessionParts {
        store,
        accounts: accounts.clone(),
        tokens: bench.service.clone(),
        clock: bench.clock.clone(),
        entropy: entropy.clone(),
        limits: SESSION_LIMITS,
    }));
    let logins = Arc::new(LoginService::new(LoginParts {
        store: Arc::new(MemoryLogins::default()),
        oauth: vault.clone(),
        sessions: sessions.clone(),
        sealer: sealer.clone(),
        clock: bench.clock.clone(),
        entropy: entropy.clone(),
        allowed_origins: Vec::new(),
    }));
    let service = AccountService::new(AccountParts {
        accounts,
        attempts: Arc::new(MemoryThrottle::default()),
        hasher: Arc::new(PlainHasher),
        sessions: sessions.clone(),
        tokens: bench.service.clone(),
        oauth: vault.clone(),
        sealer,
        clock: bench.clock.clone(),
        entropy,
    });
    let cookies = Cookies::new(true);
    let callers = Arc::new(Callers::new(bench.service.clone(), sessions.clone(), cookies, PagePolicy::default()));
    let notices = NoticeService::new(NoticeParts {
        store: Arc::new(MemoryNotices::default()),
        oauth: vault.clone(),
        accounts: service.clone(),
        clock: bench.clock.clone(),
        entropy: Arc::new(CountingEntropy::default()),
    });
    SignIns {
        notices: NoticeController::new(Arc::new(notices), "https://www.jinmini.com".into(), chrono_tz::UTC),
        tokens: TokenController::new(bench.service.clone(), callers.clone(), chrono_tz::UTC),
        oauth: OAuthController::new(vault, service.clone(), callers.clone(), chrono_tz::UTC),
        logins: LoginController::new(
            logins,
            service.clone(),
            sessions.clone(),
            callers.clone(),
            cookies,
            "https://www.jinmini.com".into(),
        ),
        accounts: AccountController::new(service.clone(), sessions.clone(), callers.clone(), cookies, chrono_tz::UTC),
        sessions: SessionController::new(sessions, service, callers, cookies, chrono_tz::UTC),
    }
}

fn clients(bench: &Bench) -> ClientController {
    let metadata = ServerMetadata::new("https://www.jinmini.com", "/e");
    let parts = ClientParts {
        store: Arc::new(MemoryClients::default()),
        tokens: bench.service.clone(),
        keys: Arc::new(AwsLcClientKeys),
        clock: bench.clock.clone(),
        audiences: metadata.audiences(),
    };
    ClientController::new(Arc::new(ClientService::new(parts)), metadata)
}

struct Nowhere;

impl ServicePublisher for Nowhere {
    fn publish_services(&self, _: &[Service]) {}
}

impl InstanceStates for Nowhere {
    fn circuit(&self, _: &ServiceName) -> Option<Circuit> {
        None
    }

    fn state(&self, _: &ServiceName, _: &Instance) -> InstanceState {
        InstanceState::default()
    }
}

/// No service is declared.
fn services(bench: &Bench) -> (ServiceController, RegistrationController) {
    let discovery = Discovery::new(Arc::new(SystemNames::new(Vec::new())), Arc::new(Nowhere));
    let registrations = Arc::new(Registrations::new(RegistrationParts {
        store: Arc::new(MemoryRegistrations::default()),
        discovery: discovery.clone(),
        clock: bench.clock.clone(),
        entropy: Arc::new(CountingEntropy::default()),
        addresses: AddressPolicy::new(vec!["10.0.0.0/8".parse().unwrap()], Vec::new()),
    }));
    let directory = ServiceDirectory::new(discovery, registrations.clone(), Arc::new(Nowhere));
    (
        ServiceController::new(Arc::new(directory), bench.service.clone(), chrono_tz::UTC),
        RegistrationController::new(registrations, bench.service.clone(), chrono_tz::UTC),
    )
}

struct Fixed(bool);

impl Readiness for Fixed {
    fn check(&self) -> Vec<HealthCheck> {
        vec![HealthCheck::own("start", self.0, "not yet")]
    }
}

struct Response {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Response {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

struct Caller {
    api: Api,
    bench: Bench,
}

impl Caller {
    async fn new(development: bool, ready: bool) -> Self {
        let bench = bench(policy()).await;
        let sign_ins = sign_ins(&bench);
        let (services, registrations) = services(&bench);
        let api = Api::new(ApiParts {
            tokens: sign_ins.tokens,
            oauth: sign_ins.oauth,
            notices: sign_ins.notices,
            logins: sign_ins.logins,
            accounts: sign_ins.accounts,
            sessions: sign_ins.sessions,
            clients: clients(&bench),
            services,
            registrations,
            keys: SigningKeyController::new(bench.keys.clone()),
            readiness: Arc::new(Fixed(ready)),
            domain: "www.jinmini.com".into(),
            prefix: "/e".into(),
            allowed_origins: ["https://app.jinmini.com", "https://*-team.vercel.app"]
                .map(|origin| origin.parse().unwrap())
                .into_iter()
                .collect(),
            development,
        });
        Self { api, bench }
    }

    async fn send(&self, request: poem::RequestBuilder, body: impl Into<poem::Body>) -> Response {
        let mut request = request.body(body);
        request.set_data(RequestContext { request_id: Some("r1".into()), ..RequestContext::default() });
        let response = self.api.endpoint.get_response(request).await;
        let (parts, body) = response.into_parts();
        Response { status: parts.status.as_u16(), headers: parts.headers, body: body.into_vec().await.unwrap() }
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Request::builder().uri_str(path), ()).await
    }

    async fn post(&self, path: &str, body: impl Into<poem::Body>) -> Response {
        self.send(Request::builder().method(Method::POST).uri_str(path).content_type("application/json"), body).await
    }
}

#[tokio::test]
async fn a_pair_is_created_verified_refreshed_and_revoked() {
    let caller = Caller::new(true, true).await;
    let created = caller.post("/tokens/create", r#"{"subject": "alice"}"#).await;
    assert_eq!((created.status, created.header("cache-control")), (200, "no-store"));
    let pair = created.json();
    let keys: BTreeSet<&str> = pair.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        BTreeSet::from([
            "access_token",
            "token_type",
            "expires_in",
            "refresh_token",
            "refresh_expires_in",
            "scope",
            "created_at"
        ])
    );
    let verified = caller.post("/tokens/verify", json!({"token": pair["access_token"]}).to_string()).await.json();
    assert_eq!((&verified["active"], &verified["subject"]), (&json!(true), &json!("alice")));
    let next = caller.post("/tokens/refresh", json!({"refresh_token": pair["refresh_token"]}).to_string()).await;
    assert_eq!(next.status, 200);
    let revoked = caller.post("/tokens/revoke", json!({"token": next.json()["refresh_token"]}).to_string()).await;
    assert_eq!(revoked.status, 200);
    let verified = caller.post("/tokens/verify", json!({"token": pair["access_token"]}).to_string()).await.json();
    assert_eq!(verified, json!({"active": false, "reason": "revoked"}));
}

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let caller = Caller::new(true, true).await;
    let plain = || Request::builder().method(Method::POST).uri_str("/tokens/create");
    let big = format!(r#"{{"subject": "{}"}}"#, "a".repeat(300 * 1024));
    for (what, response, status, code) in [
        ("unknown path", caller.get("/nowhere").await, 404, "not_found"),
        ("wrong method", caller.get("/tokens/create").await, 405, "method_not_allowed"),
        ("no content type", caller.send(plain(), "{}").await, 415, "unsupported_media_type"),
        (
            "a form",
            caller.send(plain().content_type("application/x-www-form-urlencoded"), "a=b").await,
            415,
            "unsupported_media_type",
        ),
        ("empty body", caller.post("/tokens/create", "").await, 400, "malformed_request"),
        ("no JSON", caller.post("/tokens/create", "{").await, 400, "malformed_request"),
        ("wrong type", caller.post("/tokens/create", r#"{"subject": 5}"#).await, 400, "malformed_request"),
        ("unknown field", caller.post("/tokens/create", r#"{"sub": "a"}"#).await, 400, "malformed_request"),
        ("too large", caller.post("/tokens/create", big).await, 413, "body_too_large"),
        ("invalid field", caller.post("/tokens/create", r#"{"subject": ""}"#).await, 422, "validation_failed"),
        ("bad grant", caller.post("/tokens/refresh", r#"{"refresh_token": "x"}"#).await, 401, "invalid_grant"),
        (
            "bad bearer",
            caller.send(plain().content_type("application/json").header("authorization", "Bearer x"), "{}").await,
            401,
            "invalid_token",
        ),
    ] {
        assert_eq!((response.status, response.header("content-type")), (status, "application/problem+json"), "{what}");
        let problem = response.json();
        assert_eq!(problem["status"], json!(status), "{what}");
        assert_eq!(problem["code"], json!(code), "{what}");
        assert_eq!(problem["request_id"], json!("r1"), "{what}");
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{what}: {problem}");
        assert_eq!(status == 401, response.headers.contains_key("www-authenticate"), "{what}");
    }
}

#[tokio::test]
async fn a_credential_is_judged_as_on_a_route() {
    let caller = Caller::new(true, true).await;
    let send = async |credentials: &[&str]| {
        let request =
            Request::builder().method(Method::POST).uri_str("/tokens/create").content_type("application/json");
        let request = credentials.iter().fold(request, |request, value| request.header("authorization", *value));
        caller.send(request, "{}").await
    };
    for another_scheme in ["Basic x", "Digest username=x", "", "Bearerx", "Bearer\tx"] {
        assert_eq!(send(&[another_scheme]).await.status, 200, "{another_scheme}");
    }
    for bad in [&["Bearer"][..], &["bearer  "], &["Bearer a", "Bearer b"], &["Basic x", "Bearer b"]] {
        let response = send(bad).await;
        assert_eq!((response.status, &response.json()["code"]), (400, &json!("invalid_request")), "{bad:?}");
        assert_eq!(response.header("www-authenticate"), r#"Bearer realm="gateway", error="invalid_request""#);
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let caller = Caller::new(true, true).await;
    assert_eq!(caller.get("/tokens/create").await.header("allow"), "POST");
    assert_eq!(caller.post("/", "{}").await.header("allow"), "GET, HEAD");
    assert_eq!(caller.post("/docs", "{}").await.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn a_dummy_token_is_taken_as_json_and_as_plain_text() {
    let caller = Caller::new(true, true).await;
    assert_eq!(caller.post("/tokens/dummy", r#"{"token": "hello"}"#).await.json()["access_token"], json!("hello"));
    let plain =
        Request::builder().method(Method::POST).uri_str("/tokens/dummy").content_type("text/plain; charset=utf-8");
    assert_eq!(caller.send(plain, "안녕").await.json()["access_token"], json!("안녕"));
    assert_eq!(*caller.bench.recorder.shown.lock().unwrap(), ["hello", "안녕"]);
    let binary = Request::builder().method(Method::POST).uri_str("/tokens/dummy").content_type("text/plain");
    assert_eq!(caller.send(binary, vec![0xff, 0xfe]).await.status, 400);
}

#[tokio::test]
async fn development_helpers_are_absent_in_production() {
    let (development, production) = (Caller::new(true, true).await, Caller::new(false, true).await);
    let document = |caller: &Caller| String::from_utf8(caller.api.document().to_vec()).unwrap();
    assert!(document(&development).contains("/tokens/dummy"));
    assert!(!document(&production).contains("dummy_token\""));
    assert_eq!(production.post("/tokens/dummy", r#"{"token": "hello"}"#).await.status, 404);
    assert!(!document(&production).contains("/tokens/dummy"));
}

#[tokio::test]
async fn programs_are_welcomed_with_json_and_browsers_with_a_page() {
    let caller = Caller::new(true, true).await;
    let welcome = caller.get("/").await;
    assert_eq!(welcome.json()["message"], json!("Welcome to the gateway of www.jinmini.com"));
    assert_eq!(welcome.json()["docs"], json!("/docs"));
    let page = caller.send(Request::builder().uri_str("/").header("accept", "text/html,*/*"), ()).await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(String::from_utf8(page.body).unwrap().contains("<h1>Welcome to the gateway of www.jinmini.com</h1>"));
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
}

#[tokio::test]
async fn readiness_is_a_status() {
    assert_eq!(Caller::new(true, true).await.get("/readyz").await.status, 200);
    let unready = Caller::new(true, false).await;
    assert_eq!(unready.get("/readyz").await.status, 503);
    assert_eq!(unready.get("/livez").await.status, 200);
    assert_eq!(unready.get("/readyz").await.json()["checks"][0]["ok"], json!(false));
}

#[tokio::test]
async fn the_public_keys_are_published() {
    let caller = Caller::new(true, true).await;
    let response = caller.get("/.well-known/jwks.json").await;
    assert_eq!(response.header("cache-control"), "public, max-age=300");
    let keys = response.json()["keys"].as_array().unwrap().clone();
    assert_eq!((keys.len(), &keys[0]["kty"], &keys[0]["use"]), (1, &json!("EC"), &json!("sig")));
}

#[tokio::test]
async fn no_response_can_be_framed_sniffed_or_leaks_its_address() {
    let caller = Caller::new(true, true).await;
    for path in ["/", "/docs", "/openapi.json", "/readyz", "/nowhere", "/.well-known/jwks.json"] {
        let response = caller.get(path).await;
        assert!(response.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(response.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(response.header("referrer-policy"), "no-referrer", "{path}");
    }
}

#[tokio::test]
async fn the_document_is_the_same_for_every_request() {
    let caller = Caller::new(true, true).await;
    let first = caller.get("/openapi.json").await.body;
    assert_eq!(caller.get("/openapi.json").await.body, first);
    assert_eq!(caller.api.document(), first);
    assert!(String::from_utf8(caller.get("/docs").await.body).unwrap().contains(std::str::from_utf8(&first).unwrap()));
}

#[tokio::test]
async fn swagger_holds_everything_it_needs() {
    let caller = Caller::new(true, true).await;
    let page = String::from_utf8(caller.get("/docs").await.body).unwrap();
    for outside in ["src=\"http", "href=\"http", "@import"] {
        let markup = page.replace("xmlns", "");
        let (head, _) = markup.split_at(200);
        assert!(!head.contains(outside), "{outside}");
    }
    assert!(page.contains("SwaggerUIBundle") && page.contains("/tokens/create"));
    // Each addition to poem-openapi's page was inserted once.
    for added in
        ["<!DOCTYPE html>", "<title>Gateway of www.jinmini.com</title>", "defaultModelsExpandDepth: 0", "viewport"]
    {
        assert_eq!(page.matches(added).count(), 1, "{added}");
    }
}

/// RFC 6749 §5.2, for every error: at the endpoints of clients no error is a problem document.
#[tokio::test]
async fn errors_of_clients_have_the_form_that_libraries_expect() {
    let caller = Caller::new(true, true).await;
    let post = |path: &str| Request::builder().method(Method::POST).uri_str(path);
    for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"] {
        let form = || post(path).content_type("application/x-www-form-urlencoded");
        let big = format!("token={}", "a".repeat(300 * 1024));
        for (what, response, status, code) in [
            ("no form", caller.send(post(path), "{}").await, 415, "invalid_request"),
            ("too large", caller.send(form(), big).await, 413, "invalid_request"),
            ("nobody", caller.send(form(), "token=a").await, 401, "invalid_client"),
            ("twice", caller.send(form(), "token=a&token=a").await, 400, "invalid_request"),
            ("a stranger", caller.send(form().header("authorization", "Basic YTpi"), "").await, 401, "invalid_client"),
            ("no text", caller.send(form().header("authorization", "Basic \u{e9}"), "").await, 401, "invalid_client"),
        ] {
            assert_eq!((response.status, response.json()["error"].clone()), (status, json!(code)), "{path}: {what}");
            assert!(response.header("content-type").starts_with("application/json"), "{path}: {what}");
            assert_eq!(
                (response.header("cache-control"), response.header("pragma")),
                ("no-store", "no-cache"),
                "{what}"
            );
            assert_eq!(
                response.header("www-authenticate").starts_with("Basic realm="),
                status == 401,
                "{path}: {what}"
            );
        }
    }
}

/// Every operation must be explained in the document, with every status of its responses.
#[tokio::test]
async fn every_operation_is_documented() {
    let caller = Caller::new(true, true).await;
    let document: Value = caller.get("/openapi.json").await.json();
    let servers: Vec<&str> =
        document["servers"].as_array().unwrap().iter().map(|one| one["url"].as_str().unwrap()).collect();
    assert_eq!(servers, ["/"]);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = format!("{method} {path}");
            for field in ["summary", "operationId"] {
                assert!(operation[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(["200", "202", "204", "303"].iter().any(|good| responses.contains_key(*good)), "{name}");
            assert_eq!(path.contains('{'), responses.contains_key("404"), "{name} and 404");
            if !operation["requestBody"].is_null() {
                for status in ["400", "413", "415", "500", "503"] {
                    assert!(responses.contains_key(status), "{name} does not say {status}");
                }
                // Fields are validated one by one in JSON and in people's forms; a provider's notice is only proven or
                // not.
                let content = operation["requestBody"]["content"].as_object().unwrap();
                let is_persons = ["/login", "/signup", "/login/{provider}/link"].contains(&path.as_str());
                let is_providers = path.starts_with("/oauth/webhooks/");
                let is_judged = (content.contains_key("application/json") && !is_providers) || is_persons;
                assert_eq!(responses.contains_key("422"), is_judged, "{name} and 422");
                let schemas: Vec<_> = content.values().filter_map(|one| one["schema"]["$ref"].as_str()).collect();
                assert!(!schemas.is_empty() || content.contains_key("application/secevent+jwt"), "{name}");
                for schema in schemas.iter().map(|reference| reference.rsplit('/').next().unwrap()) {
                    assert!(
                        document["components"]["schemas"][schema]["example"].is_object(),
                        "{schema} has no example"
                    );
                }
            }
        }
    }
    assert!(document["components"]["securitySchemes"]["bearer"].is_object());
    assert!(document["paths"]["/tokens/create"]["post"]["security"].as_array().is_some());
}

#[test]
fn templates_of_paths_find_their_methods() {
    let allowed = AllowedMethods::of(OAuthApi::meta());
    assert_eq!(allowed.at("/oauth/7"), Some("DELETE, GET, HEAD"));
    assert_eq!(allowed.at("/oauth/7/b/c"), None);
}

#[test]
fn an_unknown_error_says_nothing_of_its_reason() {
    let error = poem::Error::from_string("SELECT secret", StatusCode::INTERNAL_SERVER_ERROR);
    let context = RequestContext::default();
    let response = problems::render(&error, &context, &Method::GET, "/", &AllowedMethods::of(Vec::new()));
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

/// Sends a request with a token of this scope; an empty one is no token.
async fn as_service(caller: &Caller, method: Method, path: &str, scope: &str, body: &Value) -> Response {
    let mut request = Request::builder().method(method).uri_str(path).content_type("application/json");
    if !scope.is_empty() {
        let pair = caller.post("/tokens/create", json!({"scope": scope}).to_string()).await.json();
        request = request.header("authorization", format!("Bearer {}", pair["access_token"].as_str().unwrap()));
    }
    caller.send(request, if body.is_null() { String::new() } else { body.to_string() }).await
}

#[tokio::test]
async fn an_instance_registers_sends_heartbeats_and_deregisters() {
    let caller = Caller::new(true, true).await;
    let register = async |body: &Value| {
        as_service(&caller, Method::POST, "/services/orders/instances", "services:register", body).await
    };
    let added = register(&json!({"url": "http://10.0.0.7:8001/", "ttl_seconds": 60, "weight": 3})).await;
    assert_eq!(added.status, 201, "{}", added.json());
    let lease = added.json();
    let path = format!("/services/orders/instances/{}", lease["id"].as_str().unwrap());
    assert_eq!(added.header("location"), path);
    let expected = json!({
        "id": lease["id"], "service": "orders", "url": "http://10.0.0.7:8001", "weight": 3, "ttl_seconds": 60,
        "expires_at": "2027-01-15T08:01:00+00:00",
    });
    assert_eq!(lease, expected);
    let again = register(&json!({"url": "http://10.0.0.7:8001", "ttl_seconds": 60, "weight": 3})).await;
    assert_eq!((again.status, again.json()), (200, expected.clone()));

    let call = async |method| as_service(&caller, method, &path, "services:register", &Value::Null).await;
    let renewed = call(Method::PUT).await;
    assert_eq!((renewed.status, renewed.json()), (200, expected));
    let shown = as_service(&caller, Method::GET, "/services/orders", "services:read", &Value::Null).await;
    assert_eq!((shown.status, &shown.json()["instances"][0]["id"]), (200, &lease["id"]));
    for _ in 0..2 {
        let gone = call(Method::DELETE).await;
        assert_eq!((gone.status, gone.body.len()), (204, 0));
    }
    let refused = call(Method::PUT).await;
    assert_eq!((refused.status, &refused.json()["code"]), (404, &json!("instance_not_registered")));
    let unknown = as_service(&caller, Method::GET, "/services/orders", "services:read", &Value::Null).await;
    assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("service_not_found")));
    let all = as_service(&caller, Method::GET, "/services", "services:read", &Value::Null).await;
    assert_eq!((all.status, all.json()), (200, json!({"services": []})));
}

#[tokio::test]
async fn services_and_registrations_are_for_tokens_with_their_scope() {
    let caller = Caller::new(true, true).await;
    let (register, id) = (json!({"url": "http://10.0.0.7:8001"}), "/services/orders/instances/1111111111111111111111");
    for (method, path, scope, body) in [
        (Method::GET, "/services", "services:read", &Value::Null),
        (Method::GET, "/services/orders", "services:read", &Value::Null),
        (Method::POST, "/services/orders/instances", "services:register", &register),
        (Method::PUT, id, "services:register", &Value::Null),
        (Method::DELETE, id, "services:register", &Value::Null),
    ] {
        let without = as_service(&caller, method.clone(), path, "", body).await;
        assert_eq!((without.status, &without.json()["code"]), (401, &json!("token_missing")), "{method} {path}");
        let other = if scope == "services:read" { "services:register" } else { "services:read" };
        let with_other = as_service(&caller, method.clone(), path, other, body).await;
        assert_eq!(
            (with_other.status, &with_other.json()["code"]),
            (403, &json!("insufficient_scope")),
            "{method} {path}"
        );
        let challenge = format!(r#"Bearer realm="gateway", error="insufficient_scope", scope="{scope}""#);
        assert_eq!(with_other.header("www-authenticate"), challenge);
        let with = as_service(&caller, method.clone(), path, scope, body).await;
        assert!([200, 201, 204, 404].contains(&with.status), "{method} {path}: {}", with.status);
    }
}

#[tokio::test]
async fn a_bad_registration_names_its_field() {
    let caller = Caller::new(true, true).await;
    for (name, body, status, code) in [
        ("orders", json!({"url": "http://169.254.169.254"}), 422, "address"),
        ("orders", json!({"url": "http://8.8.8.8"}), 422, "address"),
        ("orders", json!({"url": "http://orders:8001"}), 422, "url"),
        ("orders", json!({"port": 8001}), 422, "unknown_address"),
        ("stand-in", json!({"url": "http://10.0.0.7:8001"}), 422, "reserved"),
        ("Orders", json!({"url": "http://10.0.0.7:8001"}), 404, "service_not_found"),
        ("orders", json!({"URL": "http://10.0.0.7:8001"}), 400, "malformed_request"),
    ] {
        let path = format!("/services/{name}/instances");
        let refused = as_service(&caller, Method::POST, &path, "services:register", &body).await;
        let problem = refused.json();
        let found = if status == 422 { &problem["errors"][0]["code"] } else { &problem["code"] };
        assert_eq!((refused.status, found), (status, &json!(code)), "{problem}");
    }
}
