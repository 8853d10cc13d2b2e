//! Notices while the store is slow or unavailable, or the gateway is killed: none is lost.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    ADMIN_KEY, FORM, KNOWN,
    common::{
        self, Gateway,
        database::{Postgres, Sqlite, TestDatabase},
        eventually,
    },
    gateway, notify,
};

const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";
/// How long Kakao waits for the response.
const KAKAO_WAITS: Duration = Duration::from_secs(3);
const PEOPLE: u64 = 24;

const OPEN: u8 = 0;
const STALLED: u8 = 1;
const CUT: u8 = 2;

/// A proxy to a PostgreSQL that can be stalled and cut.
struct Bridge {
    address: SocketAddr,
    state: Arc<AtomicU8>,
}

impl Bridge {
    fn to(server: SocketAddr) -> Self {
        let state = Arc::new(AtomicU8::new(OPEN));
        let shared = state.clone();
        let address = common::upstream(move |client| {
            // New connections are closed at once while it is cut.
            if shared.load(Ordering::SeqCst) == CUT {
                return;
            }
            let server = TcpStream::connect(server).unwrap();
            let (to_server, from_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let state = shared.clone();
            let up = thread::spawn(move || pass_on(from_client, to_server, &state));
            pass_on(server, client, &shared);
            up.join().unwrap();
        });
        Self { address, state }
    }

    fn set(&self, state: u8) {
        self.state.store(state, Ordering::SeqCst);
    }
}

/// Forwards bytes while the bridge is open, holds them while it is stalled, and ends when it is cut.
fn pass_on(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    from.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(_) => break,
        };
        while state.load(Ordering::SeqCst) == STALLED {
            thread::sleep(Duration::from_millis(5));
        }
        if state.load(Ordering::SeqCst) == CUT || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
}

fn over(database: &str) -> Gateway {
    gateway(&[("KAKAO_ADMIN_KEY", ADMIN_KEY), ("DATABASE_URL", database), ("VAULT_KEY", VAULT_KEY)])
}

/// A PostgreSQL for one test, and the proxy that a gateway connects to.
fn bridged() -> (Postgres, Bridge, String) {
    let database = Postgres::open();
    let mut url: url::Url = database.url().parse().unwrap();
    let server = (url.host_str().unwrap(), url.port().unwrap_or(5432)).to_socket_addrs().unwrap().next().unwrap();
    let bridge = Bridge::to(server);
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(bridge.address.port())).unwrap();
    (database, bridge, url.into())
}

/// The person signs in; returns their token.
fn sign_in(gateway: &Gateway, person: u64) -> String {
    let request = json!({"provider": "kakao", "code": person.to_string(), "code_verifier": "v".repeat(43)});
    let signed_in = gateway.post("/oauth", &request).expect(200).json();
    signed_in["tokens"]["access_token"].as_str().unwrap().to_owned()
}

/// Kakao reports that the person revoked the grant, and gets the expected response in time.
fn unlink(gateway: &Gateway, person: u64) {
    let asked_at = Instant::now();
    notify(gateway, "kakao", &[FORM, KNOWN], &format!("user_id={person}")).expect(200);
    assert!(asked_at.elapsed() < KAKAO_WAITS, "{:?}", asked_at.elapsed());
}

fn is_revoked(gateway: &Gateway, token: &str) -> bool {
    let listed = gateway.get_with_token("/oauth", token);
    listed.status == 200 && listed.json()["grants"][0]["status"] == "revoked"
}

#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn no_notice_is_lost_while_the_store_stalls_and_is_gone() {
    let (_database, bridge, url) = bridged();
    let gateway = over(&url);
    let tokens: Vec<_> = (0..PEOPLE).map(|person| sign_in(&gateway, 1000 + person)).collect();
    let unlink_all = |people: std::ops::Range<u64>| {
        thread::scope(|scope| {
            for person in people {
                let gateway = &gateway;
                scope.spawn(move || unlink(gateway, 1000 + person));
            }
        });
    };
    unlink_all(0..6);
    bridge.set(STALLED);
    unlink_all(6..12);
    bridge.set(CUT);
    unlink_all(12..18);
    gateway.printed("the store does not accept a notice of a provider; it is held in memory");
    bridge.set(OPEN);
    unlink_all(18..PEOPLE);
    for token in &tokens {
        eventually("every notice is worked off", || is_revoked(&gateway, token));
    }
    gateway.printed("the store is back and has the notices of providers");
}

#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn a_gateway_that_is_told_to_end_writes_the_notices_that_it_holds() {
    let (database, bridge, url) = bridged();
    let gateway = over(&url);
    let token = sign_in(&gateway, 1000);
    bridge.set(CUT);
    unlink(&gateway, 1000);
    gateway.ask_to_end();
    gateway.printed("notices of providers are held in memory and cannot be written yet");
    bridge.set(OPEN);
    assert_eq!(gateway.exit_code(), Some(0));
    let next = over(database.url());
    eventually("the next gateway works it off", || is_revoked(&next, &token));
}

fn a_gateway_that_is_killed_right_after_its_response_leaves_the_notice_to_the_next(database: &impl TestDatabase) {
    let first = over(database.url());
    let tokens: Vec<_> = (0..PEOPLE).map(|person| sign_in(&first, 1000 + person)).collect();
    for person in 0..PEOPLE {
        unlink(&first, 1000 + person);
    }
    first.kill();
    let next = over(database.url());
    for token in &tokens {
        eventually("the next gateway works it off", || is_revoked(&next, token));
    }
}

#[test]
fn a_gateway_that_is_killed_right_after_its_response_leaves_the_notice_to_the_next_over_sqlite() {
    a_gateway_that_is_killed_right_after_its_response_leaves_the_notice_to_the_next(&Sqlite::open());
}

#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn a_gateway_that_is_killed_right_after_its_response_leaves_the_notice_to_the_next_over_postgres() {
    a_gateway_that_is_killed_right_after_its_response_leaves_the_notice_to_the_next(&Postgres::open());
}
