//! Tokens that the gateway issues: access tokens (signed), refresh tokens (opaque, used once), dummy tokens
//! (development only), and their revocation.

mod access;
mod dummy;
mod refresh;
mod request;
mod revocation;

pub use super::values::id::Revocable;
pub use access::{
    AccessClaims, Expectations, LEEWAY, MalformedClaims, RESERVED_CLAIMS, Rejection, SignatureVerifier,
    is_reserved_claim,
};
pub use dummy::{DummyText, DummyToken, InvalidDummyText, MAX_DUMMY_TEXT_BYTES};
pub use refresh::{
    KEPT_GENERATIONS, MAX_FAMILIES, MAX_GENERATION, MalformedRefreshToken, NewRefreshToken, RefreshRecord,
    RefreshState, RefreshToken, Rotation, RotationOutcome, TokenFamily,
};
pub use request::{AccessToken, IssuedDummy, IssuedToClient, IssuedTokens, TokenRequest, Verification};
pub use revocation::{
    BatchMarks, CLOCKS_APART, RecordedRevocation, Revocation, RevocationCursor, RevocationPage, Revocations,
};
