//! Requests that may be repeated, and those that may not.

use std::{
    collections::HashMap,
    io::{BufReader, Write},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use super::{gateway, nobody, reset};
use crate::common::{
    recorder::{OK, Recorder, read_request},
    upstream,
};

/// The count of each request line.
type Counts = Arc<Mutex<HashMap<String, usize>>>;

/// Responds to the first `good` requests of each connection, then closes: before or after reading the next request.
fn tired(good: usize, reads_the_next: bool, with_reset: bool) -> (SocketAddr, Counts) {
    let counts = Counts::default();
    let counted = counts.clone();
    let address = upstream(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for turn in 0.. {
            if turn == good && !reads_the_next {
                break;
            }
            let Some(request) = read_request(&mut reader) else { return };
            *counted.lock().unwrap().entry(request.line).or_default() += 1;
            if turn == good {
                break;
            }
            (&stream).write_all(OK.as_bytes()).unwrap();
        }
        drop(reader);
        if with_reset {
            reset(stream);
        }
    });
    (address, counts)
}

#[test]
fn a_connection_that_was_closed_while_idle_is_no_failure() {
    for with_reset in [false, true] {
        let (address, counts) = tired(1, false, with_reset);
        let gateway = gateway(&[address], &[]);
        for turn in 0..40 {
            gateway.get(&format!("/api/users/{turn}")).expect(200);
        }
        assert_eq!(counts.lock().unwrap().len(), 40);
        gateway.is_unharmed();
    }
}

#[test]
fn a_get_whose_used_connection_dies_is_sent_again_and_a_post_is_not() {
    let (address, counts) = tired(1, true, false);
    let gateway = gateway(&[address], &[]);
    for turn in 0..8 {
        gateway.get(&format!("/api/users/get{turn}")).expect(200);
    }
    let mut failed = 0;
    for turn in 0..20 {
        let response = gateway.call("POST", &format!("/api/users/post{turn}"), &[], b"abc");
        if response.status != 200 {
            response.expect_problem(502, "bad_gateway");
            failed += 1;
        }
    }
    // On each core, every second request meets a connection that closes.
    assert!(failed > 0);
    let counts = counts.lock().unwrap();
    let posts: Vec<_> = counts.iter().filter(|(line, _)| line.starts_with("POST")).collect();
    assert_eq!(posts.len(), 20);
    assert!(posts.iter().all(|(_, times)| **times == 1), "{posts:?}");
    gateway.is_unharmed();
}

#[test]
fn one_dead_instance_of_two_is_not_seen() {
    let alive = Recorder::start();
    for instances in [[nobody(), alive.address], [alive.address, nobody()]] {
        let gateway = gateway(&instances, &[]);
        for _ in 0..20 {
            gateway.get("/api/users").expect(200);
        }
        assert_eq!(alive.take().len(), 20);
        // A request that could not be sent at all had no effect: any may go to another instance.
        gateway.call("POST", "/api/users", &[], b"abc").expect(200);
        assert_eq!(alive.take().len(), 1);
        gateway.is_unharmed();
    }
}

#[test]
fn one_dead_instance_of_two_is_not_seen_for_long_either() {
    let alive = Recorder::start();
    let gateway = gateway(&[nobody(), alive.address], &[]);
    let failed = (0..200).filter(|_| gateway.get("/api/users").status != 200).count();
    assert_eq!(failed, 0, "of 200 GETs");
    gateway.is_unharmed();
}

#[test]
fn a_request_that_was_begun_is_sent_once() {
    let (address, counts) = tired(0, true, true);
    let second = Recorder::start();
    let gateway = gateway(&[address, second.address], &[]);
    for turn in 0..10 {
        for method in ["PUT", "POST", "PATCH"] {
            let response = gateway.call(method, &format!("/api/users/{turn}"), &[], b"abc");
            assert!(matches!(response.status, 200 | 502), "{}", response.text());
            let line = format!("{method} /users/{turn} HTTP/1.1");
            let first = counts.lock().unwrap().get(&line).copied().unwrap_or_default();
            assert_eq!(first + second.take().len(), 1, "{line}");
        }
    }
    gateway.is_unharmed();
}

#[test]
fn when_all_are_broken_the_load_is_not_doubled() {
    let (first, first_counts) = tired(0, true, false);
    let (second, second_counts) = tired(0, true, false);
    let gateway = gateway(&[first, second], &[]);
    for _ in 0..300 {
        gateway.get("/api/users").expect_problem(502, "bad_gateway");
    }
    let sent: usize = [first_counts, second_counts].iter().flat_map(|c| c.lock().unwrap().clone().into_values()).sum();
    // A fifth, plus the initial budget of each core.
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(sent <= 300 + 60 + 20 * cores, "{sent} requests for 300");
    gateway.is_unharmed();
}
