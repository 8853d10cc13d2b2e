//! An authenticated caller, with the header values that describe them to a service.

use std::{cell::RefCell, fmt::Write, rc::Rc, sync::Arc};

use chrono::{DateTime, Utc};
use http::HeaderValue;

use super::lookup::Lookup;
use crate::{
    domain::gateway::models::{
        assertion::SignedAssertion, service::ServiceName, token::SignatureVerifier, values::identity::Identity,
    },
    edge::error::Failure,
};

/// An authenticated caller.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) identity: Arc<Identity>,
    pub(crate) user_id: HeaderValue,
    pub(crate) user_scope: HeaderValue,
    /// If it is known.
    pub(crate) user_email: Option<HeaderValue>,
    /// The newest assertion for each service that gets one.
    assertions: RefCell<Vec<Assertion>>,
}

#[derive(Debug)]
struct Assertion {
    service: ServiceName,
    value: HeaderValue,
    key: String,
    sent_until: DateTime<Utc>,
}

impl Caller {
    pub(crate) fn new(identity: Identity) -> Rc<Self> {
        Rc::new(Self {
            user_id: header_text(&identity.subject),
            user_scope: HeaderValue::try_from(identity.scope.to_string()).unwrap_or(HeaderValue::from_static("")),
            user_email: identity.email().map(header_text),
            identity: Arc::new(identity),
            assertions: RefCell::default(),
        })
    }

    /// A signed assertion about this caller, which a service can check by itself. Signing costs more than a request, so
    /// an assertion is sent several times, as long as its key is one of `keys`.
    pub(crate) async fn assertion(
        &self,
        lookup: &Lookup,
        keys: &dyn SignatureVerifier,
        service: &ServiceName,
    ) -> Result<HeaderValue, Failure> {
        if let Some(known) = self.known_assertion(service, keys, lookup.now()) {
            return Ok(known);
        }
        let (caller, name) = (Arc::clone(&self.identity), service.clone());
        let SignedAssertion { text, key, sent_until } =
            lookup.ask(|resolver| async move { resolver.assertion(&caller, &name).await }).await?;
        let mut value = HeaderValue::try_from(text).map_err(|_| Failure::Internal)?;
        value.set_sensitive(true);
        let mut assertions = self.assertions.borrow_mut();
        assertions.retain(|known| known.service != *service);
        assertions.push(Assertion { service: service.clone(), value: value.clone(), key, sent_until });
        Ok(value)
    }

    fn known_assertion(
        &self,
        service: &ServiceName,
        keys: &dyn SignatureVerifier,
        now: DateTime<Utc>,
    ) -> Option<HeaderValue> {
        let assertions = self.assertions.borrow();
        let known = assertions.iter().find(|known| known.service == *service && now < known.sent_until)?;
        keys.knows(&known.key).then(|| known.value.clone())
    }
}

/// A text as a header value. All bytes but printable ASCII are percent-encoded, and so is `%` itself: a subject of any
/// form arrives, can be decoded, and equals no other; and none can inject a line break.
fn header_text(text: &str) -> HeaderValue {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if text.bytes().all(plain) {
        return HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    }
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
