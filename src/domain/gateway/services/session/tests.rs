use chrono::TimeDelta;

use super::*;
use crate::{
    domain::gateway::{
        models::{
            account::Account,
            token::{Rejection, Verification},
        },
        repositories::{memory::MemoryAccounts, token::TokenRepository},
        services::{
            testing::{Bench, SESSION_LIMITS, bench, policy},
            token::RefreshError,
        },
    },
    ports::testing::CountingEntropy,
};

struct Scene {
    sessions: SessionService,
    accounts: Arc<MemoryAccounts>,
    bench: Bench,
}

impl Scene {
    async fn new() -> Self {
        let bench = bench(policy()).await;
        let accounts = Arc::<MemoryAccounts>::default();
        let parts = SessionParts {
            store: bench.sessions.clone(),
            accounts: accounts.clone(),
            tokens: bench.service.clone(),
            clock: bench.clock.clone(),
            entropy: Arc::new(CountingEntropy::default()),
            limits: SESSION_LIMITS,
        };
        Self { sessions: SessionService::new(parts), accounts, bench }
    }

    async fn signed_in(&self, account: AccountId) -> (SessionSecret, Session) {
        let secret = self.sessions.open(account, Visitor::default()).await.unwrap();
        let session = self.current(&secret).await.unwrap();
        (secret, session)
    }

    async fn current(&self, secret: &SessionSecret) -> Option<Session> {
        self.sessions.current(secret.expose()).await.unwrap()
    }

    async fn tokens(&self, session: &Session) -> IssuedTokens {
        self.sessions.tokens(session).await.unwrap().unwrap()
    }

    fn pass(&self, minutes: i64) {
        self.bench.clock.pass(TimeDelta::minutes(minutes));
    }

    /// The reason why the access token is refused, if it is.
    async fn refusal(&self, tokens: &IssuedTokens) -> Option<Rejection> {
        self.bench.service.authenticate(tokens.access_token.expose()).await.unwrap().err()
    }

    async fn refresh(&self, tokens: &IssuedTokens) -> Result<IssuedTokens, RefreshError> {
        self.bench.service.refresh(tokens.refresh_token.expose()).await
    }

    #[track_caller]
    fn assert_published(&self, families: usize, sessions: &[&Session]) {
        let published = self.bench.recorder.revocations.lock().unwrap();
        assert_eq!(published.len(), families + sessions.len());
        for session in sessions {
            let [id, _] = session.identity().revocable();
            assert!(published.iter().any(|revocation| revocation.id == id));
        }
    }
}

fn account(n: u8) -> AccountId {
    AccountId::from_random([n; 16])
}

#[tokio::test]
async fn a_cookie_represents_its_person_until_it_is_idle_for_too_long() {
    let scene = Scene::new().await;
    let (secret, _) = scene.signed_in(account(9)).await;
    scene.pass(59);
    assert_eq!(scene.current(&secret).await.unwrap().identity().subject, account(9).to_string());
    // The use was recorded.
    scene.pass(59);
    assert!(scene.current(&secret).await.is_some());
    scene.pass(2);
    assert_eq!(scene.current(&secret).await, None);
}

#[tokio::test]
async fn the_data_plane_gets_the_account_of_a_session() {
    let scene = Scene::new().await;
    let new_account = Account { id: account(9), created_at: scene.bench.clock.now() };
    let identity = |provider: &str, email: Option<&str>| ProviderIdentity {
        provider: provider.parse().unwrap(),
        subject: "1".into(),
        verified_email: email.map(str::to_owned),
        name: None,
    };
    scene.accounts.account_of(&identity("facebook", None), &new_account).await.unwrap();
    let (secret, session) = scene.signed_in(account(9)).await;
    assert_eq!(scene.sessions.caller(secret.digest()).await.unwrap(), Some(session.identity()));
    scene.accounts.link(&identity("google", Some("mina@example.com")), &new_account).await.unwrap();
    let caller = scene.sessions.caller(secret.digest()).await.unwrap().unwrap();
    assert_eq!((&*caller.subject, caller.email()), (&*account(9).to_string(), Some("mina@example.com")));
    // A look-up counts as a use.
    scene.pass(59);
    assert!(scene.sessions.caller(secret.digest()).await.unwrap().is_some());
    scene.pass(59);
    assert!(scene.current(&secret).await.is_some());

    // Their tokens agree.
    let session = scene.current(&secret).await.unwrap();
    let tokens = scene.tokens(&session).await;
    let identity = scene.bench.service.authenticate(tokens.access_token.expose()).await.unwrap().unwrap();
    assert_eq!(identity.email(), Some("mina@example.com"));
    let refreshed = scene.refresh(&tokens).await.unwrap();
    let identity = scene.bench.service.authenticate(refreshed.access_token.expose()).await.unwrap().unwrap();
    assert_eq!(identity.email(), Some("mina@example.com"));

    scene.sessions.end(secret.expose()).await.unwrap();
    assert_eq!(scene.sessions.caller(secret.digest()).await.unwrap(), None);
}

#[tokio::test]
async fn an_ended_session_and_an_unknown_cookie_represent_no_account() {
    let scene = Scene::new().await;
    let [(one, _), (other, _)] = [scene.signed_in(account(9)).await, scene.signed_in(account(9)).await];
    for _ in 0..2 {
        scene.sessions.end(one.expose()).await.unwrap();
        assert_eq!(scene.current(&one).await, None);
    }
    assert!(scene.current(&other).await.is_some());
    assert_eq!(scene.sessions.current("").await.unwrap(), None);
    assert_eq!(scene.sessions.current(&"x".repeat(43)).await.unwrap(), None);
}

#[tokio::test]
async fn the_list_shows_browser_and_network_the_last_used_first() {
    let scene = Scene::new().await;
    let visitor = Visitor::of(Some("curl/8"), Some("192.0.2.7".parse().unwrap()));
    let first = scene.sessions.open(account(1), visitor.clone()).await.unwrap();
    scene.pass(1);
    let (_, second) = scene.signed_in(account(1)).await;
    scene.signed_in(account(2)).await;
    scene.pass(1);
    let first = scene.current(&first).await.unwrap();
    assert_eq!(first.visitor, visitor);
    assert_eq!(scene.sessions.list(&second).await.unwrap(), [first.clone(), second]);
    scene.pass(59);
    assert_eq!(scene.sessions.list(&first).await.unwrap(), [first], "the other is over, though not forgotten");
}

#[tokio::test]
async fn the_tokens_of_a_session_are_for_its_person_and_end_with_it() {
    let scene = Scene::new().await;
    let (secret, session) = scene.signed_in(account(1)).await;
    let [one, two] = [scene.tokens(&session).await, scene.tokens(&session).await];
    let Verification::Access(claims) = scene.bench.service.verify(one.access_token.expose()).await.unwrap() else {
        panic!()
    };
    assert_eq!((claims.subject, claims.scope.to_string()), (account(1).to_string(), String::new()));
    assert_eq!(claims.audience, [policy().audience]);
    let refreshed = scene.refresh(&two).await.unwrap();

    let (_, other) = scene.signed_in(account(1)).await;
    let others = scene.tokens(&other).await;
    scene.sessions.end(secret.expose()).await.unwrap();
    scene.assert_published(2, &[&session]);
    for tokens in [&one, &two, &refreshed] {
        assert_eq!(scene.refusal(tokens).await, Some(Rejection::Revoked));
        assert!(matches!(scene.refresh(tokens).await, Err(RefreshError::Revoked)));
    }
    assert_eq!(scene.refusal(&others).await, None);
    scene.refresh(&others).await.unwrap();
}

#[tokio::test]
async fn no_token_outlives_its_session() {
    let scene = Scene::new().await;
    let (secret, session) = scene.signed_in(account(1)).await;
    let first = scene.tokens(&session).await;
    assert_eq!((first.access_ttl, first.refresh_ttl), (policy().access_ttl, SESSION_LIMITS.idle));

    // Ten minutes before its total limit.
    scene.pass(55);
    scene.current(&secret).await.unwrap();
    scene.pass(55);
    let session = scene.current(&secret).await.unwrap();
    let last = scene.tokens(&session).await;
    assert_eq!(last.refresh_ttl, TimeDelta::minutes(10));
    assert!(
        matches!(scene.refresh(&first).await, Err(RefreshError::Expired)),
        "it lay idle for as long as sessions may"
    );
    let refreshed = scene.refresh(&last).await.unwrap();
    scene.bench.clock.pass(TimeDelta::minutes(10) - TimeDelta::microseconds(1));
    assert_eq!(scene.refusal(&last).await, None);
    scene.bench.clock.pass(TimeDelta::microseconds(1));
    assert_eq!(scene.current(&secret).await, None);
    for tokens in [&refreshed, &last] {
        assert!(scene.refusal(tokens).await.is_some(), "leeway is in it already");
        assert!(matches!(scene.refresh(tokens).await, Err(RefreshError::Expired | RefreshError::Reused)));
    }
}

#[tokio::test]
async fn refreshing_its_tokens_uses_a_session() {
    let scene = Scene::new().await;
    let (secret, session) = scene.signed_in(account(1)).await;
    let tokens = scene.tokens(&session).await;
    scene.pass(40);
    let tokens = scene.refresh(&tokens).await.unwrap();
    assert_eq!(tokens.refresh_ttl, SESSION_LIMITS.idle);
    scene.pass(40);
    assert!(scene.current(&secret).await.is_some());
    assert_eq!(scene.refusal(&tokens).await, Some(Rejection::Expired), "an access token lives for less");
}

#[tokio::test]
async fn a_revoked_token_does_not_extend_the_session() {
    let scene = Scene::new().await;
    let (secret, session) = scene.signed_in(account(1)).await;
    let tokens = scene.tokens(&session).await;
    scene.bench.service.revoke(tokens.refresh_token.expose()).await.unwrap();
    scene.pass(40);
    assert!(matches!(scene.refresh(&tokens).await, Err(RefreshError::Revoked)));
    scene.pass(30);
    assert_eq!(scene.current(&secret).await, None);
}

/// As if the session store was emptied, or sessions were ended without the gateway.
#[tokio::test]
async fn tokens_of_a_missing_session_are_revoked_at_their_first_refresh() {
    let scene = Scene::new().await;
    let (_, session) = scene.signed_in(account(1)).await;
    let tokens = scene.tokens(&session).await;
    scene.bench.sessions.end(&session.digest).await.unwrap();
    assert!(matches!(scene.refresh(&tokens).await, Err(RefreshError::Revoked)));
    assert_eq!(scene.refusal(&tokens).await, Some(Rejection::Revoked));
}

#[tokio::test]
async fn tokens_requested_while_the_session_was_ended_are_revoked() {
    let scene = Scene::new().await;
    let (secret, session) = scene.signed_in(account(1)).await;
    scene.sessions.end(secret.expose()).await.unwrap();
    assert!(scene.sessions.tokens(&session).await.unwrap().is_none());
    scene.assert_published(1, &[&session]);
    assert!(scene.bench.store.revoke_families_of_sessions(&[session.id], session.created_at).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_person_ends_their_own_sessions_only() {
    let scene = Scene::new().await;
    let [(mine, session), (hers, other)] = [scene.signed_in(account(1)).await, scene.signed_in(account(2)).await];
    let tokens = scene.tokens(&session).await;
    assert!(!scene.sessions.end_one_of(account(1), other.id).await.unwrap());
    assert!(!scene.sessions.end_one_of(account(1), SessionId::from_random([7; 16])).await.unwrap());
    assert!(scene.current(&hers).await.is_some());
    assert!(scene.sessions.end_one_of(account(1), session.id).await.unwrap());
    assert!(!scene.sessions.end_one_of(account(1), session.id).await.unwrap(), "once");
    assert_eq!(scene.current(&mine).await, None);
    assert_eq!(scene.refusal(&tokens).await, Some(Rejection::Revoked));
    scene.pass(61);
    assert!(!scene.sessions.end_one_of(account(2), other.id).await.unwrap(), "it is over");
}

#[tokio::test]
async fn all_but_one_are_ended() {
    let scene = Scene::new().await;
    let (kept, session) = scene.signed_in(account(1)).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        let (secret, session) = scene.signed_in(account(1)).await;
        others.push((secret, scene.tokens(&session).await));
    }
    let (hers, _) = scene.signed_in(account(2)).await;
    let tokens = scene.tokens(&session).await;
    assert_eq!(scene.sessions.end_all_of(account(1), Some(session.id)).await.unwrap(), 3);
    assert_eq!(scene.sessions.end_all_of(account(1), Some(session.id)).await.unwrap(), 0);
    for (secret, tokens) in &others {
        assert_eq!(scene.current(secret).await, None);
        assert_eq!(scene.refusal(tokens).await, Some(Rejection::Revoked));
    }
    assert!(scene.current(&kept).await.is_some() && scene.current(&hers).await.is_some());
    assert_eq!(scene.refusal(&tokens).await, None);
    assert_eq!(scene.sessions.end_all_of(account(1), None).await.unwrap(), 1);
    assert_eq!(scene.refusal(&tokens).await, Some(Rejection::Revoked));
}

/// As if the session store was restored from a copy made before they were ended.
#[tokio::test]
async fn an_ended_session_that_comes_back_stays_ended() {
    let scene = Scene::new().await;
    let [(mine, session), (other, second)] = [scene.signed_in(account(1)).await, scene.signed_in(account(1)).await];
    let tokens = scene.tokens(&session).await;
    scene.sessions.end(mine.expose()).await.unwrap();
    scene.bench.sessions.open(&session).await.unwrap();
    assert_eq!(scene.current(&mine).await, None);
    assert_eq!(scene.sessions.caller(mine.digest()).await.unwrap(), None);
    assert_eq!(scene.sessions.list(&second).await.unwrap(), [scene.current(&other).await.unwrap()]);
    assert!(scene.sessions.tokens(&session).await.unwrap().is_none());
    assert!(!scene.sessions.end_one_of(account(1), session.id).await.unwrap());
    assert!(matches!(scene.refresh(&tokens).await, Err(RefreshError::Revoked)));
    // Sessions that are ended together, too.
    scene.sessions.end_all_of(account(1), None).await.unwrap();
    scene.bench.sessions.open(&second).await.unwrap();
    assert_eq!(scene.current(&other).await, None);
    // Signing out once more removes it.
    scene.sessions.end(other.expose()).await.unwrap();
    assert_eq!(scene.bench.sessions.find(&other.digest()).await.unwrap(), None);
}

#[tokio::test]
async fn an_interrupted_ending_of_a_session_is_finished() {
    let scene = Scene::new().await;
    let (secret, session) = scene.signed_in(account(1)).await;
    let tokens = scene.tokens(&session).await;
    // The first step only: the gateway was killed after it.
    scene.bench.service.refuse(std::slice::from_ref(&session)).await.unwrap();
    assert_eq!(scene.current(&secret).await, None);
    assert_eq!(scene.refusal(&tokens).await, None);
    scene.bench.service.finish_endings().await.unwrap();
    assert_eq!(scene.refusal(&tokens).await, Some(Rejection::Revoked));
    scene.assert_published(1, &[&session]);
}

#[tokio::test]
async fn of_many_sessions_the_least_recently_used_end() {
    let scene = Scene::new().await;
    let (first, session) = scene.signed_in(account(1)).await;
    let tokens = scene.tokens(&session).await;
    let (hers, _) = scene.signed_in(account(2)).await;
    let mut others = Vec::new();
    for _ in 0..100 {
        scene.bench.clock.pass(TimeDelta::seconds(1));
        others.push(scene.signed_in(account(1)).await.0);
    }
    assert_eq!(scene.current(&first).await, None);
    assert_eq!(scene.refusal(&tokens).await, Some(Rejection::Revoked));
    for secret in others.iter().chain([&hers]) {
        assert!(scene.current(secret).await.is_some());
    }
}

#[tokio::test]
async fn of_many_tokens_of_a_session_the_oldest_end() {
    let scene = Scene::new().await;
    let (_, session) = scene.signed_in(account(1)).await;
    let mut all = Vec::new();
    for _ in 0..51 {
        scene.bench.clock.pass(TimeDelta::seconds(1));
        all.push(scene.tokens(&session).await);
    }
    assert_eq!(scene.refusal(&all[0]).await, Some(Rejection::Revoked));
    scene.assert_published(1, &[]);
    for tokens in &all[1..] {
        assert_eq!(scene.refusal(tokens).await, None);
    }
}
