//! Stores in memory: for development without a database, and the plainest statement of the ports' promises. They lose
//! everything when the process ends, and do not know other replicas.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod account;
mod client;
mod login;
mod notice;
mod oauth;
mod registration;
mod session;
mod signing_key;
mod throttle;
mod token;

pub use account::MemoryAccounts;
pub use client::MemoryClients;
pub use login::MemoryLogins;
pub use notice::MemoryNotices;
pub use registration::MemoryRegistrations;
pub use session::MemorySessions;
pub use signing_key::MemorySigningKeys;
pub use throttle::MemoryThrottle;
pub use token::MemoryTokens;

/// Locks even if a holder panicked: no method leaves a half-changed state at a point that can panic.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
