//! Clients that send all of a large body before they read, as simple clients do.

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::{Upstream, setup};
use crate::edge::tests::harness::soon;

/// More than sockets and windows hold.
const BYTES: usize = 12 * 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// Responds with as many bytes as it gets, without waiting for them.
async fn respond_http1(mut stream: TcpStream) {
    let (mut reading, mut writing) = stream.split();
    let read = async {
        let (mut left, mut scratch) = (BYTES, vec![0; PIECE]);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(reading.read_u8().await.unwrap());
        }
        while left > 0 {
            let read = reading.read(&mut scratch).await.unwrap();
            assert!(read > 0, "{left} bytes never came");
            left -= read;
        }
    };
    let write = async {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        writing.write_all(head.as_bytes()).await.unwrap();
        writing.write_all(&vec![b'a'; BYTES - 1]).await.unwrap();
    };
    tokio::join!(read, write);
    writing.write_all(b"z").await.unwrap();
}

async fn respond_http2(stream: TcpStream) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let mut sender = respond.send_response(Response::new(()), false).unwrap();
            let (read, ()) = tokio::join!(take_all(request.into_body()), send_all(&mut sender, BYTES - 1));
            assert_eq!(read, BYTES);
            sender.send_data(Bytes::from_static(b"z"), true).unwrap();
        });
    }
}

async fn take_all(mut body: RecvStream) -> usize {
    let mut all = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        all += data.len();
    }
    all
}

async fn send_all(sender: &mut SendStream<Bytes>, bytes: usize) {
    let mut left = bytes;
    while left > 0 {
        sender.reserve_capacity(left.min(PIECE));
        let room = std::future::poll_fn(|context| sender.poll_capacity(context)).await.unwrap().unwrap();
        let sent = room.min(left);
        sender.send_data(Bytes::from(vec![b'a'; sent]), false).unwrap();
        left -= sent;
    }
}

async fn ask_http1(mut stream: TcpStream) -> usize {
    let head = format!("POST /api/scripted HTTP/1.1\r\nHost: x\r\nContent-Length: {BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'a'; BYTES]).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    let mut all = vec![0; BYTES];
    stream.read_exact(&mut all).await.unwrap();
    all.len()
}

async fn ask_http2(stream: TcpStream) -> usize {
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(Method::POST).uri("http://x/api/scripted").header("content-length", BYTES);
    let request = request.body(()).unwrap();
    let (response, mut sender) = requests.send_request(request, false).unwrap();
    send_all(&mut sender, BYTES).await;
    sender.send_data(Bytes::new(), true).unwrap();
    take_all(response.await.unwrap().into_body()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_send_all_before_it_reads() {
    let next = Upstream::ok().await;
    for service_http2 in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if service_http2 {
                    tokio::spawn(respond_http2(stream));
                } else {
                    tokio::spawn(respond_http1(stream));
                }
            }
        });
        let mut setup = setup(address, service_http2, &next);
        setup.routes[0].body_limit_bytes = u64::MAX;
        let gateway = setup.start();
        for client_http2 in [false, true] {
            let stream = TcpStream::connect(gateway.address).await.unwrap();
            let what = format!("an upload, HTTP/2 here: {client_http2}, there: {service_http2}");
            let got =
                if client_http2 { soon(&what, ask_http2(stream)).await } else { soon(&what, ask_http1(stream)).await };
            assert_eq!(got, BYTES, "{what}");
        }
        service.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_send_all_before_it_reads_even_if_the_service_does_not_read_it() {
    /// Less than the window of a stream, and more than small sockets hold.
    const ANSWER_BYTES: usize = 200 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let mut sender = respond.send_response(Response::new(()), false).unwrap();
            sender.send_data(Bytes::from(vec![b'a'; ANSWER_BYTES]), true).unwrap();
            // The stream is reset when all of the response is sent.
            drop(request);
        }
    });
    let mut setup = setup(address, true, &Upstream::ok().await);
    setup.routes[0].body_limit_bytes = u64::MAX;
    setup.send_buffer_bytes = Some(4 * 1024);
    let gateway = setup.start();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut client = socket.connect(gateway.address).await.unwrap();
    let head =
        format!("POST /api/scripted HTTP/1.1\r\nHost: x\r\nContent-Length: {BYTES}\r\nConnection: close\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    soon("the upload", client.write_all(&vec![b'a'; BYTES])).await.unwrap();
    let mut response = Vec::new();
    soon("the answer", client.read_to_end(&mut response)).await.unwrap();
    assert!(response.starts_with(b"HTTP/1.1 200 ") && response.len() > ANSWER_BYTES, "{}", response.len());
}
