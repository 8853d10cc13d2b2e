//! The headers that the gateway adds to a response, wherever that comes from.

use super::{cors::CorsDecision, traffic::rate_limits::Quotas};
use crate::edge::http::header_list::HeaderList;

/// The headers that the gateway adds to a response.
#[derive(Default)]
pub(crate) struct Additions {
    /// Which pages may read it.
    pub(crate) cors: CorsDecision,
    /// What is left of the route's rate limits.
    pub(crate) quotas: Quotas,
}

impl Additions {
    /// Adds them.
    pub(crate) fn apply(self, headers: &mut HeaderList) {
        self.quotas.apply(headers);
        self.cors.apply(headers);
    }
}
