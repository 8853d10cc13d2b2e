//! Issuing tokens.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{CreateError, Failure, TokenService, clients::may_issue};
use crate::domain::gateway::models::{
    token::{
        AccessClaims, AccessToken, DummyText, DummyToken, IssuedDummy, IssuedTokens, MAX_FAMILIES, NewRefreshToken,
        RefreshToken, TokenFamily, TokenRequest,
    },
    values::{
        id::{AccountId, FamilyId, TokenId},
        identity::{Identity, email_claim},
        scope::Scope,
    },
};

/// `client_id` of tokens that were requested at the gateway's own API, not by a registered client.
const OWN_CLIENT_ID: &str = "gateway";

/// The default `sub` of a token that is requested without a caller.
const DEFAULT_SUBJECT: &str = "developer";

/// `sub` of a dummy token.
const DUMMY_SUBJECT: &str = "dummy";

impl TokenService {
    /// Creates a new family: an access token and the refresh token that renews it. A machine client that calls gets
    /// tokens of its own.
    pub async fn create(&self, request: TokenRequest, caller: Option<Identity>) -> Result<IssuedTokens, CreateError> {
        let policy = &self.parts.policy;
        let permit = policy.creation.authorise(caller.map(Arc::new), None).map_err(CreateError::Denied)?;
        let access_ttl = request.access_ttl.unwrap_or(policy.access_ttl);
        if access_ttl > policy.access_ttl_max {
            return Err(CreateError::LifeTooLong { longest: policy.access_ttl_max });
        }
        // The tokens that a machine client asks for are issued to it; others are valid for any holder.
        let client = permit.identity().and_then(Identity::client);
        if !may_issue(permit.identity(), client, &policy.creation, &request.scope) {
            return Err(CreateError::ScopeExceeded(request.scope));
        }
        let own_subject = permit.identity().map(|caller| caller.subject.clone());
        let now = self.parts.clock.now();
        let family = TokenFamily {
            subject: request.subject.or(own_subject).unwrap_or_else(|| DEFAULT_SUBJECT.to_owned()),
            scope: request.scope,
            audience: vec![request.audience.unwrap_or_else(|| policy.audience.clone())],
            claims: request.claims,
            access_ttl,
            client_id: client.map_or_else(|| OWN_CLIENT_ID.to_owned(), |client| client.to_string()),
            ..self.blank_family(now)
        };
        let refresh_token = self.open(&family, None, now).await?;
        // Removing a client revokes all its families. One that was opened during that search is ended here: either the
        // search has found it, or this check finds what the search did before.
        if let (Some(_), Some(caller)) = (client, permit.identity())
            && self.parts.store.is_any_revoked(&caller.revocable()).await.map_err(Failure::from)?
        {
            self.revoke_family(family.id).await?;
            return Err(CreateError::Revoked);
        }
        Ok(self.issue_pair(&family, refresh_token, None, now)?)
    }

    /// Issues tokens for a person who has just signed in: without a scope, the account as the subject.
    pub async fn sign_in(&self, account: AccountId, verified_email: Option<&str>) -> Result<IssuedTokens, Failure> {
        let now = self.parts.clock.now();
        let family =
            TokenFamily { subject: account.to_string(), claims: email_claim(verified_email), ..self.blank_family(now) };
        let refresh_token = self.open_among(&family, None, now).await?;
        self.issue_pair(&family, refresh_token, None, now)
    }

    /// Registers any text as a token of the test identity, and shows it on the console.
    pub async fn register_dummy(&self, typed: &DummyText) -> Result<IssuedDummy, Failure> {
        let now = self.parts.clock.now();
        let family = TokenFamily { subject: DUMMY_SUBJECT.to_owned(), ..self.blank_family(now) };
        let refresh_token = self.open(&family, None, now).await?;
        let dummy = DummyToken {
            id: TokenId::from_random(self.parts.entropy.bytes()),
            digest: typed.digest(),
            family: family.id,
            subject: family.subject,
            scope: family.scope,
            created_at: now,
            expires_at: now + family.access_ttl,
        };
        self.parts.store.put_dummy(&dummy).await?;
        self.parts.console.show(typed);
        Ok(IssuedDummy { dummy, refresh_token })
    }

    /// A family with default values, as of `now`.
    pub(super) fn blank_family(&self, now: DateTime<Utc>) -> TokenFamily {
        TokenFamily {
            id: FamilyId::from_random(self.parts.entropy.bytes()),
            client_id: OWN_CLIENT_ID.to_owned(),
            subject: String::new(),
            scope: Scope::default(),
            audience: vec![self.parts.policy.audience.clone()],
            claims: serde_json::Map::new(),
            access_ttl: self.parts.policy.access_ttl,
            created_at: now,
            access_expires_at: now,
            revoked_at: None,
            session: None,
        }
    }

    /// Stores a family with its first refresh token, which expires no later than `until`.
    pub(super) async fn open(
        &self,
        family: &TokenFamily,
        not_after: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<RefreshToken, Failure> {
        let (refresh_token, first) = self.first_of_family(not_after, now);
        self.parts.store.open_family(&family.clone().with_access_token_issued(now), &first).await?;
        Ok(refresh_token)
    }

    /// The same for a family that a person may open any number of times: the oldest of them end.
    pub(super) async fn open_among(
        &self,
        family: &TokenFamily,
        not_after: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<RefreshToken, Failure> {
        let (refresh_token, first) = self.first_of_family(not_after, now);
        let family = family.clone().with_access_token_issued(now);
        let ended = self.parts.store.open_family_among(&family, &first, MAX_FAMILIES).await?;
        self.parts.publisher.publish_revocations(&ended);
        Ok(refresh_token)
    }

    fn first_of_family(&self, not_after: Option<DateTime<Utc>>, now: DateTime<Utc>) -> (RefreshToken, NewRefreshToken) {
        let refresh_token = RefreshToken::from_random(self.parts.entropy.bytes());
        let first = NewRefreshToken {
            digest: refresh_token.digest(),
            issued_at: now,
            expires_at: self.refresh_expiry(not_after, now),
        };
        (refresh_token, first)
    }

    /// When a refresh token that is issued now expires.
    pub(super) fn refresh_expiry(&self, not_after: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
        let usual = now + self.parts.policy.refresh_ttl.min(self.parts.policy.family_ttl);
        not_after.map_or(usual, |not_after| usual.min(not_after))
    }

    /// Signs an access token of `family` and returns it with the refresh token. The access token is not accepted after
    /// `until`, leeway included.
    pub(super) fn issue_pair(
        &self,
        family: &TokenFamily,
        refresh_token: RefreshToken,
        not_after: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<IssuedTokens, Failure> {
        let expires_at = family.access_expiry(not_after, now);
        Ok(IssuedTokens {
            access_token: self.sign(family, expires_at, now)?,
            access_ttl: expires_at - now,
            refresh_token,
            refresh_ttl: self.refresh_expiry(not_after, now) - now,
            scope: family.scope.clone(),
            created_at: now,
        })
    }

    /// Signs an access token of `family`.
    pub(super) fn sign(
        &self,
        family: &TokenFamily,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<AccessToken, Failure> {
        let claims = AccessClaims {
            issuer: self.parts.policy.issuer.clone(),
            subject: family.subject.clone(),
            audience: family.audience.clone(),
            client_id: family.client_id.clone(),
            scope: family.scope.clone(),
            token_id: TokenId::from_random(self.parts.entropy.bytes()),
            family: family.id,
            issued_at: now,
            not_before: None,
            expires_at,
            extra: family.claims.clone(),
        };
        Ok(AccessToken::new(self.parts.keys.sign(&claims)?))
    }
}
