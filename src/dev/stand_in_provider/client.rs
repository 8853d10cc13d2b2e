//! The only client, and its authentication.

use aws_lc_rs::constant_time;
use base64::{Engine, engine::general_purpose::STANDARD};
use poem::http::{HeaderMap, header};
use url::form_urlencoded;

use super::wire::{ErrorCode, Parameters, Refusal};

/// The registered client. Has no `Debug`: it holds a secret.
pub(super) struct Client {
    id: String,
    secret: String,
}

impl Client {
    pub(super) fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into() }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Accepts `client_secret_basic` or `client_secret_post`, never both (RFC 6749 §2.3).
    pub(super) fn authenticate(&self, headers: &HeaderMap, form: &Parameters) -> Result<(), Refusal> {
        self.authenticate_by(false, headers, form)
    }

    /// As above; with `is_form_only`, in the form alone.
    pub(super) fn authenticate_by(
        &self,
        is_form_only: bool,
        headers: &HeaderMap,
        form: &Parameters,
    ) -> Result<(), Refusal> {
        if is_form_only && headers.contains_key(header::AUTHORIZATION) {
            return Err(unknown());
        }
        let in_form = form.get("client_id");
        let (id, secret) = match (headers.get(header::AUTHORIZATION), form.get("client_secret")) {
            (Some(_), Some(_)) => return Err(Refusal::invalid_request("the client authenticates in two ways")),
            (Some(header), None) => {
                let (id, secret) = header.to_str().ok().and_then(basic).ok_or_else(unknown)?;
                if in_form.is_some_and(|in_form| in_form != id) {
                    return Err(Refusal::invalid_request("the header and the body name different clients"));
                }
                (id, secret)
            }
            (None, Some(secret)) => (in_form.ok_or_else(unknown)?.to_owned(), secret.to_owned()),
            (None, None) => return Err(unknown()),
        };
        let good =
            id == self.id && constant_time::verify_slices_are_equal(secret.as_bytes(), self.secret.as_bytes()).is_ok();
        good.then_some(()).ok_or_else(unknown)
    }
}

fn unknown() -> Refusal {
    Refusal::new(ErrorCode::InvalidClient, "the client did not prove who it is")
}

/// Both halves are form-encoded before they are joined (RFC 6749 §2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

/// The text is parsed as the name of a lone parameter, so `=` and `&` (which an encoder would not leave) are escaped
/// first.
fn form_decoded(text: &str) -> String {
    let text = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}
