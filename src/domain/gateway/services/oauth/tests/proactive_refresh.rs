//! Refreshing before the expiry.

use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::domain::gateway::services::{oauth::proactive_refresh::ProactiveRefresh, testing::Log};

const AHEAD: TimeDelta = TimeDelta::minutes(10);
/// The interval of sweeps.
const SWEEP_EVERY: TimeDelta = TimeDelta::seconds(10);

impl Scene {
    fn ahead(&self) -> ProactiveRefresh {
        ProactiveRefresh::new(self.vault.clone(), self.provider.clone(), AHEAD)
    }

    async fn sign_in_many(&self, people: usize) -> Vec<(GrantId, Identity)> {
        let mut signed_in = Vec::new();
        for person in 0..people {
            let (open, caller) = self.sign_in(&person.to_string()).await;
            signed_in.push((open.grant.id, caller));
        }
        signed_in
    }

    fn refreshes(&self) -> u32 {
        self.provider.refreshes.load(Ordering::SeqCst)
    }

    fn fail(&self, failure: Option<ProviderError>) {
        *self.provider.failure.lock().unwrap() = failure;
    }

    /// Makes the provider wait until it is released.
    fn gate(&self) -> Arc<Notify> {
        let gate = Arc::new(Notify::new());
        *self.provider.gate.lock().unwrap() = Some(gate.clone());
        gate
    }
}

/// A sweep while the gateway is running.
async fn sweep(ahead: &ProactiveRefresh) {
    let (_stop, stopped) = watch::channel(false);
    ahead.sweep(stopped).await.unwrap();
}

#[tokio::test]
async fn grants_are_refreshed_one_after_the_other_before_they_expire() {
    let scene = Scene::new().await;
    let people = scene.sign_in_many(60).await;
    let ahead = scene.ahead();
    scene.bench.clock.pass(LIFE - AHEAD - TimeDelta::microseconds(1));
    sweep(&ahead).await;
    assert_eq!(scene.refreshes(), 0, "too early");

    let mut most_at_a_time = 0;
    for _ in 0..=(AHEAD / 2).num_seconds() / SWEEP_EVERY.num_seconds() {
        let before = scene.refreshes();
        sweep(&ahead).await;
        most_at_a_time = most_at_a_time.max(scene.refreshes() - before);
        scene.bench.clock.pass(SWEEP_EVERY);
    }
    assert_eq!(scene.refreshes(), 60, "each of them once");
    assert!(most_at_a_time <= 10, "they are spread over the first half of the window: {most_at_a_time}");
    scene.bench.clock.pass(LIFE - AHEAD - AHEAD / 2 - SWEEP_EVERY);
    sweep(&ahead).await;
    for (id, person) in people {
        assert_ne!(access(&scene.vault.open(&person, id).await.unwrap()), "provider-access-0");
    }
    assert_eq!(scene.refreshes(), 60, "whoever asks gets what is there");
}

#[tokio::test]
async fn a_provider_to_be_called_seldom_is_called_only_when_a_caller_asks() {
    let scene = Scene::new().await;
    scene.provider.rests.store(true, Ordering::SeqCst);
    let (open, alice) = scene.sign_in("alice").await;
    scene.bench.clock.pass(LIFE);
    sweep(&scene.ahead()).await;
    assert_eq!(scene.refreshes(), 0);
    scene.vault.open(&alice, open.grant.id).await.unwrap();
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_replicas_refresh_each_grant_once() {
    let scene = Scene::new().await;
    scene.sign_in_many(50).await;
    scene.bench.clock.pass(LIFE);
    let other = Scene::replica(scene.store.clone(), scene.store.clone(), &scene.provider, &scene.bench);
    let (one, other) = (scene.ahead(), ProactiveRefresh::new(other, scene.provider.clone(), AHEAD));
    tokio::join!(sweep(&one), sweep(&other), sweep(&one), sweep(&other));
    assert_eq!(scene.refreshes(), 50);
}

#[tokio::test]
async fn a_grant_refreshed_by_another_since_it_was_seen_is_left_alone() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    scene.bench.clock.pass(LIFE);
    scene.vault.open(&alice, open.grant.id).await.unwrap();
    scene.vault.refresh_unasked(&open.grant).await.unwrap();
    assert_eq!(scene.refreshes(), 1);
    // The lease was released.
    assert!(scene.vault.refresh(&alice, open.grant.id).await.is_ok());
}

#[tokio::test]
async fn a_token_that_lives_for_a_minute_is_not_refreshed_at_every_sweep() {
    let scene = Scene::new().await;
    *scene.provider.life.lock().unwrap() = TimeDelta::seconds(60);
    scene.sign_in_many(1).await;
    let ahead = scene.ahead();
    for _ in 0..60 {
        scene.bench.clock.pass(SWEEP_EVERY);
        sweep(&ahead).await;
    }
    // At the first sweep after the 45th to 52nd second of each lifetime.
    assert!((9..=12).contains(&scene.refreshes()), "{} times in ten minutes", scene.refreshes());
}

#[tokio::test]
async fn failures_lengthen_the_pause_of_a_grant_and_lose_nothing() {
    let scene = Scene::new().await;
    let (id, alice) = scene.sign_in_many(1).await.remove(0);
    let before = scene.store.find_grant(id).await.unwrap();
    let ahead = scene.ahead();
    scene.bench.clock.pass(LIFE - AHEAD / 2);
    scene.fail(Some(ProviderError::Unavailable("down".into())));
    let mut attempts = Vec::new();
    for seconds in (0..4 * 3600).step_by(10) {
        let asked = scene.refreshes();
        sweep(&ahead).await;
        if scene.refreshes() > asked {
            attempts.push(seconds);
        }
        scene.bench.clock.pass(SWEEP_EVERY);
    }
    assert_eq!(attempts, [0, 30, 90, 210, 450, 930, 1890, 3810, 7410, 11010]);
    assert_eq!(scene.store.find_grant(id).await.unwrap(), before);

    scene.fail(None);
    scene.bench.clock.pass(TimeDelta::hours(1));
    sweep(&ahead).await;
    assert_eq!(access(&scene.vault.open(&alice, id).await.unwrap()), "provider-access-11");
}

#[tokio::test]
async fn an_hour_with_a_wrong_secret_ends_no_grant_and_is_reported_once() {
    let scene = Scene::new().await;
    let people = scene.sign_in_many(50).await;
    let log = Log::begin();
    let ahead = scene.ahead();
    scene.bench.clock.pass(LIFE - AHEAD / 2);
    let begun = scene.bench.clock.now();
    scene.fail(Some(ProviderError::Misconfigured { code: "invalid_client".into() }));
    for _ in 0..360 {
        sweep(&ahead).await;
        scene.bench.clock.pass(SWEEP_EVERY);
    }
    assert!(scene.refreshes() >= 50, "each of them was tried");
    for (id, person) in &people {
        assert_eq!(scene.store.find_grant(*id).await.unwrap().unwrap().status, GrantStatus::Active);
        let outcome = scene.vault.open(person, *id).await;
        assert!(
            matches!(outcome, Err(GrantError::Provider(ProviderError::Misconfigured { .. }))),
            "whoever asks is told to try again later: {outcome:?}"
        );
    }
    let trouble = Trouble { kind: TroubleKind::Configuration, error: "invalid_client".into() };
    assert_eq!(scene.trouble(), Some(Ongoing { trouble, since: begun }));
    let told = log.lines();
    let [told] = told.as_slice() else { panic!("{told:#?}") };
    assert!(told.starts_with("ERROR the provider refuses the gateway itself"), "{told}");
    assert!(told.contains("client secret") && told.contains("provider=fake error=\"invalid_client\""), "{told}");

    scene.fail(None);
    for _ in 0..=360 {
        sweep(&ahead).await;
        scene.bench.clock.pass(SWEEP_EVERY);
    }
    for (id, person) in &people {
        assert_eq!(scene.store.find_grant(*id).await.unwrap().unwrap().status, GrantStatus::Active);
        assert_ne!(access(&scene.vault.open(person, *id).await.unwrap()), "provider-access-0");
    }
    assert_eq!(scene.trouble(), None);
    let told = log.lines();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(told[1], "INFO the provider works again provider=fake");
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_called_for_every_grant_in_one_sweep() {
    let scene = Scene::new().await;
    scene.sign_in_many(50).await;
    scene.bench.clock.pass(LIFE);
    scene.fail(Some(ProviderError::Unavailable("down".into())));
    let ahead = scene.ahead();
    sweep(&ahead).await;
    assert!((8..12).contains(&scene.refreshes()), "{}", scene.refreshes());
    scene.fail(None);
    scene.bench.clock.pass(SWEEP_EVERY);
    sweep(&ahead).await;
    assert_eq!(scene.refreshes(), 50, "the others are not paused");
}

#[tokio::test]
async fn a_refusal_marks_the_grant_which_is_not_retried() {
    let scene = Scene::new().await;
    let (id, _) = scene.sign_in_many(1).await.remove(0);
    scene.bench.clock.pass(LIFE);
    scene.fail(Some(ProviderError::InvalidGrant { code: "invalid_grant".into() }));
    let ahead = scene.ahead();
    for _ in 0..3 {
        sweep(&ahead).await;
        scene.bench.clock.pass(TimeDelta::hours(1));
    }
    assert_eq!(scene.refreshes(), 1);
    assert_eq!(scene.store.find_grant(id).await.unwrap().unwrap().status, GrantStatus::NeedsReauthorization);
}

#[tokio::test]
async fn grants_that_cannot_be_opened_do_not_block_the_others() {
    let scene = Scene::new().await;
    let people = scene.sign_in_many(150).await;
    for (id, _) in &people {
        let grant = scene.store.find_grant(*id).await.unwrap().unwrap();
        scene.store.put_grant(&Grant { sealed_tokens: vec![1; 60], ..grant }).await.unwrap();
    }
    scene.bench.clock.pass(TimeDelta::seconds(1));
    let (open, alice) = scene.sign_in("alice").await;
    scene.bench.clock.pass(LIFE);
    sweep(&scene.ahead()).await;
    assert_eq!(access(&scene.vault.open(&alice, open.grant.id).await.unwrap()), "provider-access-1");
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test]
async fn a_token_that_is_lost_once_expired_is_exchanged_days_before() {
    let scene = Scene::at(Kind::LivingTokens).await;
    *scene.provider.life.lock().unwrap() = TimeDelta::days(60);
    let (id, alice) = scene.sign_in_many(1).await.remove(0);
    let ahead = scene.ahead();
    scene.bench.clock.pass(TimeDelta::days(50) - SWEEP_EVERY);
    sweep(&ahead).await;
    assert_eq!(scene.refreshes(), 0);
    scene.bench.clock.pass(TimeDelta::days(5) + SWEEP_EVERY);
    sweep(&ahead).await;
    assert_eq!(scene.refreshes(), 1);
    scene.bench.clock.pass(TimeDelta::days(50));
    assert_eq!(access(&scene.vault.open(&alice, id).await.unwrap()), "provider-access-1");
}

#[tokio::test]
async fn refreshes_are_concurrent_up_to_the_limit() {
    let scene = Scene::new().await;
    scene.sign_in_many(20).await;
    scene.bench.clock.pass(LIFE);
    let gate = scene.gate();
    let ahead = scene.ahead();
    let opening = async {
        while scene.refreshes() < 20 {
            tokio::task::yield_now().await;
            gate.notify_one();
        }
    };
    tokio::join!(sweep(&ahead), opening);
    assert_eq!(scene.provider.most_waiting.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn when_told_to_stop_it_waits_for_pending_refreshes_but_not_for_ever() {
    let scene = Scene::new().await;
    let people = scene.sign_in_many(20).await;
    scene.bench.clock.pass(LIFE);
    let gate = scene.gate();
    let ahead = scene.ahead();
    let (stop, stopped) = watch::channel(false);
    let begun = tokio::time::Instant::now();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.send(true).unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        gate.notify_one();
    };
    let both = async { tokio::join!(ahead.sweep(stopped), stopping) };
    let (swept, ()) = tokio::time::timeout(Duration::from_mins(1), both).await.expect("it waits for ever");
    swept.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(11), "ten seconds after it was told");
    assert_eq!(scene.provider.most_waiting.load(Ordering::SeqCst), 4, "no other was begun");
    let now = scene.bench.clock.now();
    let mut fresh = 0;
    for (id, _) in people {
        fresh += u32::from(scene.store.find_grant(id).await.unwrap().unwrap().is_fresh(now));
    }
    assert_eq!(fresh, 1, "what came in time is kept");
}
