//! `/oauth/webhooks…`, `/oauth/events…`: notices from providers. `/oauth/deletions…`: the progress of a deletion.

mod pages;

use http::header;
use poem::{IntoResponse, Request};
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};

use super::{
    RequestContext, Tag,
    shared::{
        extract::{FormBody, NoticeBody, RawAuthorization, SecurityEventBody},
        pages::{is_wanted, json_or_page, problem_or_page, responses, shown_in},
        problems::{self, problems},
    },
};
use crate::domain::gateway::{
    controllers::notice::NoticeController,
    schemas::notice::{
        DeletionForm, DeletionRequested, DeletionStatus, GitHubHeaders, NoticeAcknowledged, NoticePayload,
        SecurityEventReceived, UnlinkForm,
    },
};

problems! {
    /// Problems of `POST /oauth/webhooks/{provider}`.
    NoticeProblems: 400, 403, 404, 413, 415, 500, 503;
    /// Problems of `GET /oauth/webhooks/{provider}`.
    QueriedNoticeProblems: 400, 403, 404, 500, 503;
    /// Problems of `POST /oauth/webhooks/{provider}/deletion`.
    DeletionProblems: 400, 403, 404, 413, 415, 500, 503;
    /// Problems of `POST /oauth/events/{provider}`. Errors of the token itself are not problem documents.
    EventProblems: 404, 413, 415, 500, 503;
}

#[derive(Clone)]
pub(super) struct NoticeApi {
    notices: NoticeController,
}

impl NoticeApi {
    pub(super) fn new(notices: NoticeController) -> Self {
        Self { notices }
    }
}

#[OpenApi(prefix_path = "/oauth", tag = "Tag::OAuth")]
impl NoticeApi {
    /// Receive a provider's notice that a person unlinked the app
    ///
    /// For providers. Register this URL in the console of Naver, Kakao, Facebook, Apple or a GitHub App. The provider calls
    /// it when a person unlinks the app there. All grants of this person become `revoked` until the person signs in at the
    /// provider again.
    ///
    /// Each provider proves its notices:
    ///
    /// - Naver and Facebook sign with the client secret.
    /// - Kakao sends `Authorization: KakaoAK` with the admin key (`KAKAO_ADMIN_KEY`).
    /// - GitHub signs JSON with the webhook secret (`GITHUB_WEBHOOK_SECRET`). Only its event `github_app_authorization` has
    ///   an effect. All other events are acknowledged.
    /// - Apple sends JSON with a JWT that is signed with Apple's keys. Its events `consent-revoked` and `account-deleted`
    ///   have an effect. Events about mail forwarding are acknowledged.
    ///
    /// The gateway stores the notice, responds, and then applies it. The response does not depend on whether the person is
    /// known, or on how often the notice is sent.
    ///
    /// - Returns 403 `notice_not_verified` if the proof is invalid. It is not 401, because a token would not help.
    /// - Returns 404 if the provider is not enabled or sends no such notices, or if the key or secret is not set (Kakao,
    ///   GitHub).
    /// - Returns 503 if the store is unavailable and the provider accepts errors.
    #[oai(path = "/webhooks/:provider", method = "post", operation_id = "receive_unlink_notice")]
    async fn receive(
        &self,
        /// Name of the provider: `naver`, `kakao`, `facebook`, `apple` or `github`.
        provider: Path<String>,
        authorization: RawAuthorization,
        /// GitHub: name of the event.
        #[oai(name = "X-GitHub-Event")]
        event: Header<Option<String>>,
        /// GitHub: id of the delivery.
        #[oai(name = "X-GitHub-Delivery")]
        delivery: Header<Option<String>>,
        /// GitHub: `sha256=`, followed by the HMAC of the body in hexadecimal digits.
        #[oai(name = "X-Hub-Signature-256")]
        signature: Header<Option<String>>,
        body: NoticeBody,
    ) -> Result<NoticeAcknowledged, NoticeProblems> {
        let headers = GitHubHeaders { event: event.0, delivery: delivery.0, signature: signature.0 };
        Ok(self.notices.receive(&provider.0, authorization.0, headers, body.0).await?)
    }

    /// Receive Kakao's notice that a person unlinked the app
    ///
    /// For Kakao, if the webhook is set to GET in its console. It has the same effect as the POST operation.
    #[oai(path = "/webhooks/:provider", method = "get", operation_id = "receive_unlink_notice_in_query")]
    async fn receive_in_query(
        &self,
        /// Name of the provider: `kakao`.
        provider: Path<String>,
        authorization: RawAuthorization,
        /// Id of the person at Kakao.
        user_id: Query<Option<String>>,
    ) -> Result<NoticeAcknowledged, QueriedNoticeProblems> {
        let form = UnlinkForm { user_id: user_id.0, ..UnlinkForm::default() };
        let headers = GitHubHeaders { event: None, delivery: None, signature: None };
        Ok(self.notices.receive(&provider.0, authorization.0, headers, NoticePayload::Form(form)).await?)
    }

    /// Receive a security event about an account
    ///
    /// For Google and Kakao. Register this URL for Google's Cross-Account Protection (RISC) and Kakao's account status
    /// changes. It receives Security Event Tokens (RFC 8417) by the protocol of RFC 8935.
    ///
    /// The gateway verifies the token with the keys of its issuer, and requires its own client id as the audience. It
    /// stores the event, responds with 202, and then applies it:
    ///
    /// - An event that ends sessions at the provider ends the sessions and tokens of the person's account here.
    /// - An event that revokes tokens at the provider marks the person's grants as `revoked`.
    /// - An event that disables the account at the provider does both.
    /// - All other events are logged.
    ///
    /// A token (`jti`) that is sent again has no further effect. Errors of the token are those of RFC 8935 §2.4. After a
    /// 503, the provider must send the token again.
    #[oai(path = "/events/:provider", method = "post", operation_id = "receive_security_event")]
    async fn receive_event(
        &self,
        /// Name of the provider: `google` or `kakao`.
        provider: Path<String>,
        token: SecurityEventBody,
    ) -> Result<SecurityEventReceived, EventProblems> {
        Ok(self.notices.receive_event(&provider.0, token.0).await?)
    }

    /// Request the deletion of a person's data
    ///
    /// For Facebook. Register this URL as the data deletion callback in the app's settings. Facebook signs the request like
    /// the notice that a person unlinked the app.
    ///
    /// The gateway stores the request, responds, and usually carries it out at once:
    ///
    /// - It deletes the person's identity at Facebook, with its name and e-mail address, and the grants of this identity.
    /// - If there is no other way to sign in to the account, it deletes the whole account, with its sessions and tokens.
    /// - If the person has signed in at Facebook again since the request, it deletes nothing.
    ///
    /// Returns 503 if the store is unavailable. The person can then repeat the request.
    #[oai(path = "/webhooks/:provider/deletion", method = "post", operation_id = "request_data_deletion")]
    async fn request_deletion(
        &self,
        /// Name of the provider: `facebook`.
        provider: Path<String>,
        form: FormBody<DeletionForm>,
    ) -> Result<Json<DeletionRequested>, DeletionProblems> {
        Ok(Json(self.notices.request_deletion(&provider.0, form.0).await?))
    }

    /// Get the status of a deletion
    ///
    /// Returns a page to a browser, for the person who requested the deletion, and JSON to programs. The response does not
    /// identify the person. It is available until one year after the deletion is done.
    #[oai(path = "/deletions/:confirmation_code", method = "get", operation_id = "get_data_deletion")]
    async fn deletion(
        &self,
        request: &Request,
        /// `confirmation_code` from the response to the request.
        confirmation_code: Path<String>,
    ) -> DeletionResponse {
        DeletionResponse(match self.notices.deletion(&confirmation_code.0).await {
            Ok(status) if is_wanted(request) => shown_in(().into_response(), pages::deletion(&status)),
            Ok(status) => Json(status).with_header(header::VARY, "Accept").into_response(),
            Err(problem) => {
                let page = is_wanted(request).then(|| pages::no_deletion(&problem));
                let response = problems::document(problem, &RequestContext::of(request));
                match page {
                    Some(page) => shown_in(response, page),
                    None => response,
                }
            }
        })
    }
}

responses! {
    /// Response of `GET /oauth/deletions/{confirmation_code}`.
    DeletionResponse(DeletionStatus): [json_or_page::<DeletionStatus>("The status of the deletion.")], problem_or_page: 404, 500, 503;
}
