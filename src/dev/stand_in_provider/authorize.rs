//! `/authorize`: shows the people who can sign in, and redirects back with a code (RFC 6749 §4.1.1, §4.1.2). The page's
//! form contains the original request, so no state is stored in between. It comes back as `POST /authorize`: the
//! parameters of the request, and `person=<name>` or `cancel=1`.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use poem::{
    Body, IntoResponse, Response, handler,
    http::{HeaderMap, StatusCode, Uri, header},
    web::Data,
};
use url::{Host, Url};

use super::{
    StandIn,
    dialect::Dialect,
    ledger::Authorization,
    page,
    people::Person,
    wire::{CANCEL, ErrorCode, PERSON, Parameters, Refusal, Scope},
};

/// The destination of a response. Errors may be redirected only once this is valid (RFC 6749 §4.1.2.1).
pub(super) struct ReturnAddress {
    /// As it was sent: `/token` compares the text.
    pub(super) text: String,
    pub(super) url: Url,
    pub(super) state: Option<String>,
    /// The `iss` of the response, if it has one.
    issuer: Option<String>,
}

/// The person's choice.
pub(super) enum Choice<'r> {
    None,
    Cancel,
    Person(&'r str),
}

/// The client's request.
pub(super) struct Wish {
    pub(super) scope: Scope,
    pub(super) code_challenge: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) consent: bool,
}

#[handler]
pub(super) fn ask(Data(provider): Data<&Arc<StandIn>>, Data(dialect): Data<&Dialect>, uri: &Uri) -> Response {
    match Parameters::parse(uri.query().unwrap_or_default().as_bytes()) {
        // A link chooses no person: that takes the page's form.
        Ok(parameters) => respond(provider, *dialect, &parameters, &Choice::None),
        Err(refusal) => page::fault(&refusal.description),
    }
}

/// A request may come by POST, too (OIDC Core §3.1.2.1): without a choice it gets the page.
#[handler]
pub(super) async fn decide(
    Data(provider): Data<&Arc<StandIn>>,
    Data(dialect): Data<&Dialect>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    match Parameters::of_form(headers, body).await {
        Ok(parameters) => respond(provider, *dialect, &parameters, &Choice::of(&parameters)),
        Err(refusal) => page::fault(&refusal.description),
    }
}

impl<'r> Choice<'r> {
    /// Reads the page's form.
    pub(super) fn of(parameters: &'r Parameters) -> Self {
        match (parameters.get(CANCEL), parameters.get(PERSON)) {
            (Some(_), _) => Self::Cancel,
            (None, Some(name)) => Self::Person(name),
            (None, None) => Self::None,
        }
    }
}

fn respond(provider: &StandIn, dialect: Dialect, parameters: &Parameters, choice: &Choice<'_>) -> Response {
    let issuer = dialect.names_itself().then(|| provider.issuer.text.clone());
    let address = match ReturnAddress::of(provider.client.id(), issuer, parameters) {
        Ok(address) => address,
        Err(refusal) => return page::fault(&refusal.description),
    };
    let wish = match dialect.check(parameters).and_then(|()| Wish::of(dialect, parameters, "query")) {
        Ok(wish) => wish,
        Err(refusal) => return address.refuse(&refusal),
    };
    // Relative, so that it works at any address.
    let show = |notice| page::choose("authorize", provider.client.id(), parameters, notice);
    let person = match choice {
        Choice::None => return show(false),
        Choice::Cancel => {
            return address.refuse(&Refusal::new(ErrorCode::AccessDenied, "the person said no"));
        }
        Choice::Person(name) => match Person::called(name) {
            Some(person) => person,
            None => return show(true),
        },
    };
    let Wish { scope, code_challenge, nonce, consent } = wish;
    let redirect_uri = address.text.clone();
    let authorization = Authorization { person, scope, redirect_uri, code_challenge, nonce, consent };
    let code = provider.state().ledger.authorize(provider.clock.now(), authorization);
    address.send(&[("code", &code)])
}

impl ReturnAddress {
    pub(super) fn of(client_id: &str, issuer: Option<String>, parameters: &Parameters) -> Result<Self, Refusal> {
        if parameters.require("client_id")? != client_id {
            return Err(Refusal::invalid_request("client_id is not the one client that there is"));
        }
        let text = parameters.require("redirect_uri")?;
        let url = Url::parse(text).ok().filter(is_acceptable);
        let url = url.ok_or_else(|| {
            Refusal::invalid_request("redirect_uri must be https, or http at localhost, at an address or at a name without a dot, without user or fragment")
        })?;
        Ok(Self { text: text.to_owned(), url, state: parameters.get("state").map(str::to_owned), issuer })
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        self.send(&[("error", refusal.code.as_str()), ("error_description", &refusal.description)])
    }

    /// 303, so that the browser follows with GET in every case (RFC 9700 §4.12), and with `iss` (RFC 9207 §2).
    fn send(&self, parameters: &[(&str, &str)]) -> Response {
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .extend_pairs(parameters)
            .extend_pairs(self.state.as_ref().map(|state| ("state", state)))
            .extend_pairs(self.issuer.as_ref().map(|issuer| ("iss", issuer)));
        StatusCode::SEE_OTHER.with_header(header::LOCATION, url.as_str()).into_response()
    }
}

/// Accepts any client of a developer: https anywhere, http on this machine.
fn is_acceptable(url: &Url) -> bool {
    // Such names are never public; compose and LANs use them.
    let is_nearby = match url.host() {
        Some(Host::Domain(name)) => name.ends_with(".localhost") || !name.contains('.'),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_nearby);
    scheme && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
}

impl Wish {
    /// `mode` is the only supported response mode.
    pub(super) fn of(dialect: Dialect, parameters: &Parameters, mode: &str) -> Result<Self, Refusal> {
        if parameters.get("request").is_some() {
            return Err(Refusal::new(ErrorCode::RequestNotSupported, "request objects are not supported"));
        }
        if parameters.get("request_uri").is_some() {
            return Err(Refusal::new(ErrorCode::RequestUriNotSupported, "request objects are not supported"));
        }
        if parameters.require("response_type")? != "code" {
            return Err(Refusal::new(ErrorCode::UnsupportedResponseType, "response_type must be code"));
        }
        if parameters.get("response_mode").unwrap_or("query") != mode {
            return Err(Refusal::invalid_request(format!("response_mode must be {mode}")));
        }
        let prompts =
            |wanted| parameters.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == wanted));
        if prompts("none") {
            return Err(Refusal::new(ErrorCode::LoginRequired, "nobody is signed in here for longer than a click"));
        }
        let code_challenge = parameters.get("code_challenge");
        match (code_challenge, parameters.get("code_challenge_method")) {
            (None, None) => {}
            (Some(challenge), Some("S256")) if is_challenge(challenge) => {}
            _ => return Err(Refusal::invalid_request("code_challenge must be a digest, and its method S256")),
        }
        Ok(Self {
            scope: dialect.scope(parameters.get("scope").unwrap_or_default())?,
            code_challenge: code_challenge.map(str::to_owned),
            nonce: parameters.get("nonce").map(str::to_owned),
            consent: prompts("consent"),
        })
    }
}

/// A SHA-256 digest (RFC 7636 §4.2).
fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|digest| digest.len() == 32)
}
