//! `/oauth/webhooks…`, `/oauth/events…`: notices of providers. `/oauth/deletions…`: the progress of a deletion.

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
    extract::{FormBody, NoticeBody, RawAuthorization, SecurityEventBody},
    pages::{answers, is_wanted, json_or_page, problem_or_page, shown_in},
    problems::{self, problems},
};
use crate::domain::gateway::{
    controllers::notice::NoticeController,
    schemas::notice::{
        DeletionForm, DeletionRequested, DeletionStatus, GitHubHeaders, NoticeAcknowledged, NoticePayload,
        SecurityEventReceived, UnlinkForm,
    },
};

problems! {
    /// Of a provider's notice.
    NoticeProblems: 400, 403, 404, 413, 415, 500, 503;
    /// Of a provider's notice in a query.
    QueriedNoticeProblems: 400, 403, 404, 500, 503;
    /// Of the request to delete a person's data.
    DeletionProblems: 400, 403, 404, 413, 415, 500, 503;
    /// Of a security event. What is wrong with the token itself is no problem document.
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
    /// For providers: somebody took back what they allowed
    ///
    /// Naver, Kakao, Facebook, Apple and GitHub Apps call this when a person unlinks us there; it is the URL to write into their consoles.
    /// Every grant of that person is then `revoked`, until the person signs in at the provider again. Naver and Facebook sign their
    /// notices with the client secret; Kakao sends `Authorization: KakaoAK` with the admin key (`KAKAO_ADMIN_KEY`). GitHub signs JSON
    /// with the webhook secret (`GITHUB_WEBHOOK_SECRET`); of its events `github_app_authorization` has an effect, and all others are
    /// acknowledged. Apple sends JSON with a JWT that its own keys sign (`consent-revoked`, `account-deleted`; whether mail is forwarded
    /// changes nothing here).
    ///
    /// The answer comes once the notice is stored, and the notice is worked off then. The answer is the same whether or not we know
    /// the person, and however often the notice comes. 403 `notice_not_verified` if the proof is not good: what lacks is no token,
    /// so that a 401 and its challenge would lead nowhere. 404 if the provider is not switched on, sends no such notices, or (Kakao,
    /// GitHub) the key or secret is not set. 503 if the store is away and the provider wants to hear of that.
    #[oai(path = "/webhooks/:provider", method = "post", operation_id = "receive_unlink_notice")]
    async fn receive(
        &self,
        /// `naver`, `kakao`, `facebook`, `apple` or `github`.
        provider: Path<String>,
        authorization: RawAuthorization,
        /// GitHub: what happened.
        #[oai(name = "X-GitHub-Event")]
        event: Header<Option<String>>,
        /// GitHub: names the delivery.
        #[oai(name = "X-GitHub-Delivery")]
        delivery: Header<Option<String>>,
        /// GitHub: `sha256=` and the HMAC of the body in hexadecimal digits.
        #[oai(name = "X-Hub-Signature-256")]
        signature: Header<Option<String>>,
        body: NoticeBody,
    ) -> Result<NoticeAcknowledged, NoticeProblems> {
        let headers = GitHubHeaders { event: event.0, delivery: delivery.0, signature: signature.0 };
        Ok(self.notices.receive(&provider.0, authorization.0, headers, body.0).await?)
    }

    /// For Kakao: somebody took back what they allowed
    ///
    /// The same for a webhook that is set to GET in Kakao's console.
    #[oai(path = "/webhooks/:provider", method = "get", operation_id = "receive_unlink_notice_in_query")]
    async fn receive_in_query(
        &self,
        /// `kakao`.
        provider: Path<String>,
        authorization: RawAuthorization,
        /// The person.
        user_id: Query<Option<String>>,
    ) -> Result<NoticeAcknowledged, QueriedNoticeProblems> {
        let form = UnlinkForm { user_id: user_id.0, ..UnlinkForm::default() };
        let headers = GitHubHeaders { event: None, delivery: None, signature: None };
        Ok(self.notices.receive(&provider.0, authorization.0, headers, NoticePayload::Form(form)).await?)
    }

    /// For Google and Kakao: something happened to an account
    ///
    /// Receives Security Event Tokens (RFC 8417) as RFC 8935 has it: Google's Cross-Account Protection (RISC) and Kakao's account
    /// status changes. It is the URL to register there. A token is verified with the keys of its issuer and is for our client id;
    /// it is 202 once it is stored, and worked off then. What ends sessions at the provider ends the sessions and tokens of the
    /// person's account here; what takes tokens back there marks the person's grants `revoked`; a disabled account does both. All else
    /// is logged. The same token (`jti`) counts once. Errors of the token are those of RFC 8935 §2.4; 503 asks to send it again.
    #[oai(path = "/events/:provider", method = "post", operation_id = "receive_security_event")]
    async fn receive_event(
        &self,
        /// `google` or `kakao`.
        provider: Path<String>,
        token: SecurityEventBody,
    ) -> Result<SecurityEventReceived, EventProblems> {
        Ok(self.notices.receive_event(&provider.0, token.0).await?)
    }

    /// For Facebook: somebody wants their data deleted
    ///
    /// Facebook's data deletion callback; it is the URL to write into the app's settings. It is signed as the notice of a person who
    /// unlinks us is. The answer comes once the request is stored; it is carried out at once as a rule. Deleted are the person's
    /// identity at Facebook, with its name and e-mail address, and the grants of it; the whole account, with its sessions and tokens, if
    /// there is no other way to sign in to it. A person who has signed in at Facebook again since keeps what there is. 503 if the store
    /// is away: the person can ask again.
    #[oai(path = "/webhooks/:provider/deletion", method = "post", operation_id = "request_data_deletion")]
    async fn request_deletion(
        &self,
        /// `facebook`.
        provider: Path<String>,
        form: FormBody<DeletionForm>,
    ) -> Result<Json<DeletionRequested>, DeletionProblems> {
        Ok(Json(self.notices.request_deletion(&provider.0, form.0).await?))
    }

    /// How far a deletion is
    ///
    /// A page for the person who asked for it, and JSON for programs. It says nothing of the person, and is there until a year after
    /// everything was deleted.
    #[oai(path = "/deletions/:confirmation_code", method = "get", operation_id = "get_data_deletion")]
    async fn deletion(
        &self,
        request: &Request,
        /// What the request was answered with.
        confirmation_code: Path<String>,
    ) -> DeletionAnswer {
        DeletionAnswer(match self.notices.deletion(&confirmation_code.0).await {
            Ok(status) if is_wanted(request) => shown_in(().into_response(), pages::deletion(&status)),
            Ok(status) => Json(status).with_header(header::VARY, "Accept").into_response(),
            Err(problem) => {
                let page = is_wanted(request).then(|| pages::no_deletion(&problem));
                let answer = problems::document(problem, &RequestContext::of(request));
                match page {
                    Some(page) => shown_in(answer, page),
                    None => answer,
                }
            }
        })
    }
}

answers! {
    /// Of the question how far a deletion is.
    DeletionAnswer(DeletionStatus): [json_or_page::<DeletionStatus>("How far it is.")], problem_or_page: 404, 500, 503;
}
