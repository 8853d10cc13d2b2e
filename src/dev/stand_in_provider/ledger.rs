//! The provider's state: codes, grants, and the tokens of each grant. Without HTTP, and without a clock.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::{
    people::Person,
    wire::{ErrorCode, Refusal, Scope},
};
use crate::ports::Entropy;

/// The lifetime of a code (RFC 6749 §4.1.2).
const CODE_LIFE: TimeDelta = TimeDelta::minutes(10);

/// An authorization by a person, with the parameters of its request.
pub(super) struct Authorization {
    pub(super) person: Person,
    pub(super) scope: Scope,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: Option<String>,
    pub(super) nonce: Option<String>,
    /// Whether the person was asked for their consent.
    pub(super) consent: bool,
}

/// The result of an exchange or a refresh.
pub(super) struct Issued {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) scope: Scope,
    pub(super) person: Person,
    pub(super) signed_in_at: DateTime<Utc>,
    /// For the id token of the exchange alone (OIDC Core §12.2).
    pub(super) nonce: Option<String>,
}

/// The parameters of an exchange.
pub(super) struct Redemption<'r> {
    pub(super) code: &'r str,
    pub(super) redirect_uri: &'r str,
    pub(super) code_verifier: Option<&'r str>,
    /// Whether a refresh token requires the person's consent.
    pub(super) takes_consent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct GrantId(u64);

/// A grant. Deleting it ends every token that refers to it.
struct Grant {
    person: Person,
    scope: Scope,
    signed_in_at: DateTime<Utc>,
}

enum Code {
    Fresh { authorization: Authorization, signed_in_at: DateTime<Utc> },
    Spent { gave: Option<GrantId> },
}

struct AccessToken {
    grant: GrantId,
    scope: Scope,
    expires_at: DateTime<Utc>,
}

struct RefreshToken {
    grant: GrantId,
    spent: bool,
}

/// Codes, grants and tokens. Tokens are stored in clear: all of them end with the process.
pub(super) struct Ledger {
    entropy: Arc<dyn Entropy>,
    last_grant: u64,
    codes: HashMap<String, Code>,
    grants: HashMap<GrantId, Grant>,
    access_tokens: HashMap<String, AccessToken>,
    refresh_tokens: HashMap<String, RefreshToken>,
}

impl Ledger {
    pub(super) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self {
            entropy,
            last_grant: 0,
            codes: HashMap::new(),
            grants: HashMap::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
        }
    }

    /// Issues the code for an authorization.
    pub(super) fn authorize(&mut self, now: DateTime<Utc>, authorization: Authorization) -> String {
        self.forget(now);
        let code = self.text();
        self.codes.insert(code.clone(), Code::Fresh { authorization, signed_in_at: now });
        code
    }

    /// Exchanges a code. The first attempt uses it up, even one that is refused: a request with this code and another
    /// wrong parameter does not come from the client that got it. A second attempt revokes the grant of the first one
    /// (RFC 6749 §4.1.2).
    pub(super) fn redeem(
        &mut self,
        now: DateTime<Utc>,
        life: TimeDelta,
        redemption: &Redemption<'_>,
    ) -> Result<Issued, Refusal> {
        let no_good = || Refusal::invalid_grant("the code is unknown, expired or was used before");
        let code = self.codes.get_mut(redemption.code).ok_or_else(no_good)?;
        let (authorization, signed_in_at) = match std::mem::replace(code, Code::Spent { gave: None }) {
            Code::Fresh { authorization, signed_in_at } => (authorization, signed_in_at),
            Code::Spent { gave } => {
                gave.and_then(|grant| self.grants.remove(&grant));
                return Err(no_good());
            }
        };
        if now >= signed_in_at + CODE_LIFE {
            return Err(no_good());
        }
        if authorization.redirect_uri != redemption.redirect_uri {
            return Err(Refusal::invalid_grant("the code went to another redirect_uri"));
        }
        prove_key(authorization.code_challenge.as_deref(), redemption.code_verifier)?;

        self.last_grant += 1;
        let id = GrantId(self.last_grant);
        self.codes.insert(redemption.code.to_owned(), Code::Spent { gave: Some(id) });
        let Authorization { person, scope, nonce, consent, .. } = authorization;
        self.grants.insert(id, Grant { person: person.clone(), scope: scope.clone(), signed_in_at });
        let access_token = self.access_token(now, life, id, &scope);
        let refresh_token = (consent || !redemption.takes_consent).then(|| self.refresh_token(id));
        Ok(Issued { access_token, refresh_token, scope, person, signed_in_at, nonce })
    }

    /// Issues the next access token, with at most the granted scope. Reuse of a rotated refresh token ends the grant
    /// (RFC 9700 §4.14.2).
    pub(super) fn refresh(
        &mut self,
        now: DateTime<Utc>,
        life: TimeDelta,
        rotate: bool,
        presented: &str,
        scope: Option<Scope>,
    ) -> Result<Issued, Refusal> {
        let no_good = || Refusal::invalid_grant("the refresh token is unknown, revoked or was used before");
        let token = self.refresh_tokens.get_mut(presented).ok_or_else(no_good)?;
        let id = token.grant;
        if token.spent {
            self.grants.remove(&id);
            return Err(no_good());
        }
        let grant = self.grants.get(&id).ok_or_else(no_good)?;
        let (person, signed_in_at) = (grant.person.clone(), grant.signed_in_at);
        let scope = match scope {
            Some(scope) if scope.is_within(&grant.scope) => scope,
            Some(_) => return Err(Refusal::new(ErrorCode::InvalidScope, "that is more than was allowed")),
            None => grant.scope.clone(),
        };
        token.spent = rotate;
        let access_token = self.access_token(now, life, id, &scope);
        let refresh_token = rotate.then(|| self.refresh_token(id));
        Ok(Issued { access_token, refresh_token, scope, person, signed_in_at, nonce: None })
    }

    /// Ends an access token, or the whole grant of a refresh token; an unknown text has no effect (RFC 7009 §2.1,
    /// §2.2).
    pub(super) fn revoke(&mut self, token: &str) {
        self.access_tokens.remove(token);
        if let Some(refresh_token) = self.refresh_tokens.get(token) {
            self.grants.remove(&refresh_token.grant);
        }
    }

    /// Ends the whole grant of an access token.
    pub(super) fn end_grant_of(&mut self, access_token: &str) {
        if let Some(token) = self.access_tokens.get(access_token) {
            self.grants.remove(&token.grant);
        }
    }

    /// The person and the scope of an access token.
    pub(super) fn bearer(&self, now: DateTime<Utc>, access_token: &str) -> Option<(&Person, &Scope)> {
        let token = self.access_tokens.get(access_token).filter(|token| now < token.expires_at)?;
        let grant = self.grants.get(&token.grant)?;
        Some((&grant.person, &token.scope))
    }

    fn access_token(&mut self, now: DateTime<Utc>, life: TimeDelta, grant: GrantId, scope: &Scope) -> String {
        self.forget(now);
        let text = self.text();
        self.access_tokens.insert(text.clone(), AccessToken { grant, scope: scope.clone(), expires_at: now + life });
        text
    }

    fn refresh_token(&mut self, grant: GrantId) -> String {
        let text = self.text();
        self.refresh_tokens.insert(text.clone(), RefreshToken { grant, spent: false });
        text
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.entropy.bytes::<32>())
    }

    /// Drops expired entries. A used code stays as long as its grant.
    fn forget(&mut self, now: DateTime<Utc>) {
        let grants = &self.grants;
        self.codes.retain(|_, code| match code {
            Code::Fresh { signed_in_at, .. } => now < *signed_in_at + CODE_LIFE,
            Code::Spent { gave } => gave.is_some_and(|grant| grants.contains_key(&grant)),
        });
        self.access_tokens.retain(|_, token| now < token.expires_at && grants.contains_key(&token.grant));
        self.refresh_tokens.retain(|_, token| grants.contains_key(&token.grant));
    }
}

/// PKCE with S256, both ways: a verifier without a challenge is as wrong as a challenge without a verifier (RFC 9700
/// §4.8).
fn prove_key(challenge: Option<&str>, verifier: Option<&str>) -> Result<(), Refusal> {
    match (challenge, verifier) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(Refusal::invalid_grant("code_verifier is missing")),
        (None, Some(_)) => Err(Refusal::invalid_grant("there was no code_challenge for this code_verifier")),
        (Some(challenge), Some(verifier)) => {
            let fits = is_verifier(verifier) && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge;
            fits.then_some(()).ok_or_else(|| Refusal::invalid_grant("code_verifier does not fit"))
        }
    }
}

/// RFC 7636 §4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}
