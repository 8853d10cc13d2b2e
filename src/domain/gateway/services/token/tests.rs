use chrono::TimeDelta;

use super::*;
use crate::domain::gateway::{
    models::{
        token::{DummyText, MAX_DUMMY_TEXT_BYTES, Rejection, Revocable, RevocationCursor, TokenRequest},
        values::{id::TokenId, identity::Identity},
    },
    services::testing::{Bench, bench, policy},
};

fn request(subject: &str, scope: &str) -> TokenRequest {
    TokenRequest { subject: Some(subject.into()), scope: scope.parse().unwrap(), ..TokenRequest::default() }
}

async fn create(bench: &Bench) -> IssuedTokens {
    bench.service.create(request("alice", "read"), None).await.unwrap()
}

async fn rejection(bench: &Bench, token: &str) -> Option<Rejection> {
    match bench.service.verify(token).await.unwrap() {
        Verification::Inactive(reason) => Some(reason),
        Verification::Access(_) | Verification::Refresh { .. } | Verification::Dummy(_) => None,
    }
}

#[tokio::test]
async fn a_created_token_has_the_requested_contents() {
    let bench = bench(policy()).await;
    let asked = TokenRequest {
        claims: serde_json::json!({"team": "blue"}).as_object().unwrap().clone(),
        access_ttl: Some(TimeDelta::seconds(60)),
        ..request("alice", "read write")
    };
    let tokens = bench.service.create(asked.clone(), None).await.unwrap();
    let Verification::Access(claims) = bench.service.verify(tokens.access_token.expose()).await.unwrap() else {
        panic!("not an access token")
    };
    assert_eq!((claims.subject.as_str(), claims.scope.to_string().as_str()), ("alice", "read write"));
    assert_eq!(claims.issuer, "https://www.jinmini.com");
    assert_eq!(claims.audience, ["https://www.jinmini.com"]);
    assert_eq!(claims.client_id, "gateway");
    assert_eq!(claims.extra, asked.claims);
    assert_eq!(claims.expires_at - claims.issued_at, TimeDelta::seconds(60));
    let Verification::Refresh { family, .. } = bench.service.verify(tokens.refresh_token.expose()).await.unwrap()
    else {
        panic!("not a refresh token")
    };
    assert_eq!(family.id, claims.family);
}

#[tokio::test]
async fn omitted_fields_get_defaults() {
    let bench = bench(policy()).await;
    let tokens = bench.service.create(TokenRequest::default(), None).await.unwrap();
    let identity = bench.service.authenticate(tokens.access_token.expose()).await.unwrap().unwrap();
    assert_eq!(identity.subject, "developer");
    assert!(identity.scope.is_empty());
    assert_eq!(tokens.access_ttl, policy().access_ttl);
}

#[tokio::test]
async fn no_token_outlives_the_longest_lifetime() {
    let bench = bench(policy()).await;
    let ask = |seconds| TokenRequest { access_ttl: Some(TimeDelta::seconds(seconds)), ..TokenRequest::default() };
    assert!(bench.service.create(ask(86_400), None).await.is_ok());
    assert!(matches!(
        bench.service.create(ask(86_401), None).await,
        Err(CreateError::LifeTooLong { longest }) if longest == TimeDelta::hours(24)
    ));
}

#[tokio::test]
async fn in_production_only_a_caller_with_the_scope_creates_tokens() {
    let bench = bench(TokenPolicy { creation: Access::with_scope("tokens:issue".parse().unwrap()), ..policy() }).await;
    let caller = |scope: &str| Identity {
        subject: "operator".into(),
        scope: scope.parse().unwrap(),
        token_id: TokenId::from_random([1; 16]),
        family: FamilyId::from_random([2; 16]),
        expires_at: chrono::DateTime::UNIX_EPOCH,
        claims: serde_json::Map::new(),
    };
    let create = async |caller| bench.service.create(TokenRequest::default(), caller).await;
    assert!(matches!(create(None).await, Err(CreateError::Denied(Denied::CredentialMissing(_)))));
    assert!(matches!(create(Some(caller("read"))).await, Err(CreateError::Denied(Denied::ScopeMissing(_)))));
    let tokens = create(Some(caller("tokens:issue"))).await.unwrap();
    let identity = bench.service.authenticate(tokens.access_token.expose()).await.unwrap().unwrap();
    assert_eq!(identity.subject, "operator", "by default one's own");

    let wish = |scope: &str| TokenRequest { scope: scope.parse().unwrap(), ..TokenRequest::default() };
    let holder = caller("tokens:issue read");
    for within in ["read", "tokens:issue", "read tokens:issue"] {
        assert!(bench.service.create(wish(within), Some(holder.clone())).await.is_ok(), "{within}");
    }
    let outcome = bench.service.create(wish("read write"), Some(holder)).await;
    assert!(matches!(outcome, Err(CreateError::ScopeExceeded(asked)) if asked == "read write".parse().unwrap()));
}

#[tokio::test]
async fn a_token_of_another_audience_is_refused_here() {
    let bench = bench(policy()).await;
    let asked = TokenRequest { audience: Some("orders".into()), ..TokenRequest::default() };
    let tokens = bench.service.create(asked, None).await.unwrap();
    assert_eq!(rejection(&bench, tokens.access_token.expose()).await, Some(Rejection::WrongAudience));
}

#[tokio::test]
async fn tokens_expire() {
    let bench = bench(policy()).await;
    let tokens = create(&bench).await;
    bench.clock.pass(TimeDelta::minutes(15) + TimeDelta::seconds(5));
    assert_eq!(rejection(&bench, tokens.access_token.expose()).await, Some(Rejection::Expired));
    assert_eq!(rejection(&bench, tokens.refresh_token.expose()).await, None);
    bench.clock.pass(TimeDelta::days(30));
    assert_eq!(rejection(&bench, tokens.refresh_token.expose()).await, Some(Rejection::Expired));
    assert!(matches!(bench.service.refresh(tokens.refresh_token.expose()).await, Err(RefreshError::Expired)));
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair_of_the_same_person() {
    let bench = bench(policy()).await;
    let first = create(&bench).await;
    let second = bench.service.refresh(first.refresh_token.expose()).await.unwrap();
    assert!(second.refresh_token != first.refresh_token && second.access_token != first.access_token);
    let (one, two) = (
        bench.service.authenticate(first.access_token.expose()).await.unwrap().unwrap(),
        bench.service.authenticate(second.access_token.expose()).await.unwrap().unwrap(),
    );
    assert_eq!((one.subject, one.scope, one.family), (two.subject, two.scope, two.family));
    assert_ne!(one.token_id, two.token_id);
    assert_eq!(rejection(&bench, first.refresh_token.expose()).await, Some(Rejection::Revoked), "used up");
}

#[tokio::test]
async fn a_lost_response_is_repeated_within_the_grace_period() {
    let bench = bench(policy()).await;
    let first = create(&bench).await;
    let second = bench.service.refresh(first.refresh_token.expose()).await.unwrap();
    bench.clock.pass(TimeDelta::seconds(9));
    let again = bench.service.refresh(first.refresh_token.expose()).await.unwrap();
    assert!(again.refresh_token == second.refresh_token, "the same successor");
    assert!(bench.service.refresh(again.refresh_token.expose()).await.is_ok(), "and it works");
}

#[tokio::test]
async fn reuse_of_a_stolen_token_revokes_the_family() {
    let bench = bench(policy()).await;
    let first = create(&bench).await;
    let second = bench.service.refresh(first.refresh_token.expose()).await.unwrap();
    bench.clock.pass(TimeDelta::seconds(10));
    assert!(matches!(bench.service.refresh(first.refresh_token.expose()).await, Err(RefreshError::Reused)));
    assert!(matches!(bench.service.refresh(second.refresh_token.expose()).await, Err(RefreshError::Revoked)));
    for token in [&first.access_token, &second.access_token] {
        assert_eq!(rejection(&bench, token.expose()).await, Some(Rejection::Revoked));
    }
    let family = bench.service.parts.store.find_refresh(&first.refresh_token.digest()).await.unwrap().unwrap().family;
    let published = bench.recorder.revocations.lock().unwrap().clone();
    assert_eq!(published, [family.revocation()], "the data plane was told");
}

#[tokio::test]
async fn a_text_that_is_no_refresh_token_is_unknown() {
    let bench = bench(policy()).await;
    let access = create(&bench).await.access_token;
    let other = RefreshToken::from_random([9; 32]);
    for text in ["", "x", access.expose(), other.expose()] {
        assert!(matches!(bench.service.refresh(text).await, Err(RefreshError::Unknown)), "{text}");
    }
}

#[tokio::test]
async fn an_access_token_is_revoked_alone() {
    let bench = bench(policy()).await;
    let first = create(&bench).await;
    let second = bench.service.refresh(first.refresh_token.expose()).await.unwrap();
    bench.service.revoke(first.access_token.expose()).await.unwrap();
    assert_eq!(rejection(&bench, first.access_token.expose()).await, Some(Rejection::Revoked));
    assert_eq!(rejection(&bench, second.access_token.expose()).await, None);
    assert_eq!(rejection(&bench, second.refresh_token.expose()).await, None);
    bench.service.revoke(first.access_token.expose()).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_is_revoked_with_its_family_even_when_it_is_used_up() {
    for used_up in [false, true] {
        let bench = bench(policy()).await;
        let first = create(&bench).await;
        let second = bench.service.refresh(first.refresh_token.expose()).await.unwrap();
        let shown = if used_up { &first.refresh_token } else { &second.refresh_token };
        bench.service.revoke(shown.expose()).await.unwrap();
        for token in [first.access_token.expose(), second.access_token.expose(), second.refresh_token.expose()] {
            assert_eq!(rejection(&bench, token).await, Some(Rejection::Revoked));
        }
        assert!(matches!(bench.service.refresh(second.refresh_token.expose()).await, Err(RefreshError::Revoked)));
    }
}

#[tokio::test]
async fn revoking_a_foreign_token_changes_nothing() {
    let bench = bench(policy()).await;
    let tokens = create(&bench).await;
    for text in ["", "x", "a.b.c", RefreshToken::from_random([9; 32]).expose()] {
        bench.service.revoke(text).await.unwrap();
    }
    assert_eq!(rejection(&bench, tokens.access_token.expose()).await, None);
    assert!(bench.recorder.revocations.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_of_another_issuer_is_not_ours_to_revoke_though_our_keys_signed_it() {
    let bench = bench(policy()).await;
    let ours = create(&bench).await.access_token;
    let Verification::Access(mut claims) = bench.service.verify(ours.expose()).await.unwrap() else {
        panic!("not an access token")
    };
    claims.issuer = "https://example.com".into();
    let theirs = bench.keys.sign(&claims).unwrap();
    bench.service.revoke(&theirs).await.unwrap();
    assert_eq!(rejection(&bench, &theirs).await, Some(Rejection::WrongIssuer));
    assert_eq!(rejection(&bench, ours.expose()).await, None, "of the same id");
    assert!(bench.recorder.revocations.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_longest_dummy_token_is_known() {
    let bench = bench(policy()).await;
    let longest = "x".repeat(MAX_DUMMY_TEXT_BYTES);
    let issued = bench.service.register_dummy(&DummyText::parse(&longest).unwrap()).await.unwrap();
    assert_eq!(bench.service.authenticate(&longest).await.unwrap(), Ok(issued.dummy.identity()));
}

#[tokio::test]
async fn a_dummy_token_is_shown_and_represents_the_test_identity() {
    let bench = bench(policy()).await;
    let typed = DummyText::parse("안녕 hello").unwrap();
    let issued = bench.service.register_dummy(&typed).await.unwrap();
    assert_eq!(*bench.recorder.shown.lock().unwrap(), ["안녕 hello"]);
    assert_eq!(bench.service.verify("안녕 hello").await.unwrap(), Verification::Dummy(issued.dummy.clone()));
    assert_eq!(bench.service.authenticate("안녕 hello").await.unwrap(), Ok(issued.dummy.identity()));
    assert_eq!(bench.service.dummy_by_digest(typed.digest()).await.unwrap(), Ok(issued.dummy.identity()));
    let real = bench.service.refresh(issued.refresh_token.expose()).await.unwrap();
    let identity = bench.service.authenticate(real.access_token.expose()).await.unwrap().unwrap();
    assert_eq!(identity.subject, issued.dummy.subject);
}

#[tokio::test]
async fn a_dummy_token_is_revoked_and_can_be_typed_again() {
    let bench = bench(policy()).await;
    let typed = DummyText::parse("hello").unwrap();
    bench.service.register_dummy(&typed).await.unwrap();
    bench.service.revoke("hello").await.unwrap();
    assert_eq!(rejection(&bench, "hello").await, Some(Rejection::Revoked));
    assert_eq!(bench.service.dummy_by_digest(typed.digest()).await.unwrap(), Err(Rejection::Revoked));
    bench.service.register_dummy(&typed).await.unwrap();
    assert_eq!(rejection(&bench, "hello").await, None);
    bench.clock.pass(TimeDelta::minutes(15));
    assert_eq!(rejection(&bench, "hello").await, Some(Rejection::Expired));
}

#[tokio::test]
async fn a_text_that_was_never_typed_is_unknown_and_without_dummies_it_is_malformed() {
    let development = bench(policy()).await;
    assert_eq!(rejection(&development, "hello").await, Some(Rejection::Unknown));
    assert_eq!(rejection(&development, "a.b.c").await, Some(Rejection::Malformed));
    let production = bench(TokenPolicy { dummies: false, ..policy() }).await;
    assert_eq!(rejection(&production, "hello").await, Some(Rejection::Malformed));
}

#[tokio::test]
async fn a_refresh_token_is_no_bearer_token() {
    let bench = bench(policy()).await;
    let tokens = create(&bench).await;
    assert_eq!(bench.service.authenticate(tokens.refresh_token.expose()).await.unwrap(), Err(Rejection::Malformed));
}

#[tokio::test]
async fn every_revocation_is_on_the_list_that_other_replicas_read() {
    let bench = bench(policy()).await;
    let tokens = create(&bench).await;
    let identity = bench.service.authenticate(tokens.access_token.expose()).await.unwrap().unwrap();
    bench.service.revoke(tokens.access_token.expose()).await.unwrap();
    bench.service.revoke(tokens.refresh_token.expose()).await.unwrap();
    let listed = bench.store.revocations_after(RevocationCursor::default(), 10).await.unwrap().entries;
    let ids: Vec<Revocable> = listed.iter().map(|recorded| recorded.revocation.id).collect();
    assert_eq!(ids, identity.revocable());
    assert!(listed.iter().all(|recorded| recorded.revocation.expires_at >= identity.expires_at));
}

#[tokio::test]
async fn a_late_client_within_the_grace_period_loses_nothing_and_gets_nothing() {
    let bench = bench(policy()).await;
    let first = create(&bench).await;
    let second = bench.service.refresh(first.refresh_token.expose()).await.unwrap();
    let third = bench.service.refresh(second.refresh_token.expose()).await.unwrap();
    assert!(matches!(bench.service.refresh(first.refresh_token.expose()).await, Err(RefreshError::Superseded)));
    bench.clock.pass(TimeDelta::seconds(20));
    bench.service.refresh(third.refresh_token.expose()).await.unwrap();
}

#[tokio::test]
async fn reuse_of_a_forgotten_token_still_revokes_the_family() {
    for end in [false, true] {
        let bench = bench(policy()).await;
        let mut tokens = vec![create(&bench).await];
        for _ in 0..70 {
            bench.clock.pass(TimeDelta::seconds(11));
            let newest = bench.service.refresh(tokens.last().unwrap().refresh_token.expose()).await.unwrap();
            tokens.push(newest);
        }
        let stolen = &tokens[33].refresh_token;
        assert_eq!(bench.store.find_refresh(&stolen.digest()).await.unwrap(), None, "it is forgotten");
        if end {
            bench.service.revoke(stolen.expose()).await.unwrap();
        } else {
            assert!(matches!(bench.service.refresh(stolen.expose()).await, Err(RefreshError::Reused)));
        }
        assert!(matches!(bench.service.refresh(stolen.expose()).await, Err(RefreshError::Revoked)));
        let newest = tokens.last().unwrap();
        assert!(matches!(bench.service.refresh(newest.refresh_token.expose()).await, Err(RefreshError::Revoked)));
        assert_eq!(rejection(&bench, newest.access_token.expose()).await, Some(Rejection::Revoked));
    }
}

#[tokio::test]
async fn a_family_ends_however_often_it_is_refreshed() {
    let bench = bench(policy()).await;
    let mut tokens = create(&bench).await;
    for _ in 0..8 {
        bench.clock.pass(TimeDelta::days(10));
        tokens = bench.service.refresh(tokens.refresh_token.expose()).await.unwrap();
    }
    assert_eq!(tokens.refresh_ttl, TimeDelta::days(10), "until the 90th day");
    bench.clock.pass(TimeDelta::days(10) - TimeDelta::minutes(1));
    let last = bench.service.refresh(tokens.refresh_token.expose()).await.unwrap();
    assert_eq!(last.access_ttl, TimeDelta::seconds(55), "leeway is in it already");
    bench.clock.pass(TimeDelta::minutes(1));
    assert!(matches!(bench.service.refresh(last.refresh_token.expose()).await, Err(RefreshError::Expired)));
}

#[tokio::test]
async fn a_token_is_revoked_whatever_the_clock_says() {
    for offset in [-3600, 15 * 60 + 100] {
        let bench = bench(policy()).await;
        let tokens = create(&bench).await;
        let identity = bench.service.authenticate(tokens.access_token.expose()).await.unwrap().unwrap();
        // This replica's clock is an hour behind, or the token has expired by this clock only.
        bench.clock.pass(TimeDelta::seconds(offset));
        bench.service.revoke(tokens.access_token.expose()).await.unwrap();
        assert!(bench.store.is_any_revoked(&[identity.token_id.into()]).await.unwrap(), "{offset}");
        assert_eq!(bench.recorder.revocations.lock().unwrap().len(), 1);
    }
    // A token that has expired by every clock needs no entry.
    let bench = bench(policy()).await;
    let tokens = create(&bench).await;
    bench.clock.pass(TimeDelta::minutes(21));
    bench.service.revoke(tokens.access_token.expose()).await.unwrap();
    assert!(bench.recorder.revocations.lock().unwrap().is_empty());
}
