//! Uploads and responses in every order. Whatever comes first (the response's head or its end, a part of the body, the
//! next request, the end of the client), a service gets the bytes of the requests that were sent to it and no others,
//! and learns how each ended. Every order is tried with HTTP/1 and HTTP/2 on either side.

mod client;
mod large;
mod service;

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use tokio::net::TcpStream;

use self::{
    client::{Uploading, next_body},
    service::{Scripted, Seen, Tell},
};
use crate::edge::tests::{
    harness::{Gateway, PATIENCE, Setup, Upstream, get, soon},
    support::{route, service as named},
};

/// A step of the client or the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The service responds.
    Service(Tell),
    /// The client sends a part of its body.
    Part,
    /// The client sends the last part.
    Last,
    /// The client sends a request to another service.
    Next,
    /// The client closes its side and reads on; with HTTP/2 it cancels the request.
    HalfClose,
    /// The client leaves abruptly.
    Reset,
}

const PARTS: [&str; 2] = ["first part ", "last part"];
const BODY: &str = "first part last part";

/// All interleavings of two sequences of steps.
fn merges(one: &[Step], other: &[Step]) -> Vec<Vec<Step>> {
    let (Some((&first, rest)), Some((&second, others))) = (one.split_first(), other.split_first()) else {
        return vec![[one, other].concat()];
    };
    let begun_with = |step, tails: Vec<Vec<Step>>| tails.into_iter().map(move |tail| [vec![step], tail].concat());
    begun_with(first, merges(rest, other)).chain(begun_with(second, merges(one, others))).collect()
}

/// All orders of steps for one upload.
fn orders() -> Vec<Vec<Step>> {
    let of_service = [Step::Service(Tell::Head), Step::Service(Tell::End)];
    let mut orders = merges(&of_service, &[Step::Part, Step::Last, Step::Next]);
    for leaves in [Step::HalfClose, Step::Reset] {
        for sent in 0..=2 {
            let of_client = [&[Step::Part, Step::Last][..sent], &[leaves]].concat();
            // Once the client has gone, the service's steps can no longer be observed.
            orders.extend(merges(&of_service, &of_client));
        }
    }
    orders
}

/// The state of an upload.
#[derive(Debug, Default)]
struct Progress {
    sent: &'static str,
    is_sent: bool,
    is_answered: bool,
    /// The request can no longer be completed or answered.
    is_broken: bool,
}

async fn try_order(gateway: &Gateway, scripted: &Scripted, next: &Upstream, order: &[Step], client_http2: bool) {
    let mut script = scripted.script().await;
    let mut client = Some(Uploading::begin(gateway, client_http2).await);
    assert_eq!(script.see("the request").await, Seen::Begun);
    let mut progress = Progress::default();
    for &step in order {
        let Some(it) = &mut client else { break };
        match step {
            Step::Service(_) if progress.is_broken => break,
            Step::Service(tell) => {
                script.tell.send(tell).unwrap();
                if tell == Tell::Head {
                    it.sees_head().await;
                } else {
                    it.sees_end().await;
                    progress.is_answered = true;
                    // An upload whose response has ended does not continue, and the service is notified.
                    script.ends().await;
                }
            }
            Step::Part | Step::Last => {
                let is_last = step == Step::Last;
                it.send(PARTS[usize::from(is_last)], is_last).await;
                progress.sent = if is_last { BODY } else { PARTS[0] };
                progress.is_sent = is_last;
                if !progress.is_answered {
                    script.has(progress.sent).await;
                }
                if is_last {
                    // The end may come after the last part: if the client left in between, it would cut the body off.
                    script.ends().await;
                }
            }
            Step::Next => it.ask_next().await,
            Step::HalfClose => {
                it.half_close().await;
                progress.is_broken = client_http2 || !progress.is_sent;
            }
            Step::Reset => {
                client.take().unwrap().reset().await;
                progress.is_broken = true;
            }
        }
    }
    if let Some(client) = &mut client
        && order.contains(&Step::Next)
    {
        client.sees_next().await;
        let received = next.received.lock().unwrap().drain(..).collect::<Vec<_>>();
        assert!(received.len() == 1 && received[0].complete && received[0].text() == next_body());
    }
    script.ends().await;
    if progress.is_broken && !progress.is_answered {
        script.is_cancelled().await;
    }
    assert_eq!(script.is_whole, progress.is_sent && script.data == BODY, "{progress:?}");
    assert!(progress.sent.starts_with(&script.data), "{} instead of {}", script.data, progress.sent);
    assert!(script.is_whole || progress.is_answered || progress.is_broken, "{progress:?}");
}

/// The scripted service at `/api/scripted`, and `next` at `/api/next`.
fn setup(scripted: SocketAddr, speaks_http2: bool, next: &Upstream) -> Setup {
    let scheme = if speaks_http2 { "h2c" } else { "http" };
    let services = vec![
        named("scripted", &[&format!("{scheme}://{scripted}")]),
        named("next", &[&format!("http://{}", next.address)]),
    ];
    let routes = vec![route("/api/scripted", "scripted", "/"), route("/api/next", "next", "/")];
    Setup { routes, services, ..Setup::of(&[]) }
}

/// Prints the order that failed.
struct Tried<'o>(&'o [Step]);

impl Drop for Tried<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the order was {:?}", self.0);
        }
    }
}

async fn try_every_order(client_http2: bool, service_http2: bool) {
    let scripted = Scripted::start(service_http2).await;
    let next = Upstream::ok().await;
    let gateway = setup(scripted.address, service_http2, &next).start();
    let orders = orders();
    assert_eq!(orders.len(), 48);
    for order in orders {
        let _tried = Tried(&order);
        soon("an order", try_order(&gateway, &scripted, &next, &order, client_http2)).await;
    }
    assert_eq!(gateway.get("/api/nowhere", "").await.status, 404, "it is unharmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_from_http1_to_http1() {
    try_every_order(false, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_from_http1_to_http2() {
    try_every_order(false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_from_http2_to_http1() {
    try_every_order(true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_from_http2_to_http2() {
    try_every_order(true, true).await;
}

/// A request that is answered before its body has come; the body is sent afterwards.
async fn answered_early(gateway: &Gateway, scripted: &Scripted) -> Uploading {
    let mut script = scripted.script().await;
    let mut client = Uploading::begin(gateway, false).await;
    assert_eq!(script.see("the request").await, Seen::Begun);
    client.send(PARTS[0], false).await;
    script.has(PARTS[0]).await;
    script.tell.send(Tell::Head).unwrap();
    script.tell.send(Tell::End).unwrap();
    client.sees_end().await;
    script.is_cancelled().await;
    client.send(PARTS[1], true).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_were_answered_early_leave_nothing_behind() {
    const MORE_THAN_A_CONNECTION_TAKES: usize = 300;
    let scripted = Scripted::start(true).await;
    let next = Upstream::ok().await;
    let gateway = setup(scripted.address, true, &next).start();
    for _ in 0..MORE_THAN_A_CONNECTION_TAKES {
        let Uploading::Http1 { client, .. } = answered_early(&gateway, &scripted).await else { unreachable!() };
        drop(client);
    }
    let mut script = scripted.script().await;
    let asked = gateway.get("/api/scripted", "");
    let responses = async {
        script.see("the request").await;
        script.tell.send(Tell::Head).unwrap();
        script.tell.send(Tell::End).unwrap();
    };
    assert_eq!(tokio::join!(asked, responses).0.text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_after_such_an_upload_works_like_any_other() {
    let scripted = Scripted::start(true).await;
    let next = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n").await;
        let heard = connection.some().await;
        connection.send(&format!("heard {heard}")).await;
    })
    .await;
    let gateway = setup(scripted.address, true, &next).start();
    let Uploading::Http1 { mut client, .. } = answered_early(&gateway, &scripted).await else { unreachable!() };
    client.send(&get("/api/next", "Connection: Upgrade\r\nUpgrade: foo\r\n")).await;
    assert_eq!(client.response(false).await.status, 101);
    client.send("ping").await;
    assert_eq!(client.some().await, "heard ping");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_with_its_response_even_if_the_client_does_not_read_it() {
    let scripted = Scripted::start(true).await;
    let next = Upstream::ok().await;
    let mut setup = setup(scripted.address, true, &next);
    // The service must learn of it long before any timeout.
    (setup.listener.idle_timeout, setup.upstream.idle_timeout) = (3 * PATIENCE, 3 * PATIENCE);
    let gateway = setup.start();
    let mut script = scripted.script().await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let mut client = h2::client::Builder::new();
    let (mut requests, connection) = client.initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::post("http://x/api/scripted").body(()).unwrap();
    let (response, _upload) = requests.send_request(request, false).unwrap();
    assert_eq!(script.see("the request").await, Seen::Begun);
    script.tell.send(Tell::Head).unwrap();
    let response = soon("the head", response).await.unwrap();
    script.tell.send(Tell::End).unwrap();
    script.is_cancelled().await;
    assert!(!script.is_whole && !response.body().is_end_stream());
    connection.abort();
}
