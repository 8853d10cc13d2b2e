//! The sample AUTH service: an example of a service behind the gateway. It verifies no tokens. The gateway names the
//! caller in `X-User-Id` and `X-User-Scope`, which a client cannot forge through the gateway.

use std::{future::Future, io, time::Duration};

use poem::{
    Endpoint, EndpointExt, Response, Route, Server,
    http::{StatusCode, header},
    listener::TcpAcceptor,
};
use poem_openapi::{ApiResponse, Object, OpenApi, OpenApiService, param::Header, payload::Json, types::ToJSON};
use tokio::net::TcpListener;

/// How long requests in flight may take to end after the shutdown began.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until `shutdown`.
///
/// # Errors
/// The listener is no longer usable.
pub async fn serve(listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?)
        .run_with_graceful_shutdown(endpoint(), shutdown, Some(DRAIN))
        .await
}

/// The service, without the server around it.
pub fn endpoint() -> impl Endpoint<Output = Response> {
    let api = OpenApiService::new(Api, "AUTH service", env!("CARGO_PKG_VERSION"))
        .description("A sample service behind the gateway: it shows the identity headers and verifies nothing.");
    let document = api.spec_endpoint();
    Route::new().nest("/", api).at("/openapi.json", document).catch_all_error(problem)
}

struct Api;

#[OpenApi]
#[expect(clippy::unused_async, reason = "poem-openapi wants async operations")]
impl Api {
    /// Get a welcome
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    async fn users(&self) -> Json<Message> {
        Message::of("Welcome from AUTH service")
    }

    /// Get the caller
    #[oai(path = "/users/me", method = "get", operation_id = "get_me")]
    async fn me(
        &self,
        /// The subject of the caller's token
        #[oai(name = "X-User-Id")]
        subject: Header<Option<String>>,
        /// The scope of the caller's token: values separated by spaces
        #[oai(name = "X-User-Scope")]
        scope: Header<Option<String>>,
        /// The caller's e-mail address, if the gateway knows it
        #[oai(name = "X-User-Email")]
        email: Header<Option<String>>,
    ) -> Me {
        match subject.0.filter(|subject| !subject.is_empty()) {
            Some(subject) => {
                let scope = scope.0.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
                Me::Caller(Json(Caller { subject, scope, email: email.0 }))
            }
            None => Me::Unknown(Json(Problem::of(StatusCode::UNAUTHORIZED)), "Bearer".to_owned()),
        }
    }

    /// Get a welcome by name
    ///
    /// An imitation of a login: the password is neither checked nor stored, and no token is issued. The gateway issues
    /// tokens: `POST /tokens/create`.
    #[oai(path = "/login", method = "post", operation_id = "log_in")]
    async fn login(&self, credentials: Json<Credentials>) -> Json<Message> {
        Message::of(&format!("Welcome from AUTH service, {}", credentials.0.username))
    }

    /// Get the health of the service
    #[oai(path = "/health", method = "get", operation_id = "health")]
    async fn health(&self) -> Json<Health> {
        Json(Health { status: "ok".to_owned() })
    }
}

/// A message.
#[derive(Object)]
struct Message {
    message: String,
}

impl Message {
    fn of(words: &str) -> Json<Self> {
        Json(Self { message: words.to_owned() })
    }
}

/// The caller.
#[derive(Object)]
struct Caller {
    subject: String,
    scope: Vec<String>,
    #[oai(skip_serializing_if_is_none)]
    email: Option<String>,
}

// No `Debug`: it holds a password.
/// A username and a password.
#[derive(Object)]
struct Credentials {
    #[oai(validator(min_length = 1, max_length = 100))]
    username: String,
    #[oai(write_only, validator(min_length = 1, max_length = 256))]
    #[expect(dead_code, reason = "part of the request's schema, but not checked")]
    password: String,
}

/// The health of the service.
#[derive(Object)]
struct Health {
    status: String,
}

#[derive(ApiResponse)]
enum Me {
    /// The caller
    #[oai(status = 200)]
    Caller(Json<Caller>),
    /// `X-User-Id` is missing: the request did not come through the gateway
    #[oai(status = 401, content_type = "application/problem+json")]
    Unknown(Json<Problem>, #[oai(header = "WWW-Authenticate")] String),
}

/// An error (RFC 9457).
#[derive(Object)]
struct Problem {
    #[oai(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    code: String,
}

impl Problem {
    /// The texts depend on the status alone. The framework's messages may quote the request, and so a password.
    fn of(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::BAD_REQUEST => ("invalid_request", "the request does not match the API description"),
            StatusCode::UNAUTHORIZED => ("unauthorized", "X-User-Id is missing; call through the gateway with a token"),
            StatusCode::NOT_FOUND => ("not_found", "nothing is served at this path"),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "this path does not allow the method"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "the body must be application/json"),
            status if status.is_client_error() => ("invalid_request", "the request is invalid"),
            _ => ("internal_error", "the service failed"),
        };
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.to_owned(),
            code: code.to_owned(),
        }
    }
}

/// Turns every error of the framework into a problem.
async fn problem(error: poem::Error) -> Response {
    let status = error.status();
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/problem+json")
        .body(Problem::of(status).to_json_string())
}

#[cfg(test)]
mod tests {
    use poem::{Body, Request, http::Method};
    use serde_json::{Value, json};
    use tokio::sync::oneshot;

    use super::*;

    async fn respond(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> (Response, Value) {
        let mut request = Request::builder().method(method).uri_str(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = endpoint().get_response(request.body(Body::from_string(body.to_owned()))).await;
        let body = response.take_body().into_json().await.unwrap();
        (response, body)
    }

    fn is_problem(response: &Response, body: &Value, status: u16, code: &str) {
        assert_eq!(
            (response.status().as_u16(), &body["status"], &body["code"]),
            (status, &json!(status), &json!(code))
        );
        assert_eq!(response.content_type(), Some("application/problem+json"));
    }

    async fn get(path: &str, headers: &[(&str, &str)]) -> (Response, Value) {
        respond(Method::GET, path, headers, "").await
    }

    async fn login(body: &str) -> (Response, Value) {
        respond(Method::POST, "/login", &[("Content-Type", "application/json")], body).await
    }

    #[tokio::test]
    async fn users_needs_no_caller() {
        let (response, body) = get("/users", &[]).await;
        assert_eq!((response.status(), body), (StatusCode::OK, json!({"message": "Welcome from AUTH service"})));
    }

    #[tokio::test]
    async fn the_caller_is_the_one_that_the_gateway_names() {
        let (response, body) = get("/users/me", &[("X-User-Id", "u1"), ("X-User-Scope", "read write")]).await;
        assert_eq!((response.status(), body), (StatusCode::OK, json!({"subject": "u1", "scope": ["read", "write"]})));
        let (_, body) = get("/users/me", &[("X-User-Id", "u1"), ("X-User-Email", "mina@example.com")]).await;
        assert_eq!(body, json!({"subject": "u1", "scope": [], "email": "mina@example.com"}));
    }

    #[tokio::test]
    async fn a_request_past_the_gateway_has_no_caller() {
        for headers in [&[][..], &[("X-User-Id", "")], &[("Authorization", "Bearer x"), ("X-User-Scope", "read")]] {
            let (response, body) = get("/users/me", headers).await;
            is_problem(&response, &body, 401, "unauthorized");
            assert_eq!(response.header("WWW-Authenticate"), Some("Bearer"));
        }
    }

    #[tokio::test]
    async fn a_login_is_a_welcome_that_does_not_quote_the_password() {
        let (response, body) = login(r#"{"username": "mina", "password": "hunter2"}"#).await;
        assert_eq!((response.status(), body), (StatusCode::OK, json!({"message": "Welcome from AUTH service, mina"})));
    }

    #[tokio::test]
    async fn a_bad_login_is_a_problem_that_does_not_quote_it() {
        for body in ["", "{", "[]", "{}", r#"{"username": "mina"}"#, r#"{"username": "", "password": "hunter2"}"#] {
            let (response, body) = login(body).await;
            is_problem(&response, &body, 400, "invalid_request");
        }
        let (response, body) = login(r#"{"username": "mina", "password": ["hunter2"]}"#).await;
        is_problem(&response, &body, 400, "invalid_request");
        assert!(!body.to_string().contains("hunter2"));
        let (response, body) = respond(Method::POST, "/login", &[("Content-Type", "text/plain")], "mina").await;
        is_problem(&response, &body, 415, "unsupported_media_type");
    }

    #[tokio::test]
    async fn an_unknown_path_is_a_problem_too() {
        let (response, body) = get("/nothing", &[]).await;
        is_problem(&response, &body, 404, "not_found");
        let (response, body) = respond(Method::DELETE, "/users", &[], "").await;
        is_problem(&response, &body, 405, "method_not_allowed");
    }

    #[tokio::test]
    async fn it_has_an_openapi_document_and_a_health_check() {
        let (_, document) = get("/openapi.json", &[]).await;
        let paths: Vec<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(paths, ["/health", "/login", "/users", "/users/me"]);
        assert_eq!(get("/health", &[]).await.1, json!({"status": "ok"}));
    }

    #[tokio::test]
    async fn it_serves_on_a_socket_until_it_is_told_to_stop() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, async { drop(stopped.await) }));

        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /users HTTP/1.1\r\nHost: auth\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200") && response.contains("Welcome from AUTH service"), "{response}");

        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
