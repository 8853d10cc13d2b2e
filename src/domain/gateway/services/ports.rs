//! What the services need from outside the domain, besides the store, the time and randomness.

mod client;
mod notice;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use thiserror::Error;

pub use self::{
    client::{AssertionError, ClientKeyError, ClientKeys, KeyFlaw},
    notice::{
        Acknowledgement, NoticeBody, NoticeEvent, NoticeRefusal, Unacknowledged, UnverifiedNotice, VerifiedNotice,
    },
};
use crate::domain::gateway::models::{
    account::{Password, PasswordHash, ProviderIdentity},
    assertion::CallerAssertion,
    id::AccountId,
    login::LoginHint,
    oauth::{ProviderName, ProviderTokens, Secret},
    signing_key::{SigningAlgorithm, SigningKey},
    token::{AccessClaims, DummyText, RefreshToken, Revocation, SignatureVerifier, TokenDigest},
};

/// A private key in clear, on its way to being sealed. It does not print.
pub struct PrivateKey(pub Vec<u8>);

/// A key pair that was just made.
pub struct KeyPair {
    /// Names it: the RFC 7638 thumbprint of the public half, or a digest for HS256.
    pub kid: String,
    /// The private half.
    pub private_key: PrivateKey,
    /// The public half as a JWK with `kid`, `alg` and `use`; none for HS256.
    pub public_jwk: Option<Value>,
}

/// Why a key could not be made or used. The text is for the log.
#[derive(Debug, Error)]
#[error("a signing key cannot be used: {0}")]
pub struct KeyError(pub String);

/// Makes key pairs and loads them.
pub trait Keysmith: Send + Sync {
    /// Makes a key pair.
    fn generate(&self, algorithm: SigningAlgorithm) -> Result<KeyPair, KeyError>;

    /// Loads keys, each with its private half opened.
    fn load(&self, keys: &[(SigningKey, PrivateKey)]) -> Result<Arc<dyn KeyRing>, KeyError>;
}

/// Loaded keys: verifies with any of them, signs with the one that is named.
pub trait KeyRing: SignatureVerifier {
    /// Signs an access token with the key `kid`.
    fn sign(&self, kid: &str, claims: &AccessClaims) -> Result<String, KeyError>;

    /// Signs an assertion with the key `kid`. Nobody takes it for an access token: its type is another.
    fn sign_assertion(&self, kid: &str, assertion: &CallerAssertion) -> Result<String, KeyError>;
}

/// Why something sealed could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Sealed with a key that is not in `VAULT_KEY`.
    #[error("it was sealed with a key that VAULT_KEY does not hold")]
    UnknownKey,
    /// Changed since, or sealed for something else.
    #[error("it is damaged or was sealed for something else")]
    Damaged,
}

/// Seals secrets for the store, and opens them again.
pub trait Sealer: Send + Sync {
    /// Seals `secret` for one purpose: it opens only under the same `context`.
    fn seal(&self, context: &str, secret: &[u8]) -> Vec<u8>;

    /// Opens what was sealed.
    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError>;

    /// The same secret sealed with the key that seals now; `None` if it is that already. What cannot be opened is an error
    /// in any case.
    fn reseal(&self, context: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, OpenError>;
}

/// Derives the successor of a refresh token from the token itself and a secret of ours. So a replay within the grace
/// period gets the same successor on every replica, though no store ever holds one.
pub trait SuccessorDerivation: Send + Sync {
    /// The successor to store.
    fn successor(&self, presented: &RefreshToken) -> RefreshToken;

    /// Every successor that a replica with another order of keys may have stored.
    fn candidates(&self, presented: &RefreshToken) -> Vec<RefreshToken>;

    /// What may have become of a token in at most so many `generations`: the digests of its successors, and of theirs, under
    /// each key or under an older key and then a newer one.
    fn descendants(&self, presented: &RefreshToken, generations: usize) -> Vec<TokenDigest>;
}

/// Carries changes to the data plane, where they are in force when the call returns.
pub trait TokenStatePublisher: Send + Sync {
    /// These keys are good from now on, and no others.
    fn publish_keys(&self, keys: Arc<dyn KeyRing>);

    /// These are revoked from now on.
    fn publish_revocations(&self, revocations: &[Revocation]);
}

/// Tells the data plane that what it knows of a person's grants is out of date. It holds when the call returns.
pub trait GrantStatePublisher: Send + Sync {
    /// A grant of this account was made, refreshed, ended or forgotten.
    fn publish_grant_change(&self, account: AccountId, now: DateTime<Utc>);
}

/// What verifying a password comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// It is the one.
    Right {
        /// Whether it would be hashed otherwise today.
        outdated: bool,
    },
    /// It is not, or there is none.
    Wrong,
}

/// Why a password was not hashed. The texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HashingError {
    /// Too many are waiting for the same.
    #[error("too many passwords are being hashed")]
    Overloaded,
    /// What is stored is no hash, or hashing failed.
    #[error("a password cannot be hashed: {0}")]
    Broken(String),
}

/// Hashes passwords, slowly and on purpose: where it can delay nothing but other passwords.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a password for the store, each time with another salt.
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingError>;

    /// Whether a password is the one that was hashed. Without a hash it is wrong, and costs the same.
    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<Verified, HashingError>;
}

/// Shows a dummy token to whoever watches the console (development only).
pub trait DummyConsole: Send + Sync {
    /// Shows what was typed.
    fn show(&self, typed: &DummyText);
}

/// Why a provider did not do what was asked of it. Error codes are registered ones of OAuth or the provider's own, cleaned for
/// the log and the caller: printable ASCII of at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// The code, the refresh token or the access token is no longer valid, or never was. Only the person can mend that, by
    /// signing in again.
    #[error("the provider says that the grant is not valid: {code}")]
    InvalidGrant {
        /// The error code.
        code: String,
    },
    /// The provider does not accept our client id, its secret, or the app's settings. The operator can mend that; nothing is
    /// wrong with the grant.
    #[error("the provider does not accept our client: {code}")]
    Misconfigured {
        /// The error code.
        code: String,
    },
    /// The provider says no for a reason that is not known to be one of the others.
    #[error("the provider refuses: {code}")]
    Refused {
        /// The error code.
        code: String,
    },
    /// The provider cannot be reached, is too slow, or fails (5xx): worth another try later.
    #[error("the provider is unavailable: {0}")]
    Unavailable(String),
    /// The provider wants to be asked less (429): worth another try later.
    #[error("the provider wants to be asked less: {0}")]
    Throttled(String),
    /// What the provider answered makes no sense, or an id token does not hold what it must. The text is for the log.
    #[error("the provider's answer is not usable: {0}")]
    BadAnswer(String),
    /// The id token holds another nonce than was expected, or none: the code belongs to another authorization request.
    #[error("the id token holds another nonce")]
    NonceMismatch,
    /// No id token came though one has to. The operator can mend that, or the front end that asked for the code without the scope `openid`.
    #[error("the provider gave no id token: {remedy}")]
    NoIdToken {
        /// What the operator can do.
        remedy: &'static str,
    },
    /// The provider knows the person, and the settings do not let them in.
    #[error("the person may not sign in here: {}", .0.code())]
    NotAdmitted(AdmissionRule),
    /// The provider has no such operation (GitHub OAuth apps cannot refresh, for instance).
    #[error("the provider has no such operation")]
    Unsupported,
}

/// A setting that says who may sign in at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionRule {
    /// The people of one domain of Google Workspace.
    HostedDomain,
    /// The people of some tenants of Entra.
    Tenant,
    /// The members of some groups of Entra.
    Group,
    /// The same, and the id token does not name the person's groups: there are too many.
    GroupsElsewhere,
}

impl AdmissionRule {
    /// Names it in an answer.
    pub fn code(self) -> &'static str {
        match self {
            Self::HostedDomain => "hosted_domain_required",
            Self::Tenant => "tenant_not_allowed",
            Self::Group => "group_required",
            Self::GroupsElsewhere => "too_many_groups",
        }
    }
}

/// What is needed to send a browser to a provider.
#[derive(Debug, Clone)]
pub struct AuthorizationRequest {
    /// Where the provider sends the browser back to.
    pub redirect_uri: String,
    /// One per attempt.
    pub state: Secret,
    /// PKCE (RFC 7636): the verifier; its S256 challenge is what is sent. For a provider that
    /// [uses PKCE](Provider::uses_pkce).
    pub code_verifier: Option<Secret>,
    /// What an id token must hold later. Only providers that have id tokens are told.
    pub nonce: Option<Secret>,
    /// The scopes to ask for besides those that are set.
    pub more_scopes: Vec<String>,
    /// Whether the person is to be asked for their consent though the provider need not.
    pub consent: bool,
    /// Who is likely to sign in. Only providers that know such a parameter are told.
    pub login_hint: Option<LoginHint>,
    /// What the provider is to do anew: one of its [types](Provider::auth_types).
    pub auth_type: Option<&'static str>,
}

/// What is needed to exchange an authorization code.
#[derive(Debug, Clone)]
pub struct CodeExchange {
    /// The code.
    pub code: Secret,
    /// The redirect URI that the code was sent to.
    pub redirect_uri: String,
    /// PKCE (RFC 7636).
    pub code_verifier: Option<Secret>,
    /// The nonce that an id token must hold, if one was sent along.
    pub nonce: Option<Secret>,
    /// The state of the attempt; Naver wants it here too.
    pub state: Secret,
    /// The person's name, if it came along with the code (Apple, the first time). Nobody signed it: it is there to be shown.
    pub name: Option<String>,
}

/// A provider where people sign in and whose tokens we keep. One implementation per family of quirks.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Its name.
    fn name(&self) -> &ProviderName;

    /// Its name for people, such as `Google`.
    fn display_name(&self) -> &str;

    /// Whether a code verifier is to be made for its authorization requests.
    fn uses_pkce(&self) -> bool;

    /// Whether its id tokens hold the nonce of the authorization request.
    fn uses_nonce(&self) -> bool {
        false
    }

    /// Whether the browser comes back with a form instead of a query, if these scopes are asked for besides those that are set
    /// (OAuth 2.0 Form Post Response Mode).
    fn answers_by_form(&self, _more_scopes: &[String]) -> bool {
        false
    }

    /// What `auth_type` of an authorization request may be.
    fn auth_types(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it may give a refresh token only to a person who was asked for their consent, and the settings let the gateway ask
    /// for that. These scopes are asked for besides those that are set.
    fn refresh_token_takes_consent(&self, _more_scopes: &[String]) -> bool {
        false
    }

    /// How it is told that this is who will come back, if it can be.
    fn login_hint_of(&self, _identity: &ProviderIdentity) -> Option<LoginHint> {
        None
    }

    /// The URL to send the browser to. It holds the state: not for a log.
    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError>;

    /// Exchanges a code for tokens and says who the person is (from the id token where there is one, else by asking).
    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError>;

    /// Whether an access token that has no refresh token beside it can be exchanged for the next one, as long as it is good.
    fn renews_living_tokens(&self) -> bool {
        false
    }

    /// Whether its grants are refreshed though nobody asks for them.
    fn is_refreshed_ahead(&self) -> bool {
        true
    }

    /// Gets the next access token. Gives what the provider answered; [`ProviderTokens::refreshed`] puts it together.
    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError>;

    /// Takes the grant back at the provider.
    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError>;

    /// Whether an authorization response with this `iss` may be the provider's (RFC 9207 §2.4). A provider without an issuer
    /// is told apart by its callback alone.
    async fn check_issuer(&self, _iss: Option<&str>) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Verifies a notice, and says what happened to whom.
    async fn verify_notice(&self, _notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        Err(NoticeRefusal::Unsupported)
    }
}
