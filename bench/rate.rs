//! Sends requests at a fixed rate, independent of latency, and prints the 50th and 99th percentile of the latency in µs.
//!
//!     rate PORT PATH REQUESTS_PER_SECOND SECONDS
//!
//! Sixteen connections take turns, evenly spaced. A request that was delayed, because the response before it was late,
//! counts from when it was due: a slow proxy cannot slow the clock (coordinated omission).

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

const CONNECTIONS: u32 = 16;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [port, path, rate, seconds] = &arguments[..] else { panic!("rate PORT PATH REQUESTS_PER_SECOND SECONDS") };
    let port: u16 = port.parse().unwrap();
    let (rate, seconds): (u32, u32) = (rate.parse().unwrap(), seconds.parse().unwrap());
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let step = Duration::from_secs(1) / rate;
    let began = Instant::now() + Duration::from_millis(100);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|place| {
            let request = request.clone();
            let dues = (place..rate * seconds).step_by(CONNECTIONS as usize).map(move |n| began + step * n);
            thread::spawn(move || drive(port, request.as_bytes(), dues))
        })
        .collect();
    let mut latencies: Vec<Duration> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    latencies.sort_unstable();
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("{:.1} {:.1}", at(0.50), at(0.99));
}

/// Sends a request whenever one is due. The first twentieth is not counted: connections are opened meanwhile.
fn drive(port: u16, request: &[u8], dues: impl Iterator<Item = Instant>) -> Vec<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let mut latencies = Vec::new();
    for due in dues {
        let mut sent = due;
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            thread::sleep(early);
            // An overlong sleep is not the proxy's fault.
            sent = Instant::now();
        }
        stream.write_all(request).unwrap();
        read_answer(&mut stream, &mut buffer);
        latencies.push(sent.elapsed());
    }
    latencies.split_off(latencies.len() / 20)
}

/// Reads one response with a `Content-Length`.
fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).unwrap();
        assert_ne!(read, 0, "the connection was closed");
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200"), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
        if filled >= head + 4 + length.trim().parse::<usize>().unwrap() {
            return;
        }
    }
}
