//! LINE: signs the id tokens of web sign-ins with the channel secret (HS256), though its metadata name ES256
//! (developers.line.biz/en/docs/line-login/verify-id-token/#header), and revokes an access token by a parameter of its
//! own.

use async_trait::async_trait;

use crate::{
    adapters::providers::{
        plain::{Plain, Quirks, Site},
        protocol::{
            flow::{ClientAuth, Flow},
            response::{name, text_subject},
        },
    },
    domain::gateway::{
        models::{account::ProviderIdentity, oauth::ProviderTokens, provider::Endpoints, values::secret::Secret},
        services::ports::ProviderError,
    },
};

/// As written in its id tokens.
const ISSUER: &str = "https://access.line.me";
const REMEDY: &str = "make sure that openid is among LINE_SCOPES, and that LINE_AUTHORIZE_URL does not take it out";

/// The specifics of LINE.
pub(super) struct Line;

/// Creates the provider.
pub(super) fn line(flow: Flow, endpoints: Endpoints) -> Plain<Line> {
    Plain::new(flow, endpoints, Line).with_id_tokens_by_secret(ISSUER, REMEDY)
}

#[async_trait]
impl Quirks for Line {
    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let user = site.flow.get(&site.endpoints.userinfo, access_token).await?;
        Ok(ProviderIdentity {
            provider: site.flow.name().clone(),
            subject: text_subject(&user, "sub")?,
            // The address in the id token is not proven.
            verified_email: None,
            name: name(&user, "name"),
        })
    }

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        let Site { flow, endpoints } = site;
        let access_token = flow.living_access_token(&endpoints.token, ClientAuth::Form, tokens).await?;
        flow.form(&endpoints.revoke, ClientAuth::Form, vec![("access_token", access_token.expose())]).await.map(drop)
    }
}
