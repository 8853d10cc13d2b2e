//! The credentials of an operation's caller, declared for the OpenAPI document. Nothing is verified here: the
//! controllers do that.

use http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use super::ProblemError;
use crate::{
    domain::gateway::{
        controllers::caller::Credentials,
        models::http::credential::{self, InvalidBearer},
    },
    problem::{Challenge, Problem},
};

/// The name of the scheme for bearer tokens in the OpenAPI document; *Authorize* in Swagger uses it.
const BEARER: &str = "bearer";
/// The name of the scheme for sessions.
const SESSION: &str = "session";

/// Defines extractors: the schemes for the OpenAPI document, whether a caller may send none, and the reader of
/// credentials.
macro_rules! callers {
    ($($(#[$doc:meta])* $name:ident: $schemes:expr, optional: $optional:literal, $read:expr;)+) => {$(
        $(#[$doc])*
        pub(in crate::api) struct $name(pub Credentials);

        impl<'a> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register_schemes(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                $schemes.to_vec()
            }

            fn has_security_fallback() -> bool {
                $optional
            }

            async fn from_request(
                request: &'a Request,
                _: &mut RequestBody,
                _: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                let read: fn(&Request) -> Result<Credentials, ProblemError> = $read;
                Ok(Self(read(request)?))
            }
        }
    )+};
}

callers! {
    /// A bearer token.
    BearerToken: [BEARER], optional: false, with_bearer;
    /// A bearer token, or no credential.
    OptionalBearerToken: [BEARER], optional: true, with_bearer;
    /// A bearer token, or the session of a browser.
    Caller: [BEARER, SESSION], optional: false, with_bearer;
    /// A bearer token, the session of a browser, or no credential.
    OptionalCaller: [BEARER, SESSION], optional: true, with_bearer;
    /// The session of a browser. A bearer token is ignored.
    Session: [SESSION], optional: false, |request| Ok(browser(request));
    /// The session of a browser, or no credential. A bearer token is ignored.
    OptionalSession: [SESSION], optional: true, |request| Ok(browser(request));
    /// The session of a browser, and nothing else. A bearer token is refused with an explanation.
    SessionOnly: [SESSION], optional: false, with_bearer;
}

fn register_schemes(registry: &mut Registry) {
    let bearer = scheme("http", "An access token of this gateway. In development, also a dummy token.");
    registry.create_security_scheme(
        BEARER,
        MetaSecurityScheme { scheme: Some("bearer"), bearer_format: Some("JWT"), ..bearer },
    );
    let session = scheme("apiKey", "The session of a browser. Sign in at /login, and the browser sends the cookie.");
    registry.create_security_scheme(
        SESSION,
        MetaSecurityScheme { name: Some("gateway_session"), key_in: Some("cookie"), ..session },
    );
}

fn scheme(ty: &'static str, description: &'static str) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty,
        description: Some(description),
        name: None,
        key_in: None,
        scheme: None,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}

fn with_bearer(request: &Request) -> Result<Credentials, ProblemError> {
    Ok(Credentials { bearer: bearer_token(request)?, ..browser(request) })
}

/// The token in `Authorization`, if there is one.
fn bearer_token(request: &Request) -> Result<Option<String>, ProblemError> {
    let values = request.headers().get_all(header::AUTHORIZATION).iter();
    let invalid = |invalid: InvalidBearer| bad_credential(invalid.to_string());
    let Some(token) = credential::bearer_token(values.map(HeaderValue::as_bytes)).map_err(invalid)? else {
        return Ok(None);
    };
    let token = std::str::from_utf8(token).map_err(|_| invalid(InvalidBearer::Empty))?;
    Ok(Some(token.to_owned()))
}

/// RFC 6750 §3.1, `invalid_request`.
fn bad_credential(detail: String) -> ProblemError {
    ProblemError(Problem {
        challenge: Some(Challenge::InvalidRequest),
        ..Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    })
}

/// The headers that a browser sends about itself, without a bearer token.
pub(in crate::api) fn browser(request: &Request) -> Credentials {
    let authority = || request.uri().authority().map(ToString::to_string);
    Credentials {
        bearer: None,
        cookies: cookies(request),
        host: text(request, header::HOST).or_else(authority),
        scheme: crate::api::RequestContext::of(request).scheme,
        origin: text(request, header::ORIGIN),
        fetch_site: text(request, HeaderName::from_static("sec-fetch-site")),
        fetch_mode: text(request, HeaderName::from_static("sec-fetch-mode")),
        fetch_dest: text(request, HeaderName::from_static("sec-fetch-dest")),
        purpose: text(request, HeaderName::from_static("sec-purpose")),
        csrf: text(request, HeaderName::from_static("x-csrf")),
        is_unsafe: !request.method().is_safe(),
    }
}

/// A header as text. Bytes that are not UTF-8 are replaced, so that a header is never taken for a missing one.
fn text(request: &Request, name: HeaderName) -> Option<String> {
    request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The `Cookie` headers. A cookie of another program may hold any bytes; it hides no other cookie.
pub(in crate::api) fn cookies(request: &Request) -> Vec<String> {
    let headers = request.headers().get_all(header::COOKIE);
    headers.iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}
