//! Asks the [`Resolver`] for data that a snapshot cannot hold, on the control runtime.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;

use crate::{
    edge::{
        error::Failure,
        ports::{Resolver, ResolverUnavailable},
    },
    ports::Clock,
};

/// The resolver, the runtime it runs on, and the clock.
pub(crate) struct Lookup {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) control: Handle,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Lookup {
    /// Asks the resolver a question, on the control runtime.
    pub(crate) async fn ask<T, A>(&self, question: impl FnOnce(Arc<dyn Resolver>) -> A) -> Result<T, Failure>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, ResolverUnavailable>> + Send + 'static,
    {
        match self.control.spawn(question(Arc::clone(&self.resolver))).await {
            Ok(response) => response.map_err(|ResolverUnavailable| Failure::CheckUnavailable),
            Err(_panicked) => Err(Failure::Internal),
        }
    }

    /// Whether the resolver can vouch for tokens without a signature.
    pub(crate) fn knows_opaque_tokens(&self) -> bool {
        self.resolver.knows_opaque_tokens()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
