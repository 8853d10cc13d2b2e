//! Providers: where people sign in, and as whom we are known there.

pub mod entra;
mod graph_version;
pub mod health;

use chrono::{DateTime, Utc};
use url::Url;

use self::entra::EntraSettings;
use super::oauth::{ProviderName, Secret};

/// The provider that development brings along where no other is configured: anybody can sign in there as anybody.
pub const STAND_IN: &str = "stand-in";

/// The same provider as one that speaks as Apple does.
pub const STAND_IN_APPLE: &str = "stand-in-apple";

/// A provider that is on, with everything that is needed to talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Names it in paths and grants.
    pub name: ProviderName,
    /// Its name for people, such as `Google`.
    pub display_name: String,
    /// What it speaks, and where.
    pub kind: ProviderKind,
    /// Our name there.
    pub client_id: String,
    /// Our password there; at Apple the private key, in PEM, that client secrets are made with.
    pub client_secret: Secret,
    /// What people are asked to allow, written as the provider wants it; may be empty.
    pub scopes: String,
    /// The scopes that one sign-in may ask for besides those.
    pub more_scopes: Vec<String>,
    /// What the provider is to ask people though it need not.
    pub prompt: Prompt,
    /// Whether it knows PKCE (RFC 7636) with S256.
    pub pkce: bool,
    /// Where it sends browsers back to when they signed in with us.
    pub callback: String,
    /// Redirect URIs of callers who bring codes: exact strings (RFC 9700 §2.1), the callback not among them.
    pub redirect_uris: Vec<String>,
    /// Whether callers may bring codes though it has neither PKCE nor a nonce.
    pub takes_unbound_codes: bool,
}

impl ProviderSettings {
    /// What the operator should know by now, though it still works.
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

/// What a provider is to ask people though it need not: the parameter `prompt` (OpenID Connect Core §3.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Their consent, where no refresh token is held and only consent brings one; else nothing.
    WhenNeeded,
    /// Nothing.
    Never,
    /// This, at every sign-in.
    Always(String),
}

/// The parameters of an authorization request that bind it to its browser and to our registration. The gateway alone sets them.
const BINDING_PARAMETERS: [&str; 10] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    // What is in a request object may be any of these (OpenID Connect Core §6).
    "request",
    "request_uri",
];

/// The parameters of an authorization endpoint's own query that the gateway alone sets. All others of its query win over the
/// gateway's.
pub fn binding_parameters(authorize: &Url) -> Vec<&'static str> {
    let is_there = |binding: &&str| authorize.query_pairs().any(|(name, _)| name == **binding);
    BINDING_PARAMETERS.into_iter().filter(is_there).collect()
}

/// What a provider speaks. Each has quirks of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenID Connect at known endpoints.
    Google {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The keys of its id tokens.
        jwks: Url,
        /// Where it says who signs security events, and with which keys.
        events: Url,
        /// The one Google Workspace domain whose people may sign in, if not everybody may.
        hosted_domain: Option<String>,
    },
    /// OAuth 2.0; the e-mail addresses have an endpoint of their own.
    GitHub {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The person's e-mail addresses.
        emails: Url,
        /// What proves that a notice is GitHub's; without it none is believed.
        webhook_secret: Option<Secret>,
    },
    /// OAuth 2.0 and the Graph API.
    Facebook(Endpoints),
    /// OAuth 2.0, or OpenID Connect at endpoints of its own.
    Naver {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The keys of its id tokens, if it is to give some.
        jwks: Option<Url>,
    },
    /// OAuth 2.0 and OpenID Connect.
    Kakao {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The keys of its id tokens, if it is to give some.
        jwks: Option<Url>,
        /// Where it says who signs security events, and with which keys.
        events: Url,
        /// What proves that a notice is Kakao's; without it none is believed.
        admin_key: Option<Secret>,
    },
    /// OpenID Connect, its id tokens signed with the client secret.
    Line(Endpoints),
    /// OAuth 2.0 and OpenID Connect.
    Discord {
        /// Its endpoints.
        endpoints: Endpoints,
        /// The keys of its id tokens, if it is to give some.
        jwks: Option<Url>,
    },
    /// OAuth 2.0.
    X(Endpoints),
    /// OpenID Connect; the endpoints are found at the tenant.
    Entra(EntraSettings),
    /// OpenID Connect at known endpoints, without userinfo. The client secret is made anew for each request: a JWT that is signed
    /// with a private key.
    Apple(AppleRegistration),
    /// OpenID Connect; the endpoints are found at the issuer.
    Oidc {
        /// The issuer, exactly as its id tokens write it.
        issuer: String,
        /// What signs its id tokens.
        id_token_key: IdTokenKey,
    },
}

/// What signs the id tokens of a provider. That is set for each provider, and never read from a token: who may choose the
/// algorithm can take a public key for a secret (RFC 8725 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdTokenKey {
    /// A key that the provider publishes, by the algorithm of the key.
    Published,
    /// Our client secret, by HS256.
    ClientSecret,
}

/// Our registration at Apple, and where Apple answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppleRegistration {
    /// For the browser.
    pub authorize: Url,
    /// Codes and refresh tokens become access tokens here.
    pub token: Url,
    /// Takes grants back.
    pub revoke: Url,
    /// The keys of its id tokens and notices.
    pub jwks: Url,
    /// Whose key it is.
    pub team_id: String,
    /// Names the private key.
    pub key_id: String,
    /// The App ID that our client id belongs to, if it is set: notices may be addressed to it.
    pub app_id: Option<String>,
}

/// Where a provider answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// For the browser.
    pub authorize: Url,
    /// Codes and refresh tokens become access tokens here.
    pub token: Url,
    /// Who the person is.
    pub userinfo: Url,
    /// Takes grants back.
    pub revoke: Url,
}

/// Whether a URL stays on this machine: the one case in which http may do, and only in development.
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
    fn a_parameter_that_binds_is_found_however_it_is_written() {
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
    fn loopback_is_this_machine_and_no_name_that_only_looks_like_it() {
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
