use std::collections::VecDeque;

use tokio::io::AsyncReadExt;

use super::*;
use crate::ports::testing::CountingEntropy;

/// Fails as configured, then returns the connections of a real listener.
struct Failing {
    failures: VecDeque<io::Error>,
    listener: TcpListener,
}

impl Incoming for Failing {
    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        match self.failures.pop_front() {
            Some(failure) => Err(failure),
            None => self.listener.accept().await,
        }
    }
}

struct Bench {
    address: SocketAddr,
    workers: Vec<mpsc::UnboundedReceiver<AcceptedConnection>>,
    phase: watch::Sender<Phase>,
    task: tokio::task::JoinHandle<()>,
}

async fn accepting(most: usize, workers: usize, failures: Vec<io::Error>) -> Bench {
    accepting_by(false, most, workers, failures).await
}

async fn accepting_by(tls: bool, most: usize, workers: usize, failures: Vec<io::Error>) -> Bench {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
    let acceptor = Acceptor {
        limits: ConnectionLimits::new(most, most),
        trusted_proxies: Arc::new([]),
        workers: senders.into_iter().map(|accepted| WorkerHandle { accepted, load: Arc::default() }).collect(),
        entropy: Arc::new(CountingEntropy::default()),
        by_tls: tls,
    };
    let (phase, told) = watch::channel(Phase::Serving);
    let task = tokio::spawn(acceptor.run(Failing { failures: failures.into(), listener }, told));
    Bench { address, workers: receivers, phase, task }
}

#[tokio::test]
async fn it_recovers_from_a_lack_of_file_descriptors() {
    // 24 is EMFILE and 23 ENFILE on Linux and macOS.
    let failures = [24, 23, 24].map(io::Error::from_raw_os_error).into();
    let mut bench = accepting(10, 1, failures).await;
    let _client = TcpStream::connect(bench.address).await.unwrap();
    assert!(bench.workers[0].recv().await.is_some());
}

#[tokio::test]
async fn it_stops_at_once_even_during_a_pause() {
    let failures = (0..100).map(|_| io::Error::from_raw_os_error(24)).collect();
    let bench = accepting(10, 1, failures).await;
    bench.phase.send(Phase::Stopped).unwrap();
    bench.task.await.unwrap();
}

#[tokio::test]
async fn connections_that_wait_to_be_accepted_at_the_end_are_accepted() {
    let mut bench = accepting(10, 1, Vec::new()).await;
    // The acceptor has not run yet: it shares this thread.
    let clients: Vec<_> = (0..5).map(|_| std::net::TcpStream::connect(bench.address).unwrap()).collect();
    bench.phase.send(Phase::Stopped).unwrap();
    for _ in &clients {
        assert!(bench.workers[0].recv().await.is_some());
    }
    assert!(bench.workers[0].recv().await.is_none());
    bench.task.await.unwrap();
    assert!(std::net::TcpStream::connect(bench.address).is_err());
}

#[tokio::test]
async fn connections_go_to_the_least_loaded_worker() {
    let mut bench = accepting(10, 2, Vec::new()).await;
    let mut clients = Vec::new();
    let mut kept = Vec::new();
    for worker in [0, 1, 0, 1] {
        clients.push(TcpStream::connect(bench.address).await.unwrap());
        kept.push(bench.workers[worker].recv().await.unwrap());
    }
    kept.retain(|connection| connection.permit.load.load(Ordering::Relaxed) == 0);
    for _ in 0..4 {
        clients.push(TcpStream::connect(bench.address).await.unwrap());
    }
    for worker in [0, 1, 0, 1] {
        assert!(bench.workers[worker].recv().await.is_some());
    }
}

#[tokio::test]
async fn at_the_limit_a_tls_client_is_closed_without_a_response() {
    let mut bench = accepting_by(true, 1, 1, Vec::new()).await;
    let _first = TcpStream::connect(bench.address).await.unwrap();
    let _taken = bench.workers[0].recv().await.unwrap();
    let mut response = Vec::new();
    let mut second = TcpStream::connect(bench.address).await.unwrap();
    second.read_to_end(&mut response).await.unwrap();
    assert_eq!(response, b"", "whoever speaks TLS would take it for garbage");
}

#[tokio::test]
async fn at_the_limit_a_client_gets_a_503() {
    let mut bench = accepting(1, 1, Vec::new()).await;
    let _first = TcpStream::connect(bench.address).await.unwrap();
    let first = bench.workers[0].recv().await.unwrap();
    let mut response = String::new();
    let mut second = TcpStream::connect(bench.address).await.unwrap();
    second.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 503 ") && response.contains("retry-after: 1\r\n"), "{response}");
    assert!(response.contains("x-request-id: ") && response.contains("\"code\":\"overloaded\""), "{response}");
    drop(first);
    let _third = TcpStream::connect(bench.address).await.unwrap();
    assert!(bench.workers[0].recv().await.is_some());
}
