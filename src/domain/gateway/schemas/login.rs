//! Signing in, over the wire.

use std::borrow::Cow;

use crate::{domain::gateway::models::oauth::Secret, problem::Problem};

/// Sends a browser on (303).
#[derive(Debug)]
pub struct Redirect {
    /// Where to. It may hold a state: not for a log.
    pub location: Secret,
    /// `Set-Cookie`
    pub cookies: Vec<String>,
}

/// What came back from a provider, as it stands in the address.
#[derive(Debug, Default)]
pub struct CallbackQuery {
    /// `state`
    pub state: Option<String>,
    /// `code`
    pub code: Option<String>,
    /// `error`
    pub error: Option<String>,
    /// `iss`
    pub iss: Option<String>,
}

/// Why a sign-in did not work: for programs a problem, for people a page that says the same in Korean, too.
#[derive(Debug)]
pub struct Refusal {
    /// The problem; its detail is the English of the page.
    pub problem: Problem,
    /// The Korean of the page.
    pub korean: Cow<'static, str>,
    /// `Set-Cookie`
    pub cookies: Vec<String>,
}

impl Refusal {
    /// Without cookies.
    pub fn new(problem: Problem, korean: impl Into<Cow<'static, str>>) -> Self {
        Self { problem, korean: korean.into(), cookies: Vec::new() }
    }
}
