//! The requests beside one whose response ends their shared HTTP/2 connection.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, STATUS_200, frame, literal},
    upstreams::gateway,
};
use crate::edge::tests::harness::{get, post, soon};

/// Makes the response frames for a stream.
type Frames = fn(u32) -> Vec<u8>;

/// A service that answers the second request on its first connection with these frames, and nothing else there. Each
/// request on another connection gets 200.
struct Odd {
    address: SocketAddr,
    asked: Arc<Notify>,
    /// How many requests have come on other connections.
    later: Arc<AtomicUsize>,
}

impl Odd {
    async fn start(frames: Frames) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let odd = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            later: Arc::<AtomicUsize>::default(),
        };
        let (asked, later) = (Arc::clone(&odd.asked), Arc::clone(&odd.later));
        tokio::spawn(async move {
            let mut is_first = true;
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, later) = (Arc::clone(&asked), Arc::clone(&later));
                let frames = std::mem::take(&mut is_first).then_some(frames);
                tokio::spawn(async move { serve(stream, frames, &asked, &later).await });
            }
        });
        odd
    }
}

async fn serve(mut stream: TcpStream, odd: Option<Frames>, asked: &Notify, later: &AtomicUsize) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&frame(4, 0, 0, b"")).await?;
    let mut requests = 0;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await?;
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        stream.read_exact(&mut payload).await?;
        if header[3] != HEADERS {
            continue;
        }
        requests += 1;
        let id = u32::from_be_bytes(header[5..].try_into().unwrap());
        match odd {
            Some(frames) if requests == 2 => stream.write_all(&frames(id)).await?,
            Some(_) => {}
            None => {
                later.fetch_add(1, Ordering::Relaxed);
                stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, id, &[STATUS_200])).await?;
            }
        }
        asked.notify_one();
    }
}

fn respond(id: u32, line: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, id, &[&[STATUS_200], line].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_response_is_a_502_and_the_others_on_its_connection_count_as_lost() {
    let responses: [(&str, Frames); 5] = [
        ("a line break", |id| respond(id, &literal("x", b"a\r\nb"))),
        ("a zero", |id| respond(id, &literal("x", b"\0"))),
        ("an upper-case name", |id| respond(id, &literal("X", b"a"))),
        ("an unknown pseudo-header", |id| respond(id, &literal(":odd", b"a"))),
        ("another protocol", |id| {
            [frame(HEADERS, END_HEADERS, id, b"\x08\x03101"), frame(DATA, END_STREAM, id, b"abc")].concat()
        }),
    ];
    for (what, frames) in responses {
        for (neighbour, status, later) in [(get("/api/users/neighbour", ""), 200, 1), (post("/api/users", "a"), 502, 0)]
        {
            let odd = Odd::start(frames).await;
            let gateway = gateway(odd.address);
            let mut beside = gateway.connect().await;
            beside.send(&neighbour).await;
            soon("the neighbour", odd.asked.notified()).await;
            let refused = gateway.get("/api/users", "").await;
            assert_eq!(refused.problem(), (502, "bad_gateway".to_owned()), "{what}");
            let response = beside.response(true).await;
            assert_eq!(response.status, status, "{what}: {}", response.text());
            assert!(status == 200 || response.problem() == (502, "bad_gateway".to_owned()), "{what}");
            assert_eq!(odd.later.load(Ordering::Relaxed), later, "{what}: the malformed one is not asked for again");
        }
    }
}
