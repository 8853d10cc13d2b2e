//! A gateway that has run out of file descriptors: it goes on with what it has, waits without spinning, and takes new
//! connections again as soon as there is room.

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

use common::{Answer, Gateway, PATIENCE, eventually, parse, recorder::Recorder};

/// How many descriptors the gateway has left once it has started: enough for a few connections, soon used up.
const SPARE: usize = 24;

/// How long its idleness is measured, and how much CPU time it may take meanwhile. Idle it takes next to none of it; one that
/// spins takes all that it gets, which is more than this even if several others want the core, too.
const WINDOW: Duration = Duration::from_secs(2);
const MOST_TICKS: u64 = 40;

/// A gateway without a descriptor left, and who has taken them.
struct Exhausted {
    gateway: Gateway,
    /// How many it had open when it had just started.
    at_first: usize,
    /// One that was served before.
    served: TcpStream,
    /// Those that were opened until no more were accepted, and some more.
    others: Vec<TcpStream>,
}

impl Exhausted {
    fn new() -> Self {
        let service = Recorder::start();
        let url = service.url();
        let variables = [("AUTH_SERVICE_URL", url.as_str())];
        let most = descriptors(&Gateway::with(&variables)).len() + SPARE;
        let gateway = Gateway::with_descriptors(most, &variables);
        let at_first = descriptors(&gateway).len();
        let served = connect(gateway.address);
        get(&served, "/api/users").expect(200);
        // More than there is room for: what is not accepted waits in the kernel.
        let others = (0..SPARE * 2).map(|_| connect(gateway.address)).collect();
        eventually("every descriptor is used up", || {
            // What it has inherited may lie beyond the limit.
            descriptors(&gateway).into_iter().filter(|&number| number < most).count() == most
        });
        Self { gateway, at_first, served, others }
    }
}

#[test]
fn without_descriptors_it_serves_whom_it_has_and_waits_without_spinning() {
    let Exhausted { gateway, at_first, served, others } = Exhausted::new();
    assert!(ticks_within(&gateway, WINDOW) < MOST_TICKS, "it spins");

    // Whoever was accepted is answered: by a service if there is a connection to it, else by saying that there is none.
    for path in ["/api/users", "/livez", "/api/users"] {
        let answer = get(&served, path);
        assert!(matches!(answer.status, 200 | 502 | 503), "{path}: {}", answer.text());
    }
    let answer = get(&others[0], "/api/users");
    assert!(matches!(answer.status, 200 | 502 | 503), "{}", answer.text());
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

/// A connection on which several requests are made.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One request, after which the connection stays open.
fn get(mut stream: &TcpStream, path: &str) -> Answer {
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

/// The CPU time that it takes while so much time passes, in ticks of the kernel: a hundredth of a second.
fn ticks_within(gateway: &Gateway, window: Duration) -> u64 {
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
        // The name stands in parentheses and may have blanks in it; user and system time are the 14th and 15th field.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    thread::sleep(window);
    ticks() - before
}
