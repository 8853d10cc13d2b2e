//! The providers with built-in support.

use url::Url;

use super::Common;
use crate::{
    config::variables::{
        DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET, FACEBOOK_CLIENT_ID, FACEBOOK_CLIENT_SECRET, GITHUB_CLIENT_ID,
        GITHUB_CLIENT_SECRET, GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET, KAKAO_CLIENT_ID, KAKAO_CLIENT_SECRET,
        LINE_CLIENT_ID, LINE_CLIENT_SECRET, NAVER_CLIENT_ID, NAVER_CLIENT_SECRET, Variable, X_CLIENT_ID,
        X_CLIENT_SECRET,
    },
    domain::gateway::models::provider::{Endpoints, ProviderKind},
};

/// A provider with built-in support.
pub(super) struct Known {
    pub(super) prefix: &'static str,
    pub(super) display_name: &'static str,
    pub(super) client_id: &'static Variable,
    pub(super) client_secret: &'static Variable,
    /// In the provider's own format.
    pub(super) scopes: &'static str,
    pub(super) pkce: Pkce,
    /// The documented values of `prompt`, except for `none`, which fails for people who are not signed in at the
    /// provider. Empty if the provider does not know the parameter.
    pub(super) prompts: &'static [&'static str],
    /// Whether the provider documents that it compares the redirect URI of a code with that of the exchange (RFC 6749
    /// §4.1.3).
    pub(super) compares_redirect_uris: bool,
    /// In the order of [`Endpoints`]; `{version}` and `{client_id}` are filled in.
    pub(super) endpoints: [&'static str; 4],
    /// Endpoints of this provider alone.
    pub(super) more: &'static [(&'static str, &'static str)],
    /// OpenID Connect, if it is supported besides plain OAuth 2.0.
    pub(super) open_id: Option<OpenId>,
}

/// A provider's support of PKCE (RFC 7636).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pkce {
    /// The provider does not know it.
    Unknown,
    /// The provider checks it if it is used.
    Known,
    /// The provider refuses sign-ins without it.
    Demanded,
}

/// A provider's OpenID Connect, which is used unless a setting disables it. All of these providers support PKCE with
/// it.
pub(super) struct OpenId {
    pub(super) authorize: &'static str,
    pub(super) token: &'static str,
    pub(super) jwks: &'static str,
}

pub(super) const ENDPOINT_SUFFIXES: [&str; 4] = ["_AUTHORIZE_URL", "_TOKEN_URL", "_USERINFO_URL", "_REVOKE_URL"];
/// Disables a provider's OpenID Connect.
pub(super) const OIDC_SUFFIX: &str = "_OIDC";
pub(super) const JWKS_SUFFIX: &str = "_JWKS_URL";

pub(super) const KNOWN: [Known; 8] = [
    Known {
        prefix: "GOOGLE",
        display_name: "Google",
        client_id: &GOOGLE_CLIENT_ID,
        client_secret: &GOOGLE_CLIENT_SECRET,
        scopes: "openid email profile",
        pkce: Pkce::Known,
        prompts: &["consent", "select_account"],
        compares_redirect_uris: false,
        endpoints: [
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
            "https://openidconnect.googleapis.com/v1/userinfo",
            "https://oauth2.googleapis.com/revoke",
        ],
        more: &[
            (JWKS_SUFFIX, "https://www.googleapis.com/oauth2/v3/certs"),
            ("_RISC_URL", "https://accounts.google.com/.well-known/risc-configuration"),
        ],
        open_id: None,
    },
    Known {
        prefix: "GITHUB",
        display_name: "GitHub",
        client_id: &GITHUB_CLIENT_ID,
        client_secret: &GITHUB_CLIENT_SECRET,
        scopes: "read:user user:email",
        pkce: Pkce::Known,
        prompts: &["select_account"],
        compares_redirect_uris: false,
        endpoints: [
            "https://github.com/login/oauth/authorize",
            "https://github.com/login/oauth/access_token",
            "https://api.github.com/user",
            "https://api.github.com/applications/{client_id}/token",
        ],
        more: &[("_EMAILS_URL", "https://api.github.com/user/emails")],
        open_id: None,
    },
    Known {
        prefix: "FACEBOOK",
        display_name: "Facebook",
        client_id: &FACEBOOK_CLIENT_ID,
        client_secret: &FACEBOOK_CLIENT_SECRET,
        scopes: "email,public_profile",
        pkce: Pkce::Unknown,
        prompts: &[],
        compares_redirect_uris: true,
        endpoints: [
            "https://www.facebook.com/{version}/dialog/oauth",
            "https://graph.facebook.com/{version}/oauth/access_token",
            "https://graph.facebook.com/{version}/me",
            "https://graph.facebook.com/{version}/me/permissions",
        ],
        more: &[],
        open_id: None,
    },
    Known {
        prefix: "NAVER",
        display_name: "Naver",
        client_id: &NAVER_CLIENT_ID,
        client_secret: &NAVER_CLIENT_SECRET,
        scopes: "",
        pkce: Pkce::Unknown,
        prompts: &[],
        compares_redirect_uris: false,
        endpoints: [
            "https://nid.naver.com/oauth2.0/authorize",
            "https://nid.naver.com/oauth2.0/token",
            "https://openapi.naver.com/v1/nid/me",
            "https://nid.naver.com/oauth2.0/revoke",
        ],
        more: &[],
        open_id: Some(OpenId {
            authorize: "https://nid.naver.com/oauth2/authorize",
            token: "https://nid.naver.com/oauth2/token",
            jwks: "https://nid.naver.com/oauth2/jwks",
        }),
    },
    Known {
        prefix: "KAKAO",
        display_name: "Kakao",
        client_id: &KAKAO_CLIENT_ID,
        client_secret: &KAKAO_CLIENT_SECRET,
        scopes: "account_email,profile_nickname",
        pkce: Pkce::Known,
        prompts: &["login", "create", "select_account"],
        compares_redirect_uris: false,
        endpoints: [
            "https://kauth.kakao.com/oauth/authorize",
            "https://kauth.kakao.com/oauth/token",
            "https://kapi.kakao.com/v2/user/me",
            "https://kapi.kakao.com/v1/user/unlink",
        ],
        more: &[("_SSE_URL", "https://kauth.kakao.com/.well-known/sse-configuration")],
        open_id: Some(OpenId {
            authorize: "https://kauth.kakao.com/oauth/authorize",
            token: "https://kauth.kakao.com/oauth/token",
            jwks: "https://kauth.kakao.com/.well-known/jwks.json",
        }),
    },
    Known {
        prefix: "LINE",
        display_name: "LINE",
        client_id: &LINE_CLIENT_ID,
        client_secret: &LINE_CLIENT_SECRET,
        scopes: "openid profile",
        pkce: Pkce::Known,
        prompts: &["consent", "login"],
        compares_redirect_uris: false,
        endpoints: [
            "https://access.line.me/oauth2/v2.1/authorize",
            "https://api.line.me/oauth2/v2.1/token",
            "https://api.line.me/oauth2/v2.1/userinfo",
            "https://api.line.me/oauth2/v2.1/revoke",
        ],
        more: &[],
        open_id: None,
    },
    Known {
        prefix: "DISCORD",
        display_name: "Discord",
        client_id: &DISCORD_CLIENT_ID,
        client_secret: &DISCORD_CLIENT_SECRET,
        scopes: "identify email",
        pkce: Pkce::Known,
        prompts: &["consent"],
        compares_redirect_uris: false,
        endpoints: [
            "https://discord.com/oauth2/authorize",
            "https://discord.com/api/oauth2/token",
            "https://discord.com/api/users/@me",
            "https://discord.com/api/oauth2/token/revoke",
        ],
        more: &[],
        open_id: Some(OpenId {
            authorize: "https://discord.com/oauth2/authorize",
            token: "https://discord.com/api/oauth2/token",
            jwks: "https://discord.com/api/oauth2/keys",
        }),
    },
    Known {
        prefix: "X",
        display_name: "X",
        client_id: &X_CLIENT_ID,
        client_secret: &X_CLIENT_SECRET,
        scopes: "users.read tweet.read offline.access",
        pkce: Pkce::Demanded,
        prompts: &[],
        compares_redirect_uris: false,
        endpoints: [
            "https://x.com/i/oauth2/authorize",
            "https://api.x.com/2/oauth2/token",
            "https://api.x.com/2/users/me",
            "https://api.x.com/2/oauth2/revoke",
        ],
        more: &[],
        open_id: None,
    },
];

impl Known {
    /// The suffixes of its variables, besides the client id and secret.
    pub(super) fn suffixes(&self) -> impl Iterator<Item = &'static str> {
        let more = self.more.iter().map(|(suffix, _)| *suffix);
        let always = ["_SCOPES", "_MORE_SCOPES", "_PKCE", "_UNBOUND_CODES"];
        let prompt = (!self.prompts.is_empty()).then_some("_PROMPT");
        let open_id = self.open_id.iter().flat_map(|_| [OIDC_SUFFIX, JWKS_SUFFIX]);
        always.into_iter().chain(prompt).chain(ENDPOINT_SUFFIXES).chain(more).chain(open_id)
    }

    /// `more` are the endpoints of this provider alone; `jwks` enables id tokens where they are optional.
    pub(super) fn kind(
        &self,
        endpoints: Endpoints,
        more: Vec<Url>,
        jwks: Option<Url>,
        common: &Common<'_>,
    ) -> Option<ProviderKind> {
        let mut more = more.into_iter();
        Some(match self.prefix {
            "GOOGLE" => ProviderKind::Google {
                endpoints,
                jwks: more.next()?,
                events: more.next()?,
                hosted_domain: common.hosted_domain.clone(),
            },
            "GITHUB" => ProviderKind::GitHub {
                endpoints,
                emails: more.next()?,
                webhook_secret: common.github_webhook_secret.clone(),
            },
            "FACEBOOK" => ProviderKind::Facebook(endpoints),
            "NAVER" => ProviderKind::Naver { endpoints, jwks },
            "LINE" => ProviderKind::Line(endpoints),
            "DISCORD" => ProviderKind::Discord { endpoints, jwks },
            "X" => ProviderKind::X(endpoints),
            _ => {
                ProviderKind::Kakao { endpoints, jwks, events: more.next()?, admin_key: common.kakao_admin_key.clone() }
            }
        })
    }
}
