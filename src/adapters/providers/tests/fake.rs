//! A stand-in for a provider: sends preset responses, and records requests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use poem::{Request, Response, Server, endpoint, http::StatusCode, listener::TcpAcceptor};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use url::form_urlencoded;

/// A recorded request.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// `POST /token`
    pub(super) what: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn form(&self) -> Vec<(String, String)> {
        pairs(&self.body)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// A response.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    after: Duration,
}

impl Reply {
    pub(super) fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), after: Duration::ZERO }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The response with a part of the body replaced.
    pub(super) fn with(self, part: &str, by: &str) -> Self {
        Self { body: self.body.replace(part, by), ..self }
    }

    pub(super) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

impl From<Value> for Reply {
    fn from(body: Value) -> Self {
        (200, body).into()
    }
}

impl From<(u16, Value)> for Reply {
    fn from((status, body): (u16, Value)) -> Self {
        Self::text(status, body.to_string()).header("content-type", "application/json")
    }
}

/// Chooses the response to a request.
type Answering = Box<dyn Fn(&Seen) -> Reply + Send>;

#[derive(Default)]
struct State {
    replies: HashMap<String, Answering>,
    seen: Vec<Seen>,
}

/// The stand-in. It stops with the test.
pub(super) struct Fake {
    base: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
        let service = endpoint::make({
            let state = Arc::clone(&state);
            move |request| respond(Arc::clone(&state), request)
        });
        let server = tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(service).await.unwrap() });
        Self { base, state, server }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Sends this response from now on.
    pub(super) fn on(&self, what: &str, reply: impl Into<Reply>) -> &Self {
        let reply = reply.into();
        self.on_asking(what, move |_| reply.clone())
    }

    /// Chooses responses with this from now on.
    pub(super) fn on_asking(&self, what: &str, reply: impl Fn(&Seen) -> Reply + Send + 'static) -> &Self {
        self.state.lock().unwrap().replies.insert(what.to_owned(), Box::new(reply));
        self
    }

    /// All requests, oldest first.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// The last request of this kind.
    pub(super) fn last(&self, what: &str) -> Seen {
        let seen = self.seen();
        seen.iter().rfind(|seen| seen.what == what).unwrap_or_else(|| panic!("no {what} in {seen:#?}")).clone()
    }

    /// The number of requests of this kind.
    pub(super) fn count(&self, what: &str) -> usize {
        self.seen().iter().filter(|seen| seen.what == what).count()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn respond(state: Arc<Mutex<State>>, mut request: Request) -> poem::Result<Response> {
    let what = format!("{} {}", request.method(), request.uri().path());
    let header = |(name, value): (&poem::http::HeaderName, &poem::http::HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
    };
    let headers = request.headers().iter().map(header).collect();
    let query = pairs(request.uri().query().unwrap_or_default());
    let body = request.take_body().into_string().await.unwrap();
    let reply = {
        let mut state = state.lock().unwrap();
        let seen = Seen { what, query, headers, body };
        state.seen.push(seen.clone());
        state.replies.get(&seen.what).map(|reply| reply(&seen))
    };
    let reply = reply.unwrap_or_else(|| Reply::text(404, "there is nothing here"));
    tokio::time::sleep(reply.after).await;
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(reply.body))
}
