//! HTTP/2 frame by frame, as no library would send it.

use std::time::Duration;

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Http2Client;
use crate::edge::tests::harness::{Gateway, Setup, Upstream, soon};
pub(crate) use crate::edge::tests::support::frame;

pub(crate) const PREFACE_AND_SETTINGS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test(flavor = "multi_thread")]
async fn half_a_head_ends_the_connection() {
    let mut setup = Setup::of(&[]);
    setup.listener.head_timeout = Duration::from_millis(50);
    let gateway = setup.start();
    // HEADERS without END_HEADERS, half of HEADERS, and a preface that does not end.
    let pieces = [
        [PREFACE_AND_SETTINGS, b"\0\0\x01\x01\x01\0\0\0\x01\x82"].concat(),
        [PREFACE_AND_SETTINGS, b"\0\0\x09\x01\x05\0\0\0\x01\x82"].concat(),
        PREFACE_AND_SETTINGS[..20].to_vec(),
    ];
    for piece in pieces {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&piece).await.unwrap();
        let mut got = Vec::new();
        let _ = soon("the end", stream.read_to_end(&mut got)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preface_may_come_in_pieces() {
    let gateway = Setup::of(&[]).start();
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    // `GET /own` of `www`, without Huffman.
    let request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
        \0\0\x0d\x01\x05\0\0\0\x01\x82\x86\x04\x04/own\x41\x03www";
    for piece in request.chunks(5) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut got = Vec::new();
    while !got.windows(9).any(|window| window == b"GET /own\n") {
        assert_ne!(soon("the answer", stream.read_buf(&mut got)).await.unwrap(), 0, "{got:?}");
    }
}

/// One header in HPACK, without Huffman and without indexing.
pub(crate) fn literal(name: &str, value: &[u8]) -> Vec<u8> {
    let length = |length: usize| u8::try_from(length).unwrap();
    [&[0, length(name.len())], name.as_bytes(), &[length(value.len())], value].concat()
}

/// `GET /api/users` of `www`, without Huffman.
const HEAD: &[u8] = b"\x82\x86\x04\x0a/api/users\x41\x03www";

/// The response to these frames: the kinds of frames, their streams and payloads, until the gateway closes or `enough`
/// holds.
pub(crate) async fn said(
    gateway: &Gateway,
    frames: &[u8],
    enough: impl Fn(u8, u32) -> bool,
) -> Vec<(u8, u32, Vec<u8>)> {
    let (mut reading, mut writing) = TcpStream::connect(gateway.address).await.unwrap().into_split();
    let bytes = [PREFACE_AND_SETTINGS, frames].concat();
    // The gateway may stop reading before the end.
    let sending = tokio::spawn(async move {
        let _ = writing.write_all(&bytes).await;
        writing
    });
    let mut said = Vec::new();
    loop {
        let mut header = [0; 9];
        if soon("a frame", reading.read_exact(&mut header)).await.is_err() {
            break;
        }
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        soon("its payload", reading.read_exact(&mut payload)).await.unwrap();
        let stream = u32::from_be_bytes(header[5..].try_into().unwrap());
        said.push((header[3], stream, payload));
        if enough(header[3], stream) {
            break;
        }
    }
    drop(sending.await);
    said
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// `:status 200`
pub(crate) const STATUS_200: u8 = 0x88;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_head_is_a_stream_error() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    for head in [
        [HEAD, b"\0\x0aconnection\x05close"].concat(),
        [HEAD, b"\0\x11transfer-encoding\x07chunked"].concat(),
        [HEAD, b"\0\x07upgrade\x03h2c"].concat(),
        [HEAD, b"\0\x02te\x04gzip"].concat(),
        // No :path.
        b"\x82\x86\x41\x03www".to_vec(),
    ] {
        let said = said(&gateway, &frame(1, 5, 1, &head), |kind, _| matches!(kind, RST_STREAM | GOAWAY)).await;
        let last = said.last().unwrap();
        assert_eq!((last.0, last.1, &last.2[..]), (RST_STREAM, 1, &PROTOCOL_ERROR[..]), "{head:?}: {said:?}");
    }
    // An upper-case name and a pseudo-header that is unknown or late end the stream or the connection; both are
    // allowed.
    for head in [
        [HEAD, b"\0\x05X-Abc\x011"].concat(),
        [HEAD, b"\0\x04:odd\x011"].concat(),
        b"\x82\x86\0\x01a\x01b\x04\x01/\x41\x03www".to_vec(),
    ] {
        let said = said(&gateway, &frame(1, 5, 1, &head), |kind, _| matches!(kind, RST_STREAM | GOAWAY)).await;
        assert!(matches!(said.last().unwrap().0, RST_STREAM | GOAWAY), "{head:?}: {said:?}");
    }
    assert_eq!(upstream.received(), []);
    assert_eq!(Http2Client::connect(&gateway).await.get("/api/users", &[]).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_refused_may_send_the_rest_of_its_body() {
    const PING: u8 = 6;
    let gateway = Setup::of(&[]).start();
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    // `POST /api/nowhere` of `www`.
    let head = frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x04\x0c/api/nowhere\x41\x03www");
    stream.write_all(&[PREFACE_AND_SETTINGS, &head].concat()).await.unwrap();
    let (mut kinds, mut is_answered) = (Vec::new(), false);
    loop {
        let mut header = [0; 9];
        soon("a frame", stream.read_exact(&mut header)).await.unwrap();
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        soon("its payload", stream.read_exact(&mut payload)).await.unwrap();
        kinds.push(header[3]);
        if header[3] == PING {
            break;
        }
        if header[8] == 1 && header[4] & END_STREAM != 0 {
            is_answered = true;
            let rest = frame(DATA, END_STREAM, 1, &[b'a'; 1_000]);
            stream.write_all(&[rest, frame(PING, 0, 0, &[0; 8])].concat()).await.unwrap();
        }
    }
    assert!(is_answered && !kinds.contains(&RST_STREAM), "many clients lose the response then: {kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_only_their_connection() {
    let gateway = Setup::of(&[]).start();
    let rapid_reset: Vec<u8> = (0..500)
        .flat_map(|number| {
            let stream = number * 2 + 1;
            [frame(1, 5, stream, HEAD), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
        })
        .collect();
    let more = frame(9, 0, 1, &[b"\0\x01a\x7f\xff\x7d".as_slice(), &[b'a'; 16_000]].concat());
    let continuation = [frame(1, 1, 1, HEAD), more.repeat(100)].concat();
    let empty_continuations = [frame(1, 1, 1, HEAD), frame(9, 0, 1, b"").repeat(10_000)].concat();
    for (what, frames) in
        [("reset", rapid_reset), ("CONTINUATION", continuation), ("empty CONTINUATION", empty_continuations)]
    {
        let said = said(&gateway, &frames, |kind, _| kind == GOAWAY).await;
        let last = said.last().unwrap();
        // A head that grows beyond the limit is malformed; a mere nuisance gets ENHANCE_YOUR_CALM.
        let calm_down = (last.0, &last.2[4..8]) == (GOAWAY, &ENHANCE_YOUR_CALM[..]);
        let malformed = (last.0, &last.2[4..8]) == (GOAWAY, &PROTOCOL_ERROR[..]);
        assert!(calm_down || (malformed && what == "CONTINUATION"), "{what}: {said:?}");
    }
    assert_eq!(Http2Client::connect(&gateway).await.get("/own", &[]).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_its_windows_at_the_start() {
    let gateway = Setup::of(&[]).start();
    let said = said(&gateway, b"", |kind, _| kind == WINDOW_UPDATE).await;
    let (_, _, settings) = said.iter().find(|(kind, _, _)| *kind == SETTINGS).unwrap();
    let value = |id: u8| {
        let setting = settings.chunks_exact(6).find(|setting| setting[..2] == [0, id]);
        u32::from_be_bytes(setting.unwrap_or_else(|| panic!("{id}: {settings:?}"))[2..].try_into().unwrap())
    };
    assert_eq!(value(3), 100, "streams at a time");
    assert_eq!(value(4), 262_144, "the window of a stream");
    assert_eq!(value(6), 16_384, "the size of a head");
    // It is 65,535 initially (RFC 9113 §6.9.2), and must have capacity for the windows of all streams.
    let (_, stream, more) = said.last().unwrap();
    assert_eq!((*stream, &more[..]), (0, &(100_u32 * 262_144 - 65_535).to_be_bytes()[..]), "the connection's window");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_comes_in_frames_as_large_as_the_client_accepts() {
    let gateway = Setup::of(&[]).start();
    // `POST /own` of `www`, whose response contains the whole request.
    let head = frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x04\x04/own\x41\x03www");
    let body = [frame(DATA, 0, 1, &[b'a'; 16_000]), frame(DATA, END_STREAM, 1, &[b'a'; 16_000])].concat();
    let said = said(&gateway, &[head, body].concat(), |kind, stream| (kind, stream) == (DATA, 1)).await;
    assert_eq!(said.last().unwrap().2.len(), 16_384, "that of RFC 9113 §6.5.2, as it has said nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_occasional_errors_or_small_frames_is_served() {
    let gateway = Setup::of(&[]).start();
    // No :path.
    let malformed = |number: u32| frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, b"\x82\x86\x41\x03www");
    let head = frame(HEADERS, END_HEADERS, 121, b"\x83\x86\x04\x04/own\x41\x03www");
    let little_by_little = [frame(DATA, 0, 121, b"a").repeat(200), frame(DATA, END_STREAM, 121, b"a")].concat();
    let frames = (0..60).flat_map(malformed).chain(head).chain(little_by_little).collect::<Vec<_>>();
    let said = said(&gateway, &frames, |kind, stream| kind == GOAWAY || (kind, stream) == (DATA, 121)).await;
    let (kind, _, payload) = said.last().unwrap();
    assert!(*kind == DATA && payload.ends_with(&[b'a'; 201]), "{said:?}");
    let resets = said.iter().filter(|(kind, stream, _)| *kind == RST_STREAM && *stream < 121).count();
    assert_eq!(resets, 60, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_target_with_a_fragment_a_connection_takes_no_more_requests() {
    let gateway = Setup::of(&[]).start();
    let asked = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82\x86\x04\x06/own#a\x41\x03www");
    let said = said(&gateway, &asked, |kind, _| kind == GOAWAY).await;
    assert_eq!(said.last().unwrap().2[4..8], [0; 4], "NO_ERROR: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_goaway_a_client_may_go_on_sending_for_a_while() {
    let gateway = Setup::of(&[]).start();
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    // DATA on stream 0 ends the connection.
    stream.write_all(&[PREFACE_AND_SETTINGS, &frame(DATA, 0, 0, b"a")].concat()).await.unwrap();
    let mut said = Vec::new();
    soon("the end", stream.read_to_end(&mut said)).await.unwrap();
    assert!(said.windows(4).any(|code| code == PROTOCOL_ERROR), "{said:?}");
    // A closed connection would be reset, and the reset can overtake the last frames.
    for _ in 0..10 {
        stream.write_all(b"more").await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
}
