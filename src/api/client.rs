//! `/oauth2/…`: the endpoints of machine clients, and their metadata. Errors are those of RFC 6749 §5.2.

use std::marker::PhantomData;

use http::{HeaderValue, StatusCode, Uri, header};
use poem::{IntoResponse, Request, RequestBody, Response};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, OpenApi,
    payload::{Form as OpenApiForm, Json, Payload, Response as WithHeaders},
    registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSecurityScheme, Registry},
    types::{ToJSON, Type},
};

use super::{
    Tag,
    shared::{
        extract::{FORM, posted_form},
        problems::described_as,
    },
};
use crate::domain::gateway::{
    controllers::client::{ClientCall, ClientController},
    schemas::client::{
        ClientTokenQuestion, ClientTokenRequest, ClientTokens, Introspection, METADATA_PATH, OAuthError,
        OAuthErrorDocument, PostedForm, ServerMetadata,
    },
};

#[derive(Clone)]
pub(super) struct ClientApi {
    clients: ClientController,
}

impl ClientApi {
    pub(super) fn new(clients: ClientController) -> Self {
        Self { clients }
    }
}

#[OpenApi(tag = "Tag::Clients")]
impl ClientApi {
    /// Request a token
    ///
    /// Token endpoint (RFC 6749 §3.2) with the grants `client_credentials` (§4.4) and `refresh_token` (§6).
    ///
    /// - `gateway client add` adds a client. The client authenticates with `client_secret_basic`, `client_secret_post` or
    ///   `private_key_jwt` (RFC 7523).
    /// - Refresh tokens from `/tokens/create` and from sign-ins are accepted, too, unless they were issued to another
    ///   client. They rotate as at `/tokens/refresh`.
    /// - A request may narrow the scope.
    /// - Errors are those of RFC 6749 §5.2.
    #[oai(path = "/oauth2/token", method = "post", operation_id = "oauth2_token")]
    async fn token(&self, client: ClientProof, form: ClientBody<ClientTokenRequest>) -> OAuthResponse<ClientTokens> {
        OAuthResponse(self.clients.token(call(client, form)).await)
    }

    /// Revoke a token
    ///
    /// Revocation endpoint (RFC 7009). Returns 200 whether or not the token is known.
    ///
    /// - A client may revoke its own tokens, and tokens that were issued to no client. For another client's token, the
    ///   error is `invalid_grant`.
    /// - A refresh token is revoked with every token of its family.
    /// - Access tokens and refresh tokens can be revoked, so `unsupported_token_type` never occurs.
    #[oai(path = "/oauth2/revoke", method = "post", operation_id = "oauth2_revoke")]
    async fn revoke(&self, client: ClientProof, form: ClientBody<ClientTokenQuestion>) -> RevocationResponse {
        RevocationResponse(self.clients.revoke(call(client, form)).await)
    }

    /// Introspect a token
    ///
    /// Introspection endpoint (RFC 7662). Any client may introspect any token of this gateway, whatever its audience. For an
    /// invalid token, the response is only `{"active": false}`.
    #[oai(path = "/oauth2/introspect", method = "post", operation_id = "oauth2_introspect")]
    async fn introspect(
        &self,
        client: ClientProof,
        form: ClientBody<ClientTokenQuestion>,
    ) -> OAuthResponse<Introspection> {
        OAuthResponse(self.clients.introspect(call(client, form)).await)
    }
}

#[derive(Clone)]
pub(super) struct MetadataApi {
    clients: ClientController,
}

impl MetadataApi {
    pub(super) fn new(clients: ClientController) -> Self {
        Self { clients }
    }
}

#[OpenApi(tag = "Tag::Discovery")]
#[expect(clippy::unused_async, reason = "poem-openapi wants async operations")]
impl MetadataApi {
    /// Get the authorization server metadata
    ///
    /// Metadata of this authorization server (RFC 8414). If `PUBLIC_URL` has a path, as in `https://app.example.com/e`, it
    /// is also available at `/.well-known/oauth-authorization-server/e` (§3.1), for clients that only know the issuer.
    ///
    /// There is no `/.well-known/openid-configuration`, because OpenID Connect requires an authorization endpoint and id
    /// tokens. The gateway offers neither to other programs.
    #[oai(path = "/.well-known/oauth-authorization-server", method = "get", operation_id = "oauth2_metadata")]
    async fn metadata(&self) -> WithHeaders<Json<ServerMetadata>> {
        WithHeaders::new(Json(self.clients.metadata())).header(header::CACHE_CONTROL, "public, max-age=300")
    }
}

/// Rewrites a request for the metadata at the issuer's path (`by_issuer`) to their only path. Other requests stay as
/// they are.
pub(super) fn at_metadata(mut request: Request, by_issuer: &str) -> Request {
    if request.uri().path() == by_issuer {
        *request.uri_mut() = Uri::from_static(METADATA_PATH);
    }
    request
}

fn call<T>(client: ClientProof, form: ClientBody<T>) -> ClientCall {
    ClientCall { authorization: client.0, form: form.posted }
}

/// The `Authorization` headers of a client.
struct ClientProof(Vec<String>);

/// The name of the scheme in the OpenAPI document.
const CLIENT_SCHEME: &str = "client";

impl<'a> ApiExtractor<'a> for ClientProof {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(
            CLIENT_SCHEME,
            MetaSecurityScheme {
                ty: "http",
                description: Some(
                    "The `client_id` and `client_secret` of a machine client, from `gateway client add`. The client may instead send \
                     them, or an assertion that it signed, in the form (`client_secret_post`, `private_key_jwt`).",
                ),
                name: None,
                key_in: None,
                scheme: Some("basic"),
                bearer_format: None,
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![CLIENT_SCHEME]
    }

    async fn from_request(request: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> poem::Result<Self> {
        let headers = request.headers().get_all(header::AUTHORIZATION);
        // A header that is not valid text counts as empty.
        Ok(Self(headers.iter().map(|value| value.to_str().unwrap_or_default().to_owned()).collect()))
    }
}

/// A client's form, or the error in it, which is reported as in RFC 6749.
struct ClientBody<T> {
    posted: PostedForm,
    documented: PhantomData<fn() -> T>,
}

impl<'a, T: Type> ApiExtractor<'a> for ClientBody<T>
where
    OpenApiForm<T>: Payload,
{
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
        let posted = posted_form(request, body).await;
        let posted = posted.map_err(|problem| OAuthError::unreadable(problem.status(), problem.detail));
        Ok(Self { posted, documented: PhantomData })
    }
}

/// A response to a client.
struct OAuthResponse<T>(Result<T, OAuthError>);

impl<T: ToJSON + Send> IntoResponse for OAuthResponse<T> {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(document) => uncached(Json(document).into_response()),
            Err(error) => refusal(&error),
        }
    }
}

impl<T: Type + ToJSON> ApiResponse for OAuthResponse<T> {
    fn meta() -> MetaResponses {
        let json = MetaMediaType { content_type: "application/json", schema: T::schema_ref() };
        with_refusals(described_as(200, "The request succeeded.", vec![json]))
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
        OAuthErrorDocument::register(registry);
    }
}

/// The response of a revocation: the status is all (RFC 7009 §2.2).
struct RevocationResponse(Result<(), OAuthError>);

impl IntoResponse for RevocationResponse {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(()) => uncached(StatusCode::OK.into_response()),
            Err(error) => refusal(&error),
        }
    }
}

impl ApiResponse for RevocationResponse {
    fn meta() -> MetaResponses {
        with_refusals(described_as(200, "If this was a token of this gateway, it is no longer valid.", vec![]))
    }

    fn register(registry: &mut Registry) {
        OAuthErrorDocument::register(registry);
    }
}

/// RFC 6749 §5.1: both headers, including the older one.
fn uncached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn refusal(error: &OAuthError) -> Response {
    let mut response = uncached(Json(error.document()).into_response());
    response.set_status(error.status);
    let headers = response.headers_mut();
    // RFC 6749 §5.2 requires it when Basic was tried, RFC 9110 §11.6.1 with every 401.
    if error.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Basic realm="gateway", charset="UTF-8""#));
    }
    if let Some(after) = error.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    response
}

fn with_refusals(good: MetaResponse) -> MetaResponses {
    let refused = |(status, description)| {
        let content = MetaMediaType { content_type: "application/json", schema: OAuthErrorDocument::schema_ref() };
        described_as(status, description, vec![content])
    };
    let refusals = [
        (400, "The request is invalid. `error` gives the reason."),
        (401, "The client did not authenticate, or its credentials are invalid: `invalid_client`."),
        (413, "The body is larger than 256 KiB."),
        (415, "The body is not a form."),
        (500, "The gateway failed. Its log gives the reason."),
        (503, "The gateway cannot reach its store at the moment."),
    ];
    MetaResponses { responses: std::iter::once(good).chain(refusals.map(refused)).collect() }
}
