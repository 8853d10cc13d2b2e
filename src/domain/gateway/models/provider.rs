//! Providers: where people sign in, and our registrations there.

pub mod entra;
mod graph_version;
pub mod health;

use chrono::{DateTime, Utc};
use url::Url;

use self::entra::EntraSettings;
use super::{oauth::ProviderName, values::secret::Secret};

/// The stand-in provider, which development adds if no other is configured: anyone can sign in there as anyone.
pub const STAND_IN: &str = "stand-in";

/// The same provider with Apple's protocol.
pub const STAND_IN_APPLE: &str = "stand-in-apple";

/// An enabled provider, with all settings needed to talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Its name in paths and grants.
    pub name: ProviderName,
    /// Its name for people, such as `Google`.
    pub display_name: String,
    /// Its protocol and endpoints.
    pub kind: ProviderKind,
    /// Our client id there.
    pub client_id: String,
    /// Our client secret there; for Apple the private key, in PEM, that signs client secrets.
    pub client_secret: Secret,
    /// The scopes that people are asked to allow, in the provider's notation; may be empty.
    pub scopes: String,
    /// The scopes that one sign-in may request in addition.
    pub more_scopes: Vec<String>,
    /// The prompt that the provider is to show even if it need not.
    pub prompt: Prompt,
    /// Whether it supports PKCE (RFC 7636) with S256.
    pub pkce: bool,
    /// Where it sends browsers back to after a sign-in at the gateway.
    pub callback: String,
    /// Redirect URIs of callers who bring codes: exact strings (RFC 9700 §2.1), without the callback.
    pub redirect_uris: Vec<String>,
    /// Whether callers may bring codes though the provider has neither PKCE nor a nonce.
    pub takes_unbound_codes: bool,
}

impl ProviderSettings {
    /// A warning for the operator about settings that still work.
    pub fn warning(&self, now: DateTime<Utc>) -> Option<String> {
        match &self.kind {
            ProviderKind::Facebook(endpoints) => graph_version::warning(&endpoints.token, now),
            ProviderKind::Google { .. }
            | ProviderKind::GitHub { .. }
            | ProviderKind::Naver { .. }
            | ProviderKind::Kakao { .. }
            | ProviderKind::Line(_)
            | ProviderKind::Discord { .. }
            | ProviderKind::X(_)
            | ProviderKind::Entra(_)
            | ProviderKind::Apple(_)
            | ProviderKind::Oidc { .. } => None,
        }
    }
}

/// The parameter `prompt` (OpenID Connect Core §3.1.2.1): what a provider is to ask people even if it need not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Ask for consent if no refresh token is stored and only consent brings one; otherwise send no prompt.
    WhenNeeded,
    /// Send no prompt.
    Never,
    /// Send this prompt at every sign-in.
    Always(String),
}

/// The parameters of an authorization request that bind it to its browser and to our registration. Only the gateway
/// sets them.
const BINDING_PARAMETERS: [&str; 10] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    // A request object may contain any of these (OpenID Connect Core §6).
    "request",
    "request_uri",
];

/// The parameters in an authorization endpoint's own query that only the gateway may set. All other parameters of that
/// query take precedence over the gateway's.
pub fn binding_parameters(authorize: &Url) -> Vec<&'static str> {
    let is_there = |binding: &&str| authorize.query_pairs().any(|(name, _)| name == **binding);
    BINDING_PARAMETERS.into_iter().filter(is_there).collect()
}

/// The protocol of a provider. Each has quirks of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenID Connect at known endpoints.
    Google {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The keys of its id tokens.
        jwks: Url,
        /// Publishes the issuer and keys of its security events.
        events: Url,
        /// The Google Workspace domain that people must belong to; `None`: everyone may sign in.
        hosted_domain: Option<String>,
    },
    /// OAuth 2.0; e-mail addresses have a separate endpoint.
    GitHub {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The person's e-mail addresses.
        emails: Url,
        /// Verifies that a notice is from GitHub; without it no notice is accepted.
        webhook_secret: Option<Secret>,
    },
    /// OAuth 2.0 and the Graph API.
    Facebook(Endpoints),
    /// OAuth 2.0, or OpenID Connect at endpoints of its own.
    Naver {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The keys of its id tokens, if it is to issue them.
        jwks: Option<Url>,
    },
    /// OAuth 2.0 and OpenID Connect.
    Kakao {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The keys of its id tokens, if it is to issue them.
        jwks: Option<Url>,
        /// Publishes the issuer and keys of its security events.
        events: Url,
        /// Verifies that a notice is from Kakao; without it no notice is accepted.
        admin_key: Option<Secret>,
    },
    /// OpenID Connect, its id tokens signed with the client secret.
    Line(Endpoints),
    /// OAuth 2.0 and OpenID Connect.
    Discord {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The keys of its id tokens, if it is to issue them.
        jwks: Option<Url>,
    },
    /// OAuth 2.0.
    X(Endpoints),
    /// OpenID Connect; the endpoints are discovered at the tenant.
    Entra(EntraSettings),
    /// OpenID Connect at known endpoints, without userinfo. The client secret is created for each request: a JWT signed
    /// with a private key.
    Apple(AppleRegistration),
    /// OpenID Connect; the endpoints are discovered at the issuer.
    Oidc {
        /// The issuer, exactly as its id tokens write it.
        issuer: String,
        /// The key that signs its id tokens.
        id_token_key: IdTokenKey,
    },
}

/// The key that signs a provider's id tokens. It is configured for each provider, and never read from a token: an
/// attacker who may choose the algorithm can pass a public key off as a secret (RFC 8725 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdTokenKey {
    /// A key that the provider publishes, with that key's algorithm.
    Published,
    /// Our client secret, with HS256.
    ClientSecret,
}

/// Our registration at Apple, and Apple's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppleRegistration {
    /// For the browser.
    pub authorize: Url,
    /// Exchanges codes and refresh tokens for access tokens.
    pub token: Url,
    /// Revokes grants.
    pub revoke: Url,
    /// The keys of its id tokens and notices.
    pub jwks: Url,
    /// The team that owns the key.
    pub team_id: String,
    /// The id of the private key.
    pub key_id: String,
    /// The App ID that our client id belongs to, if configured: notices may be addressed to it.
    pub app_id: Option<String>,
}

/// A provider's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// For the browser.
    pub authorize: Url,
    /// Exchanges codes and refresh tokens for access tokens.
    pub token: Url,
    /// Returns the person's identity.
    pub userinfo: Url,
    /// Revokes grants.
    pub revoke: Url,
}

/// Whether a URL stays on this machine: the only case in which http is allowed, and only in development.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_parameter_is_found_however_it_is_written() {
        for (query, found) in [
            ("", &[][..]),
            ("?prompt=login&scope=a&State=b", &[]),
            ("?p=b2c&state=x", &["state"]),
            ("?%73tate=", &["state"]),
            ("?nonce=a&client_id=b&nonce=c", &["client_id", "nonce"]),
        ] {
            let url = Url::parse(&format!("https://idp.example.com/authorize{query}")).unwrap();
            assert_eq!(binding_parameters(&url), found, "{query}");
        }
    }

    #[test]
    fn loopback_is_this_machine_and_not_a_name_that_looks_like_it() {
        for (url, is) in [
            ("http://localhost:1/a", true),
            ("http://idp.localhost", true),
            ("http://127.0.0.7", true),
            ("http://[::1]:8080", true),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://10.0.0.1", false),
            ("http://127.0.0.1@example.com", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), is, "{url}");
        }
    }
}
