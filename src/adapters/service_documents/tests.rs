use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::{CertifiedKey, SingleCertAndKey},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::domain::gateway::models::{
    access::{Accepted, Access, Demands},
    service::{Methods, Route, ServiceUrl, Source},
};

fn service(name: &str) -> ServiceName {
    name.parse().unwrap()
}

/// Routes as shipped: open, except for those about the caller's identity.
fn table() -> RouteTable {
    let route = |prefix: &str, upstream: &str, access| Route {
        prefix: prefix.parse().unwrap(),
        upstream_prefix: upstream.parse().unwrap(),
        access,
        ..Route::of_service(&service("auth"))
    };
    let routes = [
        route("/api/users", "/users", Access::Open),
        route(
            "/api/users/me",
            "/users/me",
            Access::Callers(Demands { credentials: Accepted::TokenOrSession, ..Demands::default() }),
        ),
        Route {
            methods: Methods::only(&["POST".to_owned()]).unwrap(),
            ..route("/api/user/login", "/login", Access::Open)
        },
    ];
    RouteTable::with_defaults(routes, [&service("shop")])
}

fn of(document: &Value, name: &str) -> Described {
    described(document.to_string().as_bytes(), &service(name), &table()).unwrap()
}

fn paths(described: &Described) -> Vec<&str> {
    described.paths.iter().map(|(path, _)| path.as_str()).collect()
}

fn at(described: &Described, path: &str) -> Value {
    let (_, item) = described.paths.iter().find(|(known, _)| known == path).unwrap();
    serde_json::to_value(item).unwrap()
}

fn component(described: &Described, kind: &str, name: &str) -> Value {
    let (_, values) = described.components.iter().find(|(known, _)| known == kind).unwrap();
    serde_json::to_value(&values.iter().find(|(known, _)| known == name).unwrap().1).unwrap()
}

/// As FastAPI writes it.
fn fastapi() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Auth", "description": "Who is who", "version": "0.1.0"},
        "paths": {
            "/users": {"get": {"summary": "All", "operationId": "all_users_users_get", "tags": ["people"],
                "security": [{"OAuth2PasswordBearer": []}],
                "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {
                    "type": "array", "items": {"$ref": "#/components/schemas/User"}}}}}}}},
            "/users/me": {"get": {"operationId": "me", "responses": {"200": {"description": "ok"}}}},
            "/users/{user_id}": {"get": {"operationId": "one", "responses": {}}, "trace": {}},
            "/login": {"get": {"responses": {"200": {"description": "ok"}}}, "post": {"operationId": "login", "requestBody": {
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Login"}}}},
                "responses": {"200": {"description": "ok"}}}},
            "/internal": {"get": {"responses": {"200": {"description": "ok"}}}}
        },
        "components": {
            "schemas": {
                "User": {"type": "object", "properties": {"friends": {"type": "array", "items": {"$ref": "#/components/schemas/User"}}}},
                "Login": {"anyOf": [{"$ref": "#/components/schemas/User"}, {"type": "null"}]}
            },
            "securitySchemes": {"OAuth2PasswordBearer": {"type": "http", "scheme": "bearer"}}
        }
    })
}

#[test]
fn operations_stand_where_the_gateway_serves_them() {
    let auth = of(&fastapi(), "auth");
    assert_eq!(auth.description.as_deref(), Some("Auth: Who is who"));
    let mut known = paths(&auth);
    known.sort_unstable();
    assert_eq!(known, ["/api/user/login", "/api/users", "/api/users/me", "/api/users/{user_id}"]);
    let users = &at(&auth, "/api/users")["get"];
    assert_eq!((&users["tags"], &users["security"]), (&json!(["auth"]), &json!([])));
    assert_eq!((&users["operationId"], &users["summary"]), (&json!("auth_all_users_users_get"), &json!("All")));
    let items = &users["responses"]["200"]["content"]["application/json"]["schema"]["items"];
    assert_eq!(items["$ref"], "#/components/schemas/auth.User");
    assert_eq!(at(&auth, "/api/users/me")["get"]["security"], json!([{"bearer": []}, {"session": []}]));
    let one = &at(&auth, "/api/users/{user_id}")["get"];
    assert_eq!(one["parameters"][0]["name"], "user_id", "a template names its parameters");
    assert!(one["responses"]["default"].is_object(), "an operation has an answer");
    assert_eq!(one["summary"], "one", "and a name");
    let login = at(&auth, "/api/user/login");
    assert!(login.get("get").is_none(), "the route takes POST alone");
    assert_eq!(
        login["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/auth.Login"
    );
    let user = component(&auth, "schemas", "auth.User");
    assert_eq!(user["properties"]["friends"]["items"]["$ref"], "#/components/schemas/auth.User", "a circle is one");
    assert!(auth.components.iter().all(|(kind, _)| kind != "securitySchemes"));
}

#[test]
fn a_service_without_routes_is_under_its_name() {
    let mut document = fastapi();
    document["servers"] = json!([{"url": "https://shop.example/v1/"}]);
    let shop = of(&document, "shop");
    assert!(paths(&shop).contains(&"/api/shop/v1/users"), "{:?}", paths(&shop));
    assert_eq!(at(&shop, "/api/shop/v1/users")["get"]["security"], json!([{"bearer": []}]));
}

/// Small documents that would grow large, or cost the square of their members.
#[test]
fn the_growth_of_a_document_is_bounded() {
    let refused = |document: &Value| {
        described(document.to_string().as_bytes(), &service("shop"), &table()).unwrap_err().to_string()
    };
    let kinds: Vec<String> = (0..3000).map(|n| format!("a/{n}")).collect();
    let amplified = json!({
        "swagger": "2.0", "info": {"title": "a", "version": "1"}, "produces": kinds,
        "paths": {"/a": {"get": {"responses": {"200": {"description": "a", "schema": {"enum": vec![0; 90_000]}}}}}}
    });
    assert_eq!(refused(&amplified), "its document has more than 250,000 values");
    let many = |what: &str, inside: Value| {
        let mut document = fastapi();
        document[what] = inside;
        refused(&document)
    };
    assert_eq!(many("x", json!(vec![0; 250_001])), "its document has more than 250,000 values");
    let paths: serde_json::Map<_, _> = (0..2001).map(|n| (format!("/{n}"), json!({}))).collect();
    assert_eq!(many("paths", paths.into()), "its document has more than 2,000 members in an object");
    let parameters = vec![json!({"name": "a", "in": "query"}); 101];
    let paths = json!({"/a": {"get": {"parameters": parameters, "responses": {}}}});
    assert_eq!(many("paths", paths), "its document has more than 100 parameters of an operation");

    let version = many("openapi", json!(format!("9\n200 GET /forged\u{1b}[2J{}", "x".repeat(1000))));
    assert!(version.len() < 400 && !version.contains(['\n', '\u{1b}']), "{version}");
}

#[test]
fn names_that_are_all_the_same_get_numbers() {
    let operation = json!({"operationId": "same", "responses": {}});
    let paths: serde_json::Map<_, _> =
        (0..2000).map(|n| (format!("/{n}"), json!({"get": operation, "put": operation}))).collect();
    let mut document = fastapi();
    document["paths"] = paths.into();
    let shop = of(&document, "shop");
    let operations = shop.paths.iter().flat_map(|(_, item)| item.members());
    let ids: HashSet<_> = operations.filter_map(|(_, operation)| operation.get("operationId")?.text()).collect();
    assert_eq!(ids.len(), 4000);
}

/// A caller cannot claim an identity: the gateway drops these headers and writes them itself.
#[test]
fn headers_that_the_gateway_writes_are_no_parameters() {
    let mut document = fastapi();
    let header = |name: &str| json!({"name": name, "in": "header", "required": true, "schema": {"type": "string"}});
    document["paths"]["/mine"]["get"] =
        json!({"parameters": [header("x-user-id"), header("X-Forwarded-For"), header("x-shop")], "responses": {}});
    let shop = of(&document, "shop");
    let parameters = at(&shop, "/api/shop/mine")["get"]["parameters"].clone();
    assert_eq!(parameters.as_array().unwrap().len(), 1, "{parameters}");
    assert_eq!(parameters[0]["name"], "x-shop");
}

/// FastAPI's `root_path` is the public path of the service: `servers` of its document is no path at the service.
#[test]
fn a_path_outside_is_none_at_the_service() {
    let mut document = fastapi();
    for outside in ["/api/shop", "/e/api/shop", "https://www.jinmini.com/api/shop/"] {
        document["servers"] = json!([{"url": outside}]);
        assert!(paths(&of(&document, "shop")).contains(&"/api/shop/users"), "{outside}");
    }
}

#[test]
fn types_of_two_services_have_two_titles() {
    let mut document = fastapi();
    document["components"]["schemas"]["User"]["title"] = json!("User");
    for service in ["auth", "shop"] {
        let described = of(&document, service);
        assert_eq!(component(&described, "schemas", &format!("{service}.User"))["title"], format!("{service}.User"));
    }
}

#[test]
fn version_2_is_read() {
    let document = json!({
        "swagger": "2.0", "info": {"title": "Old", "version": "1"}, "basePath": "/old", "host": "h", "schemes": ["http"],
        "consumes": ["application/json"], "produces": ["application/json"],
        "paths": {
            "/pets/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": true, "type": "integer", "minimum": 1}],
                "put": {
                    "parameters": [{"in": "body", "name": "pet", "required": true, "schema": {"$ref": "#/definitions/Pet"}},
                        {"in": "query", "name": "tag", "type": "array", "items": {"type": "string"}, "collectionFormat": "multi"}],
                    "responses": {"200": {"description": "ok", "schema": {"$ref": "#/definitions/Pet"}, "headers": {"x-a": {"type": "string"}}}}
                },
                "post": {
                    "consumes": ["multipart/form-data"],
                    "parameters": [{"in": "formData", "name": "photo", "type": "file", "required": true},
                        {"$ref": "#/parameters/Page"}],
                    "responses": {"default": {"$ref": "#/responses/Failed"}}
                }
            }
        },
        "parameters": {"Page": {"in": "query", "name": "page", "type": "integer"}},
        "responses": {"Failed": {"description": "failed"}},
        "definitions": {"Pet": {"type": "object", "properties": {"name": {"type": "string", "x-nullable": true}}}}
    });
    let shop = of(&document, "shop");
    let item = at(&shop, "/api/shop/old/pets/{id}");
    let put = &item["put"];
    assert_eq!(put["requestBody"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/shop.Pet");
    assert_eq!(put["requestBody"]["required"], true);
    assert_eq!(put["parameters"][0]["schema"], json!({"type": "integer", "minimum": 1}));
    assert_eq!(
        (&put["parameters"][1]["explode"], &put["parameters"][1]["schema"]["type"]),
        (&json!(true), &json!("array"))
    );
    assert_eq!(
        put["responses"]["200"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/shop.Pet"
    );
    assert_eq!(put["responses"]["200"]["headers"]["x-a"]["schema"]["type"], "string");
    let form = &item["post"]["requestBody"]["content"]["multipart/form-data"]["schema"];
    assert_eq!((&form["properties"]["photo"]["format"], &form["required"]), (&json!("binary"), &json!(["photo"])));
    assert_eq!(item["post"]["parameters"][1]["$ref"], "#/components/parameters/shop.Page");
    assert_eq!(item["post"]["responses"]["default"]["$ref"], "#/components/responses/shop.Failed");
    assert_eq!(component(&shop, "schemas", "shop.Pet")["properties"]["name"]["type"], json!(["string", "null"]));
}

#[test]
fn names_that_collide_are_told_apart_and_what_is_not_there_takes_everything() {
    let document = json!({
        "openapi": "3.0.1", "info": {"title": "x", "version": "1"},
        "paths": {
            "/a": {"get": {"operationId": "a", "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {
                "oneOf": [{"$ref": "#/components/schemas/Page%3CA%3E"}, {"$ref": "#/components/schemas/Page~1A_"},
                    {"$ref": "#/components/schemas/Gone"}, {"$ref": "https://other.example/schema"}]}}}}}}},
            "/b": {"get": {"operationId": "a", "responses": {"200": {"description": "ok"}}}}
        },
        "components": {"schemas": {
            "Page<A>": {"type": "object", "nullable": true},
            "Page/A_": {"discriminator": {"propertyName": "kind", "mapping": {"a": "Page<A>", "b": "#/components/schemas/Page~1A_"}}}
        }}
    });
    let shop = of(&document, "shop");
    let response =
        &at(&shop, "/api/shop/a")["get"]["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"];
    assert_eq!(response[0]["$ref"], "#/components/schemas/shop.Page_A__2");
    assert_eq!(response[1]["$ref"], "#/components/schemas/shop.Page_A_");
    assert_eq!(response[2]["description"], "not described here: #/components/schemas/Gone");
    assert!(response[3].get("$ref").is_none());
    assert_eq!(at(&shop, "/api/shop/b")["get"]["operationId"], "shop_a_2");
    assert_eq!(component(&shop, "schemas", "shop.Page_A__2")["type"], json!(["object", "null"]));
    let mapping = &component(&shop, "schemas", "shop.Page_A_")["discriminator"]["mapping"];
    assert_eq!(*mapping, json!({"a": "#/components/schemas/shop.Page_A__2", "b": "#/components/schemas/shop.Page_A_"}));
}

#[test]
fn an_invalid_document_is_named() {
    let read = |document: &str| described(document.as_bytes(), &service("shop"), &table()).unwrap_err();
    assert!(matches!(read("<!DOCTYPE html><html>"), Unreadable::NotJson(_)));
    assert!(matches!(read(&"[".repeat(100_000)), Unreadable::NotJson(_)), "a deep one is not read to its end");
    for (document, said) in [
        ("[]", "it has no version"),
        (r#"{"openapi": "4.0.0", "paths": {}}"#, "its version is 4.0.0"),
        (r#"{"swagger": "1.2", "paths": {}}"#, "its version is 1.2"),
        (r#"{"openapi": "3.1.0"}"#, "it has no paths"),
        (r#"{"openapi": "3.1.0", "paths": []}"#, "it has no paths"),
        (r#"{"openapi": "3.1.0", "paths": {"/a": {"get": {"parameters": [{"name": 5}]}}}}"#, "did not match"),
    ] {
        let error = read(document);
        assert!(matches!(&error, Unreadable::NotOpenApi(what) if what.contains(said)), "{document}: {error}");
    }
}

#[test]
fn a_service_without_a_document_shows_its_routes() {
    let auth = of_routes(&service("auth"), &table());
    assert_eq!(paths(&auth), ["/api/user/login", "/api/users", "/api/users/me"]);
    let login = at(&auth, "/api/user/login");
    assert_eq!(login.as_object().unwrap().keys().collect::<Vec<_>>(), ["post"]);
    assert_eq!(login["post"]["summary"], "/login at auth");
    assert_eq!(at(&auth, "/api/users").as_object().unwrap().len(), 5);
    assert_eq!(paths(&of_routes(&service("shop"), &table())), ["/api/shop"]);
}

fn instance_at(address: SocketAddr) -> Instance {
    let url = format!("http://{address}").parse().unwrap();
    Instance::at(&url, address.port(), vec![address.ip()], Source::Static)
}

/// Serves one request with this response.
async fn answering(response: impl Into<Vec<u8>>) -> Arc<Instance> {
    let response = response.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        // The client may have closed the connection.
        let _ = stream.write_all(&response).await;
    });
    Arc::new(instance_at(address))
}

#[tokio::test]
async fn a_document_is_fetched_and_bounded() {
    let documents = ServiceDocuments::new().unwrap();
    let good = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    assert_eq!(documents.fetch(&good, None, "/openapi.json").await, Ok(b"{}".to_vec()));
    let none = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(documents.fetch(&none, None, "/openapi.json").await, Err(Unreadable::Status(404)));
    let elsewhere = answering("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(
        documents.fetch(&elsewhere, None, "/openapi.json").await,
        Err(Unreadable::Status(302)),
        "nothing is followed"
    );
    let mut large = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    large.resize(6 * 1024 * 1024, b' ');
    let large = answering(large).await;
    assert_eq!(documents.fetch(&large, None, "/openapi.json").await, Err(Unreadable::TooLarge));
    let nobody = instance_at(([127, 0, 0, 1], 1).into());
    let Err(Unreadable::Unreachable(why)) = documents.fetch(&nobody, None, "/").await else { panic!() };
    assert!(why.contains("Connection refused"), "{why}");
}

/// An instance with a certificate for this name, and the configuration that trusts it. Answers one request.
async fn answering_by_tls(name: &str, alpn: &str, response: Vec<u8>) -> (Instance, ClientConfig) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certified = CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider).unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    server.alpn_protocols = vec![alpn.into()];
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let is_http2 = alpn == "h2";
    tokio::spawn(async move {
        let Ok(mut stream) = TlsAcceptor::from(Arc::new(server)).accept(listener.accept().await.unwrap().0).await
        else {
            return;
        };
        if is_http2 {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut responder))) = connection.accept().await {
                let mut body = responder.send_response(http::Response::new(()), false).unwrap();
                body.send_data(response.clone().into(), true).unwrap();
            }
            return;
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", response.len());
        stream.write_all(&[head.as_bytes(), &response].concat()).await.unwrap();
        let _ = stream.read_u8().await;
    });
    let scheme = if is_http2 { "h2s" } else { "https" };
    let url: ServiceUrl = format!("{scheme}://auth.internal:{}/base", address.port()).parse().unwrap();
    (Instance::at(&url, url.port, vec![address.ip()], Source::Dns), client)
}

#[tokio::test]
async fn a_document_is_fetched_by_tls_from_the_known_address() {
    let documents = ServiceDocuments::new().unwrap();
    for alpn in ["http/1.1", "h2"] {
        for (named, server_name) in [("auth.internal", "auth.internal"), ("other.internal", "other.internal")] {
            let (instance, config) = answering_by_tls(named, alpn, b"{}".to_vec()).await;
            let tls = Some(DocumentTls { config: &config, server_name });
            assert_eq!(documents.fetch(&instance, tls, "/openapi.json").await, Ok(b"{}".to_vec()), "{alpn} {named}");
        }
        let (instance, config) = answering_by_tls("elsewhere", alpn, b"{}".to_vec()).await;
        let tls = Some(DocumentTls { config: &config, server_name: "auth.internal" });
        let Err(Unreadable::Unreachable(why)) = documents.fetch(&instance, tls, "/").await else { panic!() };
        assert!(why.contains("not valid for name \"auth.internal\""), "{why}");
        let Err(Unreadable::Unreachable(why)) = documents.fetch(&instance, None, "/").await else { panic!() };
        assert_eq!(why, "TLS to it is not set up");
    }
}
