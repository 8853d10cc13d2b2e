//! The body of a provider's notice.

use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    payload::{Form as OpenApiForm, Json, Payload},
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};

use super::{FORM, FormBody, MediaType, read, unsupported};
use crate::domain::gateway::schemas::notice::{JsonNotice, NoticePayload, UnlinkForm};

/// A provider's notice: a form, or unparsed JSON.
pub(in crate::api) struct NoticeBody(pub NoticePayload);

impl<'a> ApiExtractor<'a> for NoticeBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <OpenApiForm<UnlinkForm> as Payload>::register(registry);
        <Json<JsonNotice> as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![
            MetaMediaType { content_type: FORM, schema: UnlinkForm::schema_ref() },
            MetaMediaType { content_type: "application/json", schema: JsonNotice::schema_ref() },
        ];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        match MediaType::of(request) {
            MediaType::Form => {
                let FormBody(form) = FormBody::from_request(request, body, ExtractParamOptions::default()).await?;
                Ok(Self(NoticePayload::Form(form)))
            }
            MediaType::Json => Ok(Self(NoticePayload::Json(read(request, body).await?))),
            MediaType::PlainText | MediaType::SecurityEvent | MediaType::Other => {
                Err(unsupported("application/x-www-form-urlencoded or application/json").into())
            }
        }
    }
}

/// A Security Event Token (RFC 8935 §2).
pub(in crate::api) struct SecurityEventBody(pub String);

pub(super) const SECURITY_EVENT: &str = "application/secevent+jwt";

impl<'a> ApiExtractor<'a> for SecurityEventBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: SECURITY_EVENT, schema: String::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        match MediaType::of(request) {
            MediaType::SecurityEvent => {}
            MediaType::Json | MediaType::PlainText | MediaType::Form | MediaType::Other => {
                return Err(unsupported(SECURITY_EVENT).into());
            }
        }
        // Invalid UTF-8 cannot be a token, and is refused as an invalid one.
        Ok(Self(String::from_utf8_lossy(&read(request, body).await?).trim().to_owned()))
    }
}
