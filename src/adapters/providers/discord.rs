//! Discord: authenticates clients by HTTP Basic, and identifies people by its own API. Its metadata for OpenID Connect
//! name no revocation endpoint; those for OAuth do.

use async_trait::async_trait;
use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use crate::{
    adapters::providers::{
        plain::{Plain, Quirks, Site},
        protocol::{
            error_codes::{Described, ErrorResponse},
            flow::{ClientAuth, Flow, TokenTypeHint},
            response::{email, is_true, name, text_subject},
        },
    },
    domain::gateway::{
        models::{account::ProviderIdentity, oauth::ProviderTokens, provider::Endpoints, values::secret::Secret},
        services::ports::ProviderError,
    },
};

/// As written in its metadata (discord.com/.well-known/openid-configuration).
const ISSUER: &str = "https://discord.com";
const REMEDY: &str =
    "make sure that DISCORD_AUTHORIZE_URL does not take openid out of the scope, or set DISCORD_OIDC=off";
/// The message for a refresh token that was used before (github.com/member-gentei/member-gentei/issues/18). The code,
/// `invalid_request`, also means everything else.
const DESCRIBED: Described = Described { grant: &["invalid \"refresh_token\" in request"], client: &[] };

/// The specifics of Discord.
pub(super) struct Discord;

/// Creates the provider. `jwks` turns id tokens on.
pub(super) fn discord(flow: Flow, endpoints: Endpoints, jwks: Option<Url>) -> Plain<Discord> {
    Plain::new(flow.with_errors(error_of), endpoints, Discord).with_id_tokens(ISSUER, jwks, REMEDY)
}

fn error_of(status: StatusCode, body: &Value) -> Option<ErrorResponse> {
    DESCRIBED.error(status, body)
}

#[async_trait]
impl Quirks for Discord {
    fn client_auth(&self) -> ClientAuth {
        ClientAuth::Basic
    }

    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let user = site.flow.get(&site.endpoints.userinfo, access_token).await?;
        Ok(ProviderIdentity {
            provider: site.flow.name().clone(),
            // A 64-bit number, written as text.
            subject: text_subject(&user, "id")?,
            verified_email: email(&user, "email").filter(|_| is_true(&user, "verified")),
            name: name(&user, "global_name").or_else(|| name(&user, "username")),
        })
    }

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        site.flow.revoke(&site.endpoints.revoke, ClientAuth::Basic, tokens, TokenTypeHint::Sent).await
    }
}
