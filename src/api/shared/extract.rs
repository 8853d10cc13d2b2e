//! Extractors of routers: a JSON body, a form, a dummy token, the caller.

mod callers;
mod notices;

use std::borrow::Cow;

use http::{StatusCode, header};
use poem::{Body, FromRequest, Request, RequestBody, web::Form};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    payload::{Form as OpenApiForm, Json, Payload, PlainText},
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};
use serde::de::DeserializeOwned;

pub(in crate::api) use self::callers::{
    BearerToken, Caller, OptionalBearerToken, OptionalCaller, OptionalSession, Session, SessionOnly, browser, cookies,
};
pub(in crate::api) use self::notices::{NoticeBody, SecurityEventBody};
use super::problems::ProblemError;
use crate::{
    domain::gateway::schemas::{parse_json, token::CreateDummyToken},
    problem::Problem,
};

/// The maximum body of the gateway's own API.
pub(in crate::api) const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// The maximum number of parameters in a form. The longest documented form has eight. A body of the maximum size has
/// room for 131072, and each costs memory and time before the caller is known.
pub(in crate::api) const MAX_FORM_PARAMETERS: usize = 64;

/// A JSON body. Unlike poem-openapi's own it names the invalid field, and never quotes the request.
pub(in crate::api) struct JsonBody<T>(pub T);

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for JsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Json<T> as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        match MediaType::of(request) {
            MediaType::Json => {}
            MediaType::PlainText | MediaType::Form | MediaType::SecurityEvent | MediaType::Other => {
                return Err(unsupported("application/json").into());
            }
        }
        Ok(Self(parse_json(&read(request, body).await?).map_err(ProblemError)?))
    }
}

/// An optional JSON body: without one every field has its default.
pub(in crate::api) struct OptionalJsonBody<T>(pub T);

impl<'a, T: Type + DeserializeOwned + Default> ApiExtractor<'a> for OptionalJsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <JsonBody<T> as ApiExtractor>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let meta = <JsonBody<T> as ApiExtractor>::request_meta()?;
        Some(MetaRequest { required: false, ..meta })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = read(request, body).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let mut body = RequestBody::new(Body::from(bytes));
        let JsonBody(read) = JsonBody::from_request(request, &mut body, ExtractParamOptions::default()).await?;
        Ok(Self(read))
    }
}

/// A form.
pub(in crate::api) struct FormBody<T>(pub T);

pub(in crate::api) const FORM: &str = "application/x-www-form-urlencoded";

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for FormBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <OpenApiForm<T> as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: FORM, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(form(request, body).await?))
    }
}

/// The parameters of a form, in order; names may repeat.
pub(in crate::api) async fn posted_form(
    request: &Request,
    body: &mut RequestBody,
) -> Result<Vec<(String, String)>, Problem> {
    form(request, body).await.map_err(|ProblemError(problem)| problem)
}

/// Parses a form. The parameters are counted before decoding, so that the work is bounded by the size of the body.
async fn form<T: DeserializeOwned>(request: &Request, body: &mut RequestBody) -> Result<T, ProblemError> {
    match MediaType::of(request) {
        MediaType::Form => {}
        MediaType::Json | MediaType::PlainText | MediaType::SecurityEvent | MediaType::Other => {
            return Err(unsupported(FORM));
        }
    }
    let bytes = read(request, body).await?;
    if parameters(&bytes) > MAX_FORM_PARAMETERS {
        return Err(bad_request(format!("the form must not have more than {MAX_FORM_PARAMETERS} parameters")));
    }
    let mut body = RequestBody::new(Body::from(bytes));
    let form = <Form<T> as FromRequest>::from_request(request, &mut body).await;
    form.map(|Form(form)| form).map_err(|_| bad_request("the form is malformed"))
}

/// The maximum number of parameters in a form: `&` is the only separator (WHATWG URL §5.1).
fn parameters(form: &[u8]) -> usize {
    form.split(|&byte| byte == b'&').count()
}

/// The `Authorization` header as it is, with any scheme.
pub(in crate::api) struct RawAuthorization(pub Option<String>);

impl<'a> FromRequest<'a> for RawAuthorization {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
        let only = values.next().filter(|_| values.next().is_none());
        Ok(Self(only.and_then(|value| value.to_str().ok()).map(str::to_owned)))
    }
}

/// A dummy token, as JSON or as the bare text.
pub(in crate::api) struct DummyBody(pub CreateDummyToken);

impl<'a> ApiExtractor<'a> for DummyBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Json<CreateDummyToken> as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![
            MetaMediaType { content_type: "application/json", schema: CreateDummyToken::schema_ref() },
            MetaMediaType { content_type: "text/plain", schema: <PlainText<String> as Payload>::schema_ref() },
        ];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let media_type = MediaType::of(request);
        let bytes = match media_type {
            MediaType::Json | MediaType::PlainText => read(request, body).await?,
            MediaType::Form | MediaType::SecurityEvent | MediaType::Other => {
                return Err(unsupported("application/json or text/plain").into());
            }
        };
        match media_type {
            MediaType::Json => Ok(Self(parse_json(&bytes).map_err(ProblemError)?)),
            MediaType::PlainText | MediaType::Form | MediaType::SecurityEvent | MediaType::Other => {
                match String::from_utf8(bytes) {
                    Ok(token) => Ok(Self(CreateDummyToken { token })),
                    Err(_) => Err(bad_request("the text must be UTF-8").into()),
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum MediaType {
    Json,
    PlainText,
    Form,
    SecurityEvent,
    Other,
}

impl MediaType {
    fn of(request: &Request) -> Self {
        let essence = request.content_type().unwrap_or_default().split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Self::Json,
            "text/plain" => Self::PlainText,
            FORM => Self::Form,
            notices::SECURITY_EVENT => Self::SecurityEvent,
            other if other.starts_with("application/") && other.ends_with("+json") => Self::Json,
            _ => Self::Other,
        }
    }
}

async fn read(request: &Request, body: &mut RequestBody) -> Result<Vec<u8>, ProblemError> {
    let too_large = || {
        ProblemError(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body must be at most 256 KiB"))
    };
    // A body that is announced as too large is refused before it is sent (RFC 9110 §10.1.1).
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > BODY_LIMIT_BYTES) {
        return Err(too_large());
    }
    let broken_off = || bad_request("the body is incomplete");
    match body.take().map_err(|_| broken_off())?.into_bytes_limit(BODY_LIMIT_BYTES).await {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(poem::error::ReadBodyError::PayloadTooLarge) => Err(too_large()),
        Err(_) => Err(broken_off()),
    }
}

fn unsupported(wanted: &str) -> ProblemError {
    ProblemError(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("the body must have `Content-Type: {wanted}`"),
    ))
}

fn bad_request(detail: impl Into<Cow<'static, str>>) -> ProblemError {
    ProblemError(Problem::new(StatusCode::BAD_REQUEST, "malformed_request", detail))
}
