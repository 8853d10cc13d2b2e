//! `/oauth/webhooks…`: what providers tell us unasked.

use poem_openapi::{
    OpenApi,
    param::{Path, Query},
};

use super::{
    Tag,
    extract::{FormBody, RawAuthorization},
    problems::problems,
};
use crate::domain::gateway::{
    controllers::notice::NoticeController,
    schemas::notice::{NoticeAcknowledged, UnlinkForm},
};

problems! {
    /// Of a provider's notice.
    NoticeProblems: 400, 403, 404, 413, 415, 500, 503;
    /// Of a provider's notice in a query.
    QueriedNoticeProblems: 400, 403, 404, 500, 503;
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

#[OpenApi(prefix_path = "/oauth/webhooks", tag = "Tag::OAuth")]
impl NoticeApi {
    /// For providers: somebody took back what they allowed
    ///
    /// Naver, Kakao and Facebook call this when a person unlinks us there; it is the URL to write into their consoles. Every
    /// grant of that person is then `revoked`, until the person signs in at the provider again. Naver and Facebook sign their
    /// notices with the client secret; Kakao sends `Authorization: KakaoAK` with the admin key (`KAKAO_ADMIN_KEY`). The answer
    /// comes once the notice is stored, which is then worked off at once; it is the same whether or not we know the person, and however
    /// often the notice comes. 403 `notice_not_verified` if the
    /// proof is not good: what lacks is no token, so that a 401 and its challenge would lead nowhere. 404 if the provider is
    /// not switched on, sends no such notices, or (Kakao) the key is not set.
    #[oai(path = "/:provider", method = "post", operation_id = "receive_unlink_notice")]
    async fn receive(
        &self,
        /// `naver`, `kakao` or `facebook`.
        provider: Path<String>,
        authorization: RawAuthorization,
        form: FormBody<UnlinkForm>,
    ) -> Result<NoticeAcknowledged, NoticeProblems> {
        Ok(self.notices.receive(&provider.0, authorization.0, form.0).await?)
    }

    /// For Kakao: somebody took back what they allowed
    ///
    /// The same for a webhook that is set to GET in Kakao's console.
    #[oai(path = "/:provider", method = "get", operation_id = "receive_unlink_notice_in_query")]
    async fn receive_in_query(
        &self,
        /// `kakao`.
        provider: Path<String>,
        authorization: RawAuthorization,
        /// The person.
        user_id: Query<Option<String>>,
    ) -> Result<NoticeAcknowledged, QueriedNoticeProblems> {
        let form = UnlinkForm { user_id: user_id.0, ..UnlinkForm::default() };
        Ok(self.notices.receive(&provider.0, authorization.0, form).await?)
    }
}
