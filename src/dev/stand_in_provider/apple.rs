//! The stand-in as Apple, with its specifics: signed client secrets, responses by form, a name that is sent once, relay
//! addresses, and notices. It is below `/apple`, and responds as Apple documents.

mod authorize;
mod token;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use poem::{Route, get, post};

use super::{
    ledger::Ledger,
    people::Person,
    signer::KeyPair,
    wire::{ErrorCode, Refusal},
};
use crate::ports::Entropy;

/// The gateway's client id.
pub const CLIENT_ID: &str = "com.example.stand-in";
/// The team that the client belongs to.
pub const TEAM_ID: &str = "STANDIN001";
/// The id of the key.
pub const KEY_ID: &str = "STANDINKEY";
/// The client's private key. Not a secret: it is the example of RFC 6979 §A.2.5.
pub const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGTAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBHkwdwIBAQQgya+p2EW6dRZrXCFX
Z7HWk05Qw9s26JsSe4piKxIPZyGgCgYIKoZIzj0DAQehRANCAARg/tS6JVqdMclh
63TGNW1owEm4kjth+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXej
wpTURiKZ
-----END PRIVATE KEY-----
";
/// Its public half.
const PUBLIC_KEY: (&str, &str) =
    ("YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y", "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk");
/// Apple's issuer.
const ISSUER: &str = "https://appleid.apple.com";
/// The known person who hides their address.
const HIDES_ADDRESS: &str = "carol";

/// Its state, separate from the rest of the stand-in.
pub(super) struct Apple {
    state: Mutex<State>,
    /// Created on first use: it takes a while.
    signer: OnceLock<KeyPair>,
}

struct State {
    ledger: Ledger,
    /// The people whose names were sent.
    told: HashSet<String>,
}

impl Apple {
    pub(super) fn new(entropy: Arc<dyn Entropy>) -> Self {
        let state = State { ledger: Ledger::new(entropy), told: HashSet::new() };
        Self { state: Mutex::new(state), signer: OnceLock::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signer(&self) -> Result<&KeyPair, Refusal> {
        if let Some(signer) = self.signer.get() {
            return Ok(signer);
        }
        let made = KeyPair::rs256();
        let made = made.map_err(|_| Refusal::new(ErrorCode::ServerError, "the key could not be made"))?;
        // If another request was faster, its key is used.
        Ok(self.signer.get_or_init(|| made))
    }
}

/// The address that Apple names for a person, and whether it is a relay address.
fn address_of(person: &Person) -> (String, bool) {
    if person.subject == HIDES_ADDRESS {
        return (format!("{}@privaterelay.appleid.com", person.subject), true);
    }
    (person.email.clone(), false)
}

pub(super) fn routes() -> Route {
    Route::new()
        .at("/authorize", get(authorize::ask).post(authorize::decide))
        .at("/token", post(token::token))
        .at("/revoke", post(token::revoke))
        .at("/keys", get(token::keys))
        .at("/notice", get(token::notice))
}
