//! A name server on a free port, whose answers a test changes.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

/// A running name server. It speaks UDP (RFC 1035), and knows addresses and SRV records.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    asked: BTreeMap<String, usize>,
}

/// What it answers to questions about a name. A name without an answer does not exist.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These addresses, one of them perhaps of another family; none is an empty answer.
    Addresses(Vec<IpAddr>),
    /// Priority, weight, port and target.
    Services(Vec<(u16, u16, u16, String)>),
    /// NXDOMAIN
    Missing,
    /// SERVFAIL
    Broken,
    /// No answer at all.
    Silence,
}

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// Records may be used for a second.
const TTL: u32 = 1;

const NO_ERROR: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

impl NameServer {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let of_thread = state.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                if let Some(response) = respond(&buffer[..length], &of_thread) {
                    let _ = socket.send_to(&response, client);
                }
            }
        });
        Self { address, state }
    }

    /// From now on, this is the answer.
    pub(crate) fn set(&self, name: &str, answer: Answer) {
        self.state.lock().unwrap().answers.insert(name.to_owned(), answer);
    }

    pub(crate) fn set_addresses(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.set(name, Answer::Addresses(addresses));
    }

    /// How many questions about a name have come.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.state.lock().unwrap().asked.get(name).copied().unwrap_or_default()
    }
}

fn respond(query: &[u8], state: &Mutex<State>) -> Option<Vec<u8>> {
    // The question is behind the header of twelve bytes: labels, an empty label, type and class.
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let question = &query[12..at + 5];
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let name = labels.join(".");
    let mut state = state.lock().unwrap();
    *state.asked.entry(name.clone()).or_default() += 1;
    let (code, records) = match state.answers.get(&name) {
        Some(Answer::Silence) => return None,
        None | Some(Answer::Missing) => (NXDOMAIN, Vec::new()),
        Some(Answer::Broken) => (SERVFAIL, Vec::new()),
        Some(Answer::Addresses(addresses)) => {
            let data = addresses.iter().filter_map(|address| match (address, kind) {
                (IpAddr::V4(v4), A) => Some(v4.octets().to_vec()),
                (IpAddr::V6(v6), AAAA) => Some(v6.octets().to_vec()),
                _ => None,
            });
            (NO_ERROR, data.collect())
        }
        Some(Answer::Services(services)) if kind == SRV => {
            let data = services.iter().map(|(priority, weight, port, target)| {
                let numbers = [priority, weight, port].map(|number| number.to_be_bytes()).concat();
                [numbers, encode(target)].concat()
            });
            (NO_ERROR, data.collect())
        }
        Some(Answer::Services(_)) => (NO_ERROR, Vec::new()),
    };
    let number = u16::try_from(records.len()).unwrap();
    // The query's id; a response to a standard query, with recursion; one question.
    let mut response = [&query[..2], &[0x81, 0x80 | code, 0, 1], &number.to_be_bytes(), &[0; 4], question].concat();
    for data in records {
        // The name of the question; class IN.
        response.extend([0xc0, 12]);
        response.extend([kind.to_be_bytes(), [0, 1]].concat());
        response.extend(TTL.to_be_bytes());
        response.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        response.extend(data);
    }
    Some(response)
}

/// A name as labels.
fn encode(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut encoded: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    encoded.push(0);
    encoded
}
