//! A gateway without free file descriptors: it continues with its open connections, waits without spinning, and accepts
//! new connections again as soon as possible. And one with few, which it divides among all uses.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs,
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use common::{Gateway, PATIENCE, Response, call, eventually, parse, recorder::Recorder, upstream};

/// The remaining descriptors after the start: enough for a few connections, soon used up.
const SPARE: usize = 24;

/// How long its idleness is measured, and its maximum CPU time meanwhile. An idle gateway needs next to none; a
/// spinning one takes all that it gets, which is more than this even if several others want the core, too.
const WINDOW: Duration = Duration::from_secs(2);
const MOST_TICKS: u64 = 40;

/// A gateway without a free descriptor, and the connections that took them.
struct Exhausted {
    gateway: Gateway,
    /// The number of open descriptors right after the start.
    at_first: usize,
    /// A connection that was served before.
    served: TcpStream,
    /// The connections that were opened until no more were accepted, and some more.
    others: Vec<TcpStream>,
}

impl Exhausted {
    fn new() -> Self {
        let service = Recorder::start();
        let url = service.url();
        // One client may hold all connections: the limit exceeds the descriptors.
        let variables = [("AUTH_SERVICE_URL", url.as_str()), ("MAX_CONNECTIONS_PER_CLIENT", "10000")];
        let most = descriptors(&Gateway::with(&variables)).len() + SPARE;
        let gateway = Gateway::with_descriptors(most, &variables);
        let at_first = descriptors(&gateway).len();
        let served = connect(gateway.address);
        get(&served, "/api/users").expect(200);
        // More than the free descriptors: connections that are not accepted wait in the kernel.
        let others = (0..SPARE * 2).map(|_| connect(gateway.address)).collect();
        eventually("every descriptor is used up", || {
            // Inherited descriptors may lie beyond the limit.
            descriptors(&gateway).into_iter().filter(|&number| number < most).count() == most
        });
        Self { gateway, at_first, served, others }
    }
}

#[test]
fn without_descriptors_it_serves_whom_it_has_and_waits_without_spinning() {
    let Exhausted { gateway, at_first, served, others } = Exhausted::new();
    assert!(ticks_within(&gateway, WINDOW) < MOST_TICKS, "it spins");

    // Accepted connections get responses: from a service if there is a connection to it, else an error.
    for path in ["/api/users", "/livez", "/api/users"] {
        let response = get(&served, path);
        assert!(matches!(response.status, 200 | 502 | 503), "{path}: {}", response.text());
    }
    let response = get(&others[0], "/api/users");
    assert!(matches!(response.status, 200 | 502 | 503), "{}", response.text());
    get(&others[0], "/livez").expect(200);

    drop((served, others));
    eventually("new connections are served", || gateway.get("/api/users").status == 200);
    // Each core may keep its connection to the service.
    let cores = thread::available_parallelism().unwrap().get();
    eventually("nothing is left over", || descriptors(&gateway).len() <= at_first + cores);
    gateway.is_unharmed();
}

#[test]
fn without_descriptors_the_admin_listener_does_not_spin_either() {
    let Exhausted { gateway, served, others, .. } = Exhausted::new();
    let waiting = connect(gateway.admin);
    assert!(ticks_within(&gateway, WINDOW) < MOST_TICKS, "it spins");
    drop((served, others));
    get(&waiting, "/livez").expect(200);
    gateway.is_unharmed();
}

/// A connection for several requests.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One request, after which the connection stays open.
fn get(mut stream: &TcpStream, path: &str) -> Response {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut reader = BufReader::with_capacity(1, stream);
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        bytes.extend(byte);
    }
    let length = parse(&bytes).header("content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    parse(&[bytes, body].concat())
}

/// The numbers of its open descriptors.
fn descriptors(gateway: &Gateway) -> Vec<usize> {
    let entries = fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// The CPU time that it uses in this period, in ticks of the kernel: a hundredth of a second.
fn ticks_within(gateway: &Gateway, window: Duration) -> u64 {
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
        // The name is in parentheses and may contain blanks; user and system time are the 14th and 15th field.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    thread::sleep(window);
    ticks() - before
}

/// Its limits of open files in `/proc`: the soft one, and the hard one.
fn limits(gateway: &Gateway) -> (usize, usize) {
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(usize::MAX));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let gateway = Gateway::with_ulimit("-S -n 100", &[]);
    let (soft, hard) = limits(&gateway);
    assert!(soft == hard && soft > 100, "{soft} of {hard}");
}

/// One HTTP/2 connection with a hundred requests, whose responses are not read (RFC 9113 §4.1, RFC 7541 §6.2.2).
fn a_hundred_streams(address: SocketAddr) -> TcpStream {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let line = |name: &str, value: &str| {
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        [vec![0], text(name), text(value)].concat()
    };
    let lines = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/api/users")];
    let head: Vec<u8> = lines.iter().flat_map(|(name, value)| line(name, value)).collect();
    let mut bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, b"")].concat();
    bytes.extend((0..100).flat_map(|number| frame(1, 5, 2 * number + 1, &head)));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&bytes).unwrap();
    stream
}

#[test]
fn streams_that_wait_for_a_service_leave_descriptors_for_everything_else() {
    let service = upstream(|mut stream| while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {});
    let url = format!("http://{service}");
    let gateway = Gateway::with_ulimit("-n 256", &[("AUTH_SERVICE_URL", &url)]);
    gateway.printed("MAX_CONNECTIONS=10000 needs a limit of open files of 20000");
    let at_first = descriptors(&gateway).len();
    let held: Vec<TcpStream> = (0..4).map(|_| a_hundred_streams(gateway.address)).collect();
    eventually("some are refused", || gateway.console().contains("  503 GET "));
    for _ in 0..10 {
        gateway.get("/livez").expect(200);
        call(gateway.admin, "GET", "/readyz", &[], b"").expect(200);
        gateway.get("/api/users").expect_problem(503, "overloaded");
    }
    drop(held);
    let cores = thread::available_parallelism().unwrap().get();
    eventually("nothing is left over", || descriptors(&gateway).len() <= at_first + cores);
    gateway.is_unharmed();
}
