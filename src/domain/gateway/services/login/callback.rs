//! The callback of a provider: reads the response that the browser brings.

use std::net::IpAddr;

use super::LoginService;
use crate::domain::gateway::models::{
    login::LoginState, oauth::MAX_CODE_CHARS, session::Visitor, values::secret::Secret,
};

/// The parameters of a callback.
#[derive(Debug, Default)]
pub struct CallbackParameters {
    /// `state`
    pub state: Option<String>,
    /// `code`
    pub code: Option<String>,
    /// `error`
    pub error: Option<String>,
    /// `iss` (RFC 9207)
    pub issuer: Option<String>,
    /// `posted`: the sealed contents of a form.
    pub posted: Option<Vec<u8>>,
    /// Whether one of them comes more than once.
    pub repeats: bool,
}

/// A provider's response at the end of an attempt (RFC 6749 §4.1.2). Nothing in it is verified.
#[derive(Debug, Default)]
pub struct ProviderResponse {
    /// `state`
    pub state: Option<Secret>,
    /// `code`
    pub code: Option<Secret>,
    /// `error`
    pub error: Option<String>,
    /// `iss` (RFC 9207)
    pub issuer: Option<String>,
    /// The person's display name. It is not signed.
    pub name: Option<String>,
    /// Whether it came as a form.
    pub by_form: bool,
}

impl ProviderResponse {
    /// The state of the attempt that it ends.
    pub fn login_state(&self) -> LoginState {
        LoginState::presented(self.state.as_ref().map_or("", Secret::expose))
    }
}

/// The client that brings a callback.
pub struct Arrival {
    /// The browser's cookie of this attempt, if any.
    pub sealed: Option<Vec<u8>>,
    /// Its browser and network.
    pub visitor: Visitor,
    /// Its address, if it is known.
    pub client: Option<IpAddr>,
}

/// A callback: a provider's response, and the client that brings it.
pub struct Callback {
    /// `state`
    pub state: LoginState,
    /// The browser's cookie of this attempt, if any.
    pub sealed: Option<Vec<u8>>,
    /// `iss` (RFC 9207)
    pub issuer: Option<String>,
    /// Whether the response came as a form.
    pub by_form: bool,
    /// The person's name, if it was sent. It is not signed.
    pub name: Option<String>,
    /// The provider's response.
    pub outcome: Outcome,
    /// The browser and network of the client.
    pub visitor: Visitor,
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
}

/// A provider's response to an attempt.
pub enum Outcome {
    /// The person agreed.
    Code(Secret),
    /// The person, or the provider, did not.
    Error(String),
    /// Neither a code nor an error, or both.
    Malformed,
}

impl Callback {
    /// A response that this client brings. It has either a code or an error.
    pub fn of(response: ProviderResponse, arrival: Arrival) -> Self {
        let state = response.login_state();
        let ProviderResponse { code, error, issuer, name, by_form, .. } = response;
        let Arrival { sealed, visitor, client } = arrival;
        let outcome = match (code, error) {
            (Some(code), None) if code.expose().chars().count() <= MAX_CODE_CHARS => Outcome::Code(code),
            (None, Some(error)) => Outcome::Error(error),
            (Some(_), _) | (None, None) => Outcome::Malformed,
        };
        Self { state, sealed, issuer, by_form, name, outcome, visitor, client }
    }
}

impl LoginService {
    /// Reads a provider's response. A parameter that comes twice makes it empty: either of the two values could be the
    /// forged one (RFC 6749 §3.1). A form counts alone: the parameters of another response must not be added to it.
    pub fn response(&self, provider: &str, parameters: CallbackParameters) -> ProviderResponse {
        let CallbackParameters { state, code, error, issuer, posted, repeats } = parameters;
        if repeats {
            return ProviderResponse::default();
        }
        let Some(posted) = posted else {
            let (state, code) = (state.map(Secret::new), code.map(Secret::new));
            return ProviderResponse { state, code, error, issuer, ..ProviderResponse::default() };
        };
        let is_alone = state.is_none() && code.is_none() && error.is_none() && issuer.is_none();
        let opened = Some(posted).filter(|_| is_alone).and_then(|sealed| self.posted(provider, &sealed));
        opened.unwrap_or(ProviderResponse { by_form: true, ..ProviderResponse::default() })
    }
}
