use serde_json::json;

use super::*;
use crate::{
    domain::gateway::{
        models::{
            access::Access,
            http::page::{OwnHosts, PagePolicy, TrustedPages},
        },
        repositories::memory::MemoryAccounts,
        schemas::{cookie::Cookies, parse_json},
        services::{
            session::{SessionParts, SessionService},
            testing::{Bench, SESSION_LIMITS, bench, policy},
            token::TokenPolicy,
        },
    },
    ports::testing::CountingEntropy,
};

async fn controller(policy: TokenPolicy) -> (TokenController, Bench) {
    let bench = bench(policy).await;
    let sessions = Arc::new(SessionService::new(SessionParts {
        store: bench.sessions.clone(),
        accounts: Arc::new(MemoryAccounts::default()),
        tokens: bench.service.clone(),
        clock: bench.clock.clone(),
        entropy: Arc::new(CountingEntropy::default()),
        limits: SESSION_LIMITS,
    }));
    let pages = TrustedPages::new(["https://app.jinmini.com".to_owned()]);
    let policy = PagePolicy::new(pages).at(OwnHosts::of(["https://www.jinmini.com".to_owned()]));
    let callers = Arc::new(Callers::new(bench.service.clone(), sessions, Cookies::new(false), policy));
    (TokenController::new(bench.service.clone(), callers, chrono_tz::Asia::Seoul), bench)
}

fn read<T: serde::de::DeserializeOwned>(json: &serde_json::Value) -> T {
    parse_json(json.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_created_pair_verifies_and_refreshes() {
    let (controller, _bench) = controller(policy()).await;
    let nobody = Credentials::default();
    let pair = controller.create(read(&json!({"subject": "alice", "scope": "a"})), &nobody).await.unwrap();
    assert_eq!((pair.token_type.as_str(), pair.expires_in, pair.scope.as_str()), ("Bearer", 900, "a"));
    let verification = controller.verify(read(&json!({"token": pair.access_token}))).await.unwrap();
    assert_eq!((verification.active, verification.subject.as_deref()), (true, Some("alice")));
    let next = controller.refresh(read(&json!({"refresh_token": pair.refresh_token}))).await.unwrap();
    assert_ne!(next.refresh_token, pair.refresh_token);
    controller.revoke(read(&json!({"token": next.refresh_token}))).await.unwrap();
    let verification = controller.verify(read(&json!({"token": next.access_token}))).await.unwrap();
    assert_eq!((verification.active, verification.reason.as_deref()), (false, Some("revoked")));
}

#[tokio::test]
async fn each_refusal_has_its_status_and_code() {
    let (open, _bench) = controller(policy()).await;
    let nobody = Credentials::default();
    let bearer = Credentials { bearer: Some("x".into()), ..Credentials::default() };
    let refused = |problem: Problem| (problem.status, problem.code);
    assert_eq!(
        refused(open.create(read(&json!({"subject": ""})), &nobody).await.unwrap_err()),
        (422, "validation_failed")
    );
    // Whatever lifetime is requested, the reported limit is the one in force.
    for seconds in [86_401, 31_536_001, i64::MAX] {
        let problem = open.create(read(&json!({"expires_in": seconds})), &nobody).await.unwrap_err();
        assert_eq!(problem.errors[0].message, "must be 1 to 86400 seconds", "{seconds}");
    }
    assert_eq!(refused(open.create(read(&json!({})), &bearer).await.unwrap_err()), (401, "invalid_token"));
    assert_eq!(refused(open.refresh(read(&json!({"refresh_token": "x"}))).await.unwrap_err()), (401, "invalid_grant"));

    let closed = TokenPolicy { creation: Access::with_scope("tokens:issue".parse().unwrap()), ..policy() };
    let (closed, _bench) = controller(closed).await;
    assert_eq!(refused(closed.create(read(&json!({})), &nobody).await.unwrap_err()), (401, "token_missing"));
}

#[tokio::test]
async fn a_caller_without_the_scope_learns_which_one_is_missing() {
    let (open, bench) = controller(policy()).await;
    let nobody = Credentials::default();
    let pair = open.create(read(&json!({"scope": "a"})), &nobody).await.unwrap();
    let identity = of_bearer(&bench.service, &pair.access_token).await.unwrap();
    let permit = Access::with_scope("tokens:issue".parse().unwrap()).authorise(Some(Arc::new(identity)), None);
    let problem = Problem::denied(permit.unwrap_err());
    assert_eq!((problem.status, problem.code), (403, "insufficient_scope"));
    assert!(problem.detail.contains("tokens:issue"));
}

#[tokio::test]
async fn a_dummy_token_is_returned_as_it_was_typed() {
    let (controller, bench) = controller(policy()).await;
    let pair = controller.register_dummy(read(&json!({"token": "안녕"})), &Credentials::default()).await.unwrap();
    assert_eq!(pair.access_token, "안녕");
    assert_eq!(*bench.recorder.shown.lock().unwrap(), ["안녕"]);
    let problem = controller.register_dummy(read(&json!({"token": "\n"})), &Credentials::default()).await.unwrap_err();
    assert_eq!((problem.status, problem.errors[0].field.as_str()), (422, "token"));
}

/// A page of a name that was made to resolve to us (DNS rebinding) has the same origin as its requests.
#[tokio::test]
async fn a_page_of_a_foreign_name_gets_nothing_in_development() {
    let (controller, _bench) = controller(policy()).await;
    let page = |host: &str| Credentials {
        host: Some(host.into()),
        origin: Some(format!("http://{host}")),
        fetch_site: Some("same-origin".into()),
        is_unsafe: true,
        ..Credentials::default()
    };
    let foreign = page("attacker.example:8080");
    let dummy = || read(&json!({"token": "typed"}));
    for problem in [
        controller.create(read(&json!({})), &foreign).await.unwrap_err(),
        controller.register_dummy(dummy(), &foreign).await.unwrap_err(),
    ] {
        assert_eq!((problem.status, problem.code), (403, "foreign_host"));
        assert!(problem.detail.contains("PUBLIC_URL"), "{}", problem.detail);
    }
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "192.168.0.7:8080", "www.jinmini.com"] {
        controller.create(read(&json!({})), &page(host)).await.unwrap();
        controller.register_dummy(dummy(), &page(host)).await.unwrap();
    }
    // Programs use any name, such as that of a container.
    let program = Credentials { host: Some("gateway:8080".into()), ..Credentials::default() };
    controller.create(read(&json!({})), &program).await.unwrap();
    controller.register_dummy(dummy(), &program).await.unwrap();
}

#[test]
fn an_internal_failure_does_not_reveal_its_reason() {
    use crate::domain::gateway::services::Failure;
    let problem = failed(&Failure::Unavailable("SELECT * FROM secrets".into()));
    assert_eq!((problem.status, problem.code), (503, "unavailable"));
    assert!(!problem.detail.contains("SELECT"));
    let problem = failed(&Failure::Broken("key k1".into()));
    assert_eq!((problem.status, problem.code), (500, "internal_error"));
    assert!(!problem.detail.contains("k1"));
}
