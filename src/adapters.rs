//! Implementations of the services' ports: signatures, sealing, providers, the clock, randomness, the console.

pub mod client_keys;
pub mod clock;
pub mod console;
#[cfg(feature = "docker")]
pub mod docker;
pub mod entropy;
mod jose;
pub mod jwt;
pub mod names;
pub mod passwords;
pub mod providers;
pub mod sealing;
pub mod service_documents;
