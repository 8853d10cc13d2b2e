//! The services' ports to the outside of the domain, besides the store, the time and randomness.

mod client;
mod container;
mod discovery;
mod notice;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use thiserror::Error;

pub use self::{
    client::{AssertionError, ClientKeyError, ClientKeys, KeyFlaw},
    container::{ContainerChanges, ContainerEngine, ContainerList, EngineError, ListedContainer},
    discovery::{
        Health, InstanceState, InstanceStates, NameError, NameResolver, Resolved, ServicePublisher, SrvTarget,
    },
    notice::{
        Acknowledgement, NoticeBody, NoticeEvent, NoticeRefusal, Unacknowledged, UnverifiedNotice, VerifiedNotice,
    },
};
use crate::domain::gateway::models::{
    account::{Password, PasswordHash, ProviderIdentity},
    assertion::CallerAssertion,
    login::LoginHint,
    oauth::{ProviderName, ProviderTokens},
    signing_key::{SigningAlgorithm, SigningKey},
    token::{AccessClaims, DummyText, RefreshToken, Revocation, SignatureVerifier},
    values::{
        digest::Sha256Digest,
        id::{AccountId, Revocable},
        secret::Secret,
    },
};

/// A private key in clear, before it is sealed. It does not print.
pub struct PrivateKey(pub Vec<u8>);

/// A newly generated key pair.
pub struct KeyPair {
    /// Its id: the RFC 7638 thumbprint of the public half, or a digest for HS256.
    pub kid: String,
    /// The private half.
    pub private_key: PrivateKey,
    /// The public half as a JWK with `kid`, `alg` and `use`; `None` for HS256.
    pub public_jwk: Option<Value>,
}

/// The reason why a key could not be made or used. The text is for the log.
#[derive(Debug, Error)]
#[error("a signing key cannot be used: {0}")]
pub struct KeyError(pub String);

/// Generates and loads key pairs.
pub trait KeyGenerator: Send + Sync {
    /// Generates a key pair.
    fn generate(&self, algorithm: SigningAlgorithm) -> Result<KeyPair, KeyError>;

    /// Loads keys, each with its private half opened.
    fn load(&self, keys: &[(SigningKey, PrivateKey)]) -> Result<Arc<dyn KeyRing>, KeyError>;
}

/// Loaded keys: verifies with any of them, signs with a named one.
pub trait KeyRing: SignatureVerifier {
    /// Signs an access token with the key `kid`.
    fn sign(&self, kid: &str, claims: &AccessClaims) -> Result<String, KeyError>;

    /// Signs an assertion with the key `kid`. It cannot be mistaken for an access token: its type differs.
    fn sign_assertion(&self, kid: &str, assertion: &CallerAssertion) -> Result<String, KeyError>;
}

/// The reason why a sealed value could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Sealed with a key that is not in `VAULT_KEY`.
    #[error("it was sealed with a key that is not in VAULT_KEY")]
    UnknownKey,
    /// Changed since, or sealed for another context.
    #[error("it is damaged or was sealed for another purpose")]
    Damaged,
}

/// Seals secrets for the store, and opens them again.
pub trait Sealer: Send + Sync {
    /// Seals `secret` for one purpose: it opens only under the same `context`.
    fn seal(&self, context: &str, secret: &[u8]) -> Vec<u8>;

    /// Opens a sealed value.
    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError>;

    /// The same secret sealed with the current key; `None` if it is sealed with that already. A value that cannot be
    /// opened is an error in any case.
    fn reseal(&self, context: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, OpenError>;
}

/// Derives the successor of a refresh token from the token itself and a secret of ours. So a replay within the grace
/// period gets the same successor on every replica, though no store ever holds one.
pub trait SuccessorDerivation: Send + Sync {
    /// The successor to store.
    fn successor(&self, presented: &RefreshToken) -> RefreshToken;

    /// Every successor that a replica with another order of keys may have stored.
    fn candidates(&self, presented: &RefreshToken) -> Vec<RefreshToken>;

    /// The digests of the successors of a token in at most `generations`, and of their successors, under each key, or
    /// under an older key and then a newer one.
    fn descendants(&self, presented: &RefreshToken, generations: usize) -> Vec<Sha256Digest>;
}

/// Publishes changes to the data plane. They are in force when the call returns.
pub trait TokenStatePublisher: Send + Sync {
    /// Makes these the only valid keys from now on.
    fn publish_keys(&self, keys: Arc<dyn KeyRing>);

    /// Revokes these from now on.
    fn publish_revocations(&self, revocations: &[Revocation]);

    /// Notes that the deny-list was complete at this moment.
    fn hear(&self, at: Instant);

    /// Whether this is revoked.
    fn is_revoked(&self, id: Revocable) -> bool;

    /// Everything that is revoked.
    fn revocations(&self) -> Vec<Revocation>;
}

/// Tells the data plane that its copy of a person's grants is out of date. It holds when the call returns.
pub trait GrantStatePublisher: Send + Sync {
    /// A grant of this account was created, refreshed, ended or deleted.
    fn publish_grant_change(&self, account: AccountId, now: DateTime<Utc>);
}

/// The result of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// The password is right.
    Right {
        /// Whether its hash is outdated by today's parameters.
        outdated: bool,
    },
    /// The password is wrong, or there is none.
    Wrong,
}

/// The reason why a password was not hashed. The texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HashingError {
    /// Too many passwords are waiting.
    #[error("too many passwords are being hashed")]
    Overloaded,
    /// The stored text is not a hash, or hashing failed.
    #[error("a password cannot be hashed: {0}")]
    Broken(String),
}

/// Hashes passwords, deliberately slowly: where it can delay nothing but other passwords.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a password for the store, each time with another salt.
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingError>;

    /// Whether a password matches the hash. Without a hash it is wrong, and costs the same.
    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<Verified, HashingError>;
}

/// Shows dummy tokens on the console (development only).
pub trait DummyConsole: Send + Sync {
    /// Shows the typed text.
    fn show(&self, typed: &DummyText);
}

/// The reason why a provider failed a request. Error codes are registered ones of OAuth or the provider's own, cleaned
/// for the log and the caller: printable ASCII of at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// The code, the refresh token or the access token is no longer valid, or never was. Only the person can fix that,
    /// by signing in again.
    #[error("the provider says that the grant is not valid: {code}")]
    InvalidGrant {
        /// The error code.
        code: String,
    },
    /// The provider does not accept our client id, its secret, or the app's settings. The operator can fix that;
    /// nothing is wrong with the grant.
    #[error("the provider does not accept our client: {code}")]
    Misconfigured {
        /// The error code.
        code: String,
    },
    /// The provider refuses for another reason.
    #[error("the provider refuses the request: {code}")]
    Refused {
        /// The error code.
        code: String,
    },
    /// The provider cannot be reached, is too slow, or fails (5xx): worth another try later.
    #[error("the provider is unavailable: {0}")]
    Unavailable(String),
    /// The provider limits our rate (429): worth another try later.
    #[error("the provider limits the rate of requests: {0}")]
    Throttled(String),
    /// The provider's response is invalid, or an id token lacks what it must contain. The text is for the log.
    #[error("the provider's response is invalid: {0}")]
    BadResponse(String),
    /// The id token has another nonce than expected, or none: the code belongs to another authorization request.
    #[error("the id token contains another nonce")]
    NonceMismatch,
    /// No id token came though one is required. The operator can fix that, or the front end that requested the code
    /// without the scope `openid`.
    #[error("the provider returned no id token: {remedy}")]
    NoIdToken {
        /// A remedy for the operator.
        remedy: &'static str,
    },
    /// The provider knows the person, but the settings do not admit them.
    #[error("the person may not sign in here: {}", .0.for_operator())]
    NotAdmitted(AdmissionRule),
    /// The provider does not support this operation (GitHub OAuth apps cannot refresh, for instance).
    #[error("the provider does not support this operation")]
    Unsupported,
}

/// A setting that restricts sign-ins at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionRule {
    /// The people of one Google Workspace domain.
    HostedDomain,
    /// The people of some tenants of Entra.
    Tenant,
    /// The members of some groups of Entra.
    Group,
    /// The same, and the id token does not list the person's groups: there are too many.
    GroupsElsewhere,
}

impl AdmissionRule {
    /// Its name in a response.
    pub fn code(self) -> &'static str {
        match self {
            Self::HostedDomain => "hosted_domain_required",
            Self::Tenant => "tenant_not_allowed",
            Self::Group => "group_required",
            Self::GroupsElsewhere => "too_many_groups",
        }
    }

    /// Why it does not admit a person, and the variable that says so: for the log, not for the person.
    pub fn for_operator(self) -> &'static str {
        match self {
            Self::HostedDomain => "the person does not belong to the domain GOOGLE_HOSTED_DOMAIN",
            Self::Tenant => "the person's tenant is not one of ENTRA_ALLOWED_TENANTS",
            Self::Group => {
                "the id token contains no group of ENTRA_GROUPS; Entra must be set to send groups (Token configuration > Add groups \
                 claim)"
            }
            Self::GroupsElsewhere => {
                "the person is in more groups than an id token lists (200), so ENTRA_GROUPS cannot be checked; set Entra to send only the \
                 groups that are assigned to the application (Token configuration > Add groups claim)"
            }
        }
    }
}

/// The data for an authorization request.
#[derive(Debug, Clone)]
pub struct AuthorizationRequest {
    /// Where the provider sends the browser back to.
    pub redirect_uri: String,
    /// One per attempt.
    pub state: Secret,
    /// PKCE (RFC 7636): the verifier; its S256 challenge is sent. For a provider that [uses PKCE](Provider::uses_pkce).
    pub code_verifier: Option<Secret>,
    /// The nonce that an id token must contain later. Only sent to providers that issue id tokens.
    pub nonce: Option<Secret>,
    /// The scopes to request in addition to the configured ones.
    pub more_scopes: Vec<String>,
    /// Whether the person is asked for consent even if the provider need not ask.
    pub consent: bool,
    /// The person who is likely to sign in. Only sent to providers that support such a parameter.
    pub login_hint: Option<LoginHint>,
    /// What the provider is to do anew: one of its [types](Provider::auth_types).
    pub auth_type: Option<&'static str>,
}

/// The data to exchange an authorization code.
#[derive(Debug, Clone)]
pub struct CodeExchange {
    /// The code.
    pub code: Secret,
    /// The redirect URI that the code was sent to.
    pub redirect_uri: String,
    /// PKCE (RFC 7636).
    pub code_verifier: Option<Secret>,
    /// The nonce that an id token must contain, if one was sent.
    pub nonce: Option<Secret>,
    /// The state of the attempt; Naver requires it here, too.
    pub state: Secret,
    /// The person's name, if it came with the code (Apple, the first time). It is not signed: for display only.
    pub name: Option<String>,
}

/// A provider where people sign in and whose tokens we store. One implementation per family of quirks.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Its name.
    fn name(&self) -> &ProviderName;

    /// Its name for people, such as `Google`.
    fn display_name(&self) -> &str;

    /// Whether its authorization requests need a code verifier.
    fn uses_pkce(&self) -> bool;

    /// Whether its id tokens contain the nonce of the authorization request.
    fn uses_nonce(&self) -> bool {
        false
    }

    /// Whether the browser comes back with a form instead of a query if these scopes are requested in addition to the
    /// configured ones (OAuth 2.0 Form Post Response Mode).
    fn responds_by_form(&self, _more_scopes: &[String]) -> bool {
        false
    }

    /// The allowed values of `auth_type` in an authorization request.
    fn auth_types(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it may issue a refresh token only after asking the person for consent, and the settings let the gateway
    /// request that. The scopes are requested in addition to the configured ones.
    fn refresh_token_takes_consent(&self, _more_scopes: &[String]) -> bool {
        false
    }

    /// The login hint that announces this person, if the provider supports one.
    fn login_hint_of(&self, _identity: &ProviderIdentity) -> Option<LoginHint> {
        None
    }

    /// The URL to send the browser to. It contains the state: must not be logged.
    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError>;

    /// Exchanges a code for tokens and the person's identity (from the id token if there is one, otherwise by a
    /// request).
    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError>;

    /// Whether an access token without a refresh token can be exchanged for the next one while it is valid.
    fn renews_living_tokens(&self) -> bool {
        false
    }

    /// Whether its grants are refreshed before a caller asks for them.
    fn is_refreshed_ahead(&self) -> bool {
        true
    }

    /// Gets the next access token. Returns the provider's response; [`ProviderTokens::refreshed`] merges it with the
    /// old tokens.
    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError>;

    /// Revokes the grant at the provider.
    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError>;

    /// Whether an authorization response with this `iss` may be the provider's (RFC 9207 §2.4). A provider without an
    /// issuer is distinguished by its callback only.
    async fn check_issuer(&self, _iss: Option<&str>) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Verifies a notice, and returns the events and their people.
    async fn verify_notice(&self, _notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        Err(NoticeRefusal::Unsupported)
    }
}
