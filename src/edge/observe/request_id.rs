//! The id of a request: that of a trusted proxy, or a random one. Also random bytes for traces. Bytes are drawn from the
//! operating system in blocks, so that an id only costs a copy.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::Arc,
};

use uuid::Uuid;

use crate::{
    domain::gateway::models::values::id::RequestId,
    edge::http::{client_address::Peer, header_list::HeaderList, header_names::X_REQUEST_ID},
    ports::Entropy,
};

/// How many bytes are drawn at once: enough for 128 requests.
const BLOCK: usize = 4096;

/// A core's supply of random bytes.
pub(crate) struct RandomSource {
    entropy: Arc<dyn Entropy>,
    block: RefCell<Box<[u8; BLOCK]>>,
    used: Cell<usize>,
}

impl RandomSource {
    pub(crate) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, block: RefCell::new(Box::new([0; BLOCK])), used: Cell::new(BLOCK) }
    }

    /// `N` unpredictable bytes that no other request gets.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut block = self.block.borrow_mut();
        if self.used.get() + N > BLOCK {
            self.entropy.fill(&mut block[..]);
            self.used.set(0);
        }
        let from = self.used.replace(self.used.get() + N);
        let mut bytes = [0; N];
        bytes.copy_from_slice(&block[from..from + N]);
        bytes
    }

    /// A new id.
    pub(crate) fn next(&self) -> RequestText {
        RequestText::of(RequestId::from_random(self.bytes()))
    }
}

/// The request id that a trusted proxy set, if it has one of our forms: a short or a plain UUID.
pub(crate) fn of_proxy(peer: &Peer, headers: &HeaderList) -> Option<RequestId> {
    if !peer.is_trusted() {
        return None;
    }
    let text = headers.text(&X_REQUEST_ID)?;
    text.parse().ok().or_else(|| Uuid::try_parse(text).ok().map(RequestId::from))
}

/// A request's id and its text, which is written into two messages and a log line.
#[derive(Debug, Clone)]
pub(crate) struct RequestText {
    pub(crate) id: RequestId,
    text: [u8; LENGTH],
}

const LENGTH: usize = 22;

impl RequestText {
    /// The id with the text that [`RequestId`]'s own `Display` gives, which takes a detour through hexadecimal text.
    pub(crate) fn of(id: RequestId) -> Self {
        const DIGITS: &[u8; 58] = b"123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";
        let mut text = [DIGITS[0]; LENGTH];
        let mut rest = id.as_uuid().as_u128();
        // Ten digits at a time fit into 64 bits, where division is cheap.
        let mut place = LENGTH;
        while place > 0 {
            let base = 58_u128.pow(10);
            let mut low = u64::try_from(rest % base).unwrap_or_default();
            rest /= base;
            for digit in text[..place].iter_mut().rev().take(10) {
                *digit = DIGITS[usize::try_from(low % 58).unwrap_or_default()];
                low /= 58;
            }
            place = place.saturating_sub(10);
        }
        Self { id, text }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

impl fmt::Display for RequestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ports::testing::CountingEntropy;

    #[test]
    fn only_a_trusted_proxy_sets_request_ids_and_only_in_our_forms() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let given = |address: &str, text: &str| {
            let peer = Peer::new(address.parse().unwrap(), &proxies, false);
            let headers: HeaderList = std::iter::once((X_REQUEST_ID, text)).collect();
            of_proxy(&peer, &headers)
        };
        let id = RequestId::from_random([7; 16]);
        assert_eq!(given("10.0.0.1:5", &id.to_string()), Some(id));
        assert_eq!(given("10.0.0.1:5", &id.as_uuid().to_string()), Some(id));
        assert_eq!(given("192.0.2.1:5", &id.to_string()), None);
        for text in ["", "abc", "\"", &"z".repeat(22), &"1".repeat(500)] {
            assert_eq!(given("10.0.0.1:5", text), None, "{text}");
        }
    }

    #[test]
    fn the_text_matches_the_id() {
        for bits in [0, 1, 57, 58, u128::MAX, u128::MAX / 3, 58_u128.pow(10), 58_u128.pow(20) - 1, 58_u128.pow(21)] {
            let id = RequestId::from(Uuid::from_u128(bits));
            assert_eq!(RequestText::of(id).as_str(), id.to_string());
        }
    }

    #[test]
    fn no_two_requests_share_bytes() {
        let ids = RandomSource::new(Arc::new(CountingEntropy::default()));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(ids.next().id));
            ids.bytes::<24>();
        }
    }
}
