//! The client authentication in a request (RFC 6749 §2.3, RFC 7521 §4.2). Nothing is verified yet.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use thiserror::Error;
use url::form_urlencoded;

use crate::domain::gateway::models::values::{id::ClientId, secret::Secret};

/// The only supported type of client assertion (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// With or without `=` at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A request authenticates its client in two ways: `invalid_request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ContradictoryClient {
    /// RFC 6749 §2.3: "The client MUST NOT use more than one authentication method in each request."
    #[error("the client must authenticate by one method only")]
    TwoMethods,
    /// `client_id` beside a proof of another client.
    #[error("client_id must be the client that authenticates")]
    TwoClients,
    /// `client_assertion` without `client_assertion_type`, or the reverse.
    #[error("client_assertion and client_assertion_type must be sent together")]
    HalfAnAssertion,
}

/// A request does not identify its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PresentedClientError {
    /// `invalid_request`
    #[error(transparent)]
    Contradictory(#[from] ContradictoryClient),
    /// It does not identify a client, or not in a readable form: `invalid_client`.
    #[error("the client must authenticate by client_secret_basic, client_secret_post or private_key_jwt")]
    Missing,
}

/// The form parameters that identify the client.
#[derive(Debug, Clone, Default)]
pub struct ClientPosted {
    /// `client_id`
    pub client_id: Option<String>,
    /// `client_secret`
    pub client_secret: Option<Secret>,
    /// `client_assertion_type`
    pub client_assertion_type: Option<String>,
    /// `client_assertion`
    pub client_assertion: Option<Secret>,
}

/// The client that a request names, and its proof. The proof does not print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresentedClient {
    /// A client and its secret: `client_secret_basic` or `client_secret_post`.
    Secret {
        /// The client, if the text can be an id.
        id: Option<ClientId>,
        /// The secret.
        secret: Secret,
    },
    /// A signed text that names its client itself: `private_key_jwt`.
    Assertion {
        /// `client_id`, if it was sent along: it must be the same client.
        client_id: Option<String>,
        /// The assertion.
        assertion: Secret,
    },
}

impl PresentedClient {
    /// Finds the single proof in a request. `authorization` is the value of that header, if present.
    pub fn find(authorization: Option<&str>, posted: ClientPosted) -> Result<Self, PresentedClientError> {
        let ClientPosted { client_id, client_secret, client_assertion_type, client_assertion } = posted;
        if client_assertion.is_some() != client_assertion_type.is_some() {
            return Err(ContradictoryClient::HalfAnAssertion.into());
        }
        match (authorization, client_secret, client_assertion) {
            (Some(header), None, None) => {
                let (id, secret) = basic(header).ok_or(PresentedClientError::Missing)?;
                if client_id.is_some_and(|other| other != id) {
                    return Err(ContradictoryClient::TwoClients.into());
                }
                Ok(Self::Secret { id: id.parse().ok(), secret })
            }
            (None, Some(secret), None) => {
                Ok(Self::Secret { id: client_id.ok_or(PresentedClientError::Missing)?.parse().ok(), secret })
            }
            (None, None, Some(assertion)) if client_assertion_type.as_deref() == Some(ASSERTION_TYPE) => {
                Ok(Self::Assertion { client_id, assertion })
            }
            // Nothing, or an assertion of another kind.
            (None, None, None | Some(_)) => Err(PresentedClientError::Missing),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                Err(ContradictoryClient::TwoMethods.into())
            }
        }
    }
}

/// The id and the secret in `Basic …`: each is form-encoded separately first (RFC 6749 §2.3.1).
fn basic(header: &str) -> Option<(String, Secret)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decoded(id)?, Secret::new(form_decoded(secret)?)))
}

fn form_decoded(text: &str) -> Option<String> {
    if text.is_empty() || text.contains(['&', '=']) {
        return None;
    }
    form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ClientId {
        ClientId::from_random([7; 16])
    }

    fn encoded(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text))
    }

    fn secret() -> PresentedClient {
        PresentedClient::Secret { id: Some(id()), secret: Secret::new("s-+") }
    }

    fn posted(pairs: &[(&str, &str)]) -> ClientPosted {
        let value = |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        ClientPosted {
            client_id: value("client_id"),
            client_secret: value("client_secret").map(Secret::new),
            client_assertion_type: value("client_assertion_type"),
            client_assertion: value("client_assertion").map(Secret::new),
        }
    }

    #[test]
    fn basic_holds_the_id_and_the_secret_each_form_encoded() {
        let id = id();
        for header in [
            encoded(&format!("{id}:s-%2B")),
            encoded(&format!("{id}:s%2D%2b")).replace("Basic", "bASIC"),
            encoded(&format!("{id}:s-%2B")).trim_end_matches('=').to_owned(),
        ] {
            assert_eq!(PresentedClient::find(Some(&header), ClientPosted::default()), Ok(secret()), "{header}");
        }
        let beside = posted(&[("client_id", &id.to_string())]);
        assert_eq!(PresentedClient::find(Some(&encoded(&format!("{id}:s-%2B"))), beside), Ok(secret()));
    }

    #[test]
    fn an_invalid_basic_header_is_no_client() {
        for header in ["", "Basic", "Basic ", "Basic ?", "Bearer x", "Basic eA", &encoded("a:"), &encoded(":b")] {
            let found = PresentedClient::find(Some(header), ClientPosted::default());
            assert_eq!(found, Err(PresentedClientError::Missing), "{header}");
        }
        // The scheme was tried, but the id is invalid.
        let found = PresentedClient::find(Some(&encoded("nobody:s")), ClientPosted::default());
        assert_eq!(found, Ok(PresentedClient::Secret { id: None, secret: Secret::new("s") }));
    }

    #[test]
    fn a_form_holds_a_secret_or_an_assertion() {
        let id = id().to_string();
        let found = |pairs: &[(&str, &str)]| PresentedClient::find(None, posted(pairs));
        assert_eq!(found(&[("client_id", &id), ("client_secret", "s-+")]), Ok(secret()));
        assert_eq!(
            found(&[("client_assertion_type", ASSERTION_TYPE), ("client_assertion", "a.b.c")]),
            Ok(PresentedClient::Assertion { client_id: None, assertion: Secret::new("a.b.c") })
        );
        for missing in [
            vec![],
            vec![("client_id", id.as_str())],
            vec![("client_secret", "s")],
            vec![
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
                ("client_assertion", "a"),
            ],
        ] {
            assert_eq!(found(&missing), Err(PresentedClientError::Missing), "{missing:?}");
        }
    }

    #[test]
    fn two_methods_or_two_clients_contradict_each_other() {
        let id = id().to_string();
        let basic = encoded(&format!("{id}:s"));
        let assertion = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", "a")];
        for (header, pairs, why) in [
            (Some(&basic), vec![("client_secret", "s")], ContradictoryClient::TwoMethods),
            (Some(&basic), assertion.to_vec(), ContradictoryClient::TwoMethods),
            (None, [assertion.as_slice(), &[("client_secret", "s")]].concat(), ContradictoryClient::TwoMethods),
            (Some(&basic), vec![("client_id", "another")], ContradictoryClient::TwoClients),
            (None, assertion[..1].to_vec(), ContradictoryClient::HalfAnAssertion),
            (None, assertion[1..].to_vec(), ContradictoryClient::HalfAnAssertion),
        ] {
            let found = PresentedClient::find(header.map(String::as_str), posted(&pairs));
            assert_eq!(found, Err(why.into()), "{header:?} {pairs:?}");
        }
    }

    #[test]
    fn a_proof_does_not_print() {
        assert!(!format!("{:?}", secret()).contains("s-+"));
    }
}
