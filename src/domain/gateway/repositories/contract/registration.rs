//! Contract of a store of registrations. Its clock is real, so the cases with the end of a lease wait for it; they measure
//! only what holds however slow the machine is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use tokio::{sync::Barrier, task::JoinSet, time::sleep, time::timeout};

use super::harness::{self, PATIENCE, Store, assert_conflict};
use crate::domain::gateway::{
    models::{
        registration::{
            Lease, Registration, RegistrationLimit, RegistrationLimits, RegistrationOutcome, RegistrationState,
        },
        service::ServiceName,
        values::id::RegistrationId,
    },
    repositories::{Constraint, registration::RegistrationRepository},
};

over_every_store!(
    a_registration_is_read_back_whole,
    registrations_are_listed_by_service_and_url,
    the_same_url_is_the_same_instance,
    of_concurrent_registrations_of_a_url_one_is_added,
    a_taken_registration_id_is_a_conflict,
    a_heartbeat_begins_a_lease_anew,
    a_lease_lives_for_exactly_its_ttl,
    an_instance_whose_lease_has_ended_is_nowhere,
    a_removed_instance_is_gone,
    limits_are_exact,
    limits_are_exact_in_a_race,
    the_state_changes_with_the_list_and_only_then,
    the_end_of_a_lease_changes_the_state,
    only_ended_leases_are_deleted,
);

/// For databases only.
mod in_a_database {
    use sea_orm::ConnectionTrait;

    use super::{
        super::{
            database::{assert_unavailable, migrated},
            harness::Database,
        },
        *,
    };
    use crate::domain::gateway::repositories::sea_orm::{SeaOrmRegistrations, connect};

    over_every_database!(
        registrations_without_tables_are_unavailable,
        an_unreadable_registration_does_not_hide_others,
        leases_end_by_the_clock_of_the_database,
    );

    async fn registrations_without_tables_are_unavailable(database: &Database) {
        let store = SeaOrmRegistrations::new(connect(&database.url, &database.schema).await.unwrap());
        assert_unavailable(store.register(&registration(1), &RegistrationLimits::default()).await);
        assert_unavailable(store.renew(&orders(), id(1)).await);
        assert_unavailable(store.remove(&orders(), id(1)).await);
        assert_unavailable(store.state().await);
        assert_unavailable(store.live().await);
        assert_unavailable(store.purge_expired().await);
    }

    async fn an_unreadable_registration_does_not_hide_others(database: &Database) {
        let db = migrated(database).await;
        let store = SeaOrmRegistrations::new(db.clone());
        for n in [1, 2] {
            store.register(&registration(n), &RegistrationLimits::default()).await.unwrap();
        }
        for change in ["service = 'A'", "url = 'http://orders:8001'", "weight = -1"] {
            let sql = format!("UPDATE registrations SET {change} WHERE url = '{}'", registration(1).url);
            db.execute_unprepared(&sql).await.unwrap();
            let live = store.live().await.unwrap();
            assert_eq!(live.into_iter().map(|lease| lease.registration).collect::<Vec<_>>(), [registration(2)]);
            let back = format!(
                "UPDATE registrations SET service = 'orders', url = '{}', weight = 1 WHERE url <> '{}'",
                registration(1).url,
                registration(2).url
            );
            db.execute_unprepared(&back).await.unwrap();
        }
    }

    /// The end that is stored is one of the database's clock, whatever the time is here.
    async fn leases_end_by_the_clock_of_the_database(database: &Database) {
        let db = migrated(database).await;
        let store = SeaOrmRegistrations::new(db.clone());
        store.register(&registration(1), &RegistrationLimits::default()).await.unwrap();
        let now = match db.get_database_backend() {
            sea_orm::DbBackend::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
            _ => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        };
        let is_live = async || store.live().await.unwrap().len() == 1;
        for (moved, live) in [("- 1", false), ("+ 60000000", true)] {
            db.execute_unprepared(&format!("UPDATE registrations SET expires_at = {now} {moved}")).await.unwrap();
            assert_eq!(is_live().await, live, "{moved}");
        }
    }
}

/// Longer than any case takes.
const LONG: TimeDelta = TimeDelta::hours(1);

/// Long enough to be seen alive on a busy machine, as a rule; no case relies on that.
const SHORT: Duration = Duration::from_millis(400);

/// The clock of SQLite has milliseconds.
const PRECISION: Duration = Duration::from_millis(2);

fn orders() -> ServiceName {
    "orders".parse().unwrap()
}

fn id(n: u8) -> RegistrationId {
    RegistrationId::from_random([n; 16])
}

fn registration(n: u8) -> Registration {
    Registration {
        id: id(n),
        service: orders(),
        url: format!("http://10.0.0.{n}:8001").parse().unwrap(),
        weight: 1,
        ttl: LONG,
    }
}

fn brief(n: u8) -> Registration {
    Registration { ttl: TimeDelta::from_std(SHORT).unwrap(), ..registration(n) }
}

async fn add(store: &Store, registration: &Registration) -> Lease {
    match store.registrations.register(registration, &RegistrationLimits::default()).await.unwrap() {
        RegistrationOutcome::Added(lease) => lease,
        other => panic!("{other:?}"),
    }
}

async fn extend(store: &Store, registration: &Registration) -> Lease {
    match store.peer_registrations.register(registration, &RegistrationLimits::default()).await.unwrap() {
        RegistrationOutcome::Extended(lease) => lease,
        other => panic!("{other:?}"),
    }
}

async fn live(store: &Store) -> Vec<Registration> {
    store.peer_registrations.live().await.unwrap().into_iter().map(|lease| lease.registration).collect()
}

async fn until_none_is_live(store: &Store) {
    let gone = async {
        while !live(store).await.is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

async fn a_registration_is_read_back_whole(store: &Store) {
    assert_eq!(live(store).await, []);
    let whole = Registration {
        url: "h2s://[fd00::7]:50051/base/%EA%B9%80'".parse().unwrap(),
        weight: 1000,
        ttl: TimeDelta::microseconds(3_600_000_001),
        ..registration(1)
    };
    let added = add(store, &whole).await;
    assert_eq!((&added.registration, added.remaining), (&whole, whole.ttl));
    let [lease] = store.peer_registrations.live().await.unwrap().try_into().unwrap();
    assert_eq!(lease.registration, whole);
    assert!(lease.remaining <= whole.ttl && lease.remaining > whole.ttl - TimeDelta::minutes(1), "{lease:?}");
}

async fn registrations_are_listed_by_service_and_url(store: &Store) {
    let elsewhere = Registration { service: "auth".parse().unwrap(), ..registration(3) };
    for one in [&registration(2), &registration(1), &elsewhere] {
        add(store, one).await;
    }
    assert_eq!(live(store).await, [elsewhere, registration(1), registration(2)]);
}

async fn the_same_url_is_the_same_instance(store: &Store) {
    add(store, &registration(1)).await;
    let again = Registration { id: id(9), weight: 7, ttl: LONG * 2, ..registration(1) };
    let extended = extend(store, &again).await;
    let merged = Registration { id: id(1), ..again };
    assert_eq!((&extended.registration, extended.remaining), (&merged, LONG * 2));
    assert_eq!(live(store).await, [merged]);
    // In another service it is another instance.
    let elsewhere = Registration { id: id(2), service: "auth".parse().unwrap(), ..registration(1) };
    add(store, &elsewhere).await;
    assert_eq!(live(store).await.len(), 2);
}

async fn of_concurrent_registrations_of_a_url_one_is_added(store: &Store) {
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 0..8_u8 {
        let replica = Arc::clone(if n % 2 == 0 { &store.registrations } else { &store.peer_registrations });
        let start = start.clone();
        tasks.spawn(async move {
            start.wait().await;
            let one = Registration { id: id(n + 1), ..registration(1) };
            replica.register(&one, &RegistrationLimits::default()).await.unwrap()
        });
    }
    let outcomes = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    let added = outcomes.iter().filter(|outcome| matches!(outcome, RegistrationOutcome::Added(_))).count();
    let ids: std::collections::BTreeSet<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            RegistrationOutcome::Added(lease) | RegistrationOutcome::Extended(lease) => lease.registration.id,
            RegistrationOutcome::LimitReached(limit) => panic!("{limit:?}"),
        })
        .collect();
    assert_eq!((added, ids.len(), live(store).await.len()), (1, 1, 1));
}

async fn a_taken_registration_id_is_a_conflict(store: &Store) {
    add(store, &registration(1)).await;
    let taken = Registration { id: id(1), ..registration(2) };
    let outcome = store.peer_registrations.register(&taken, &RegistrationLimits::default()).await;
    assert_conflict(&outcome, Constraint::Id);
    assert_eq!(live(store).await, [registration(1)]);
}

async fn a_heartbeat_begins_a_lease_anew(store: &Store) {
    add(store, &registration(1)).await;
    let [before] = store.registrations.live().await.unwrap().try_into().unwrap();
    sleep(PRECISION * 5).await;
    let renewed = store.peer_registrations.renew(&orders(), id(1)).await.unwrap().unwrap();
    assert_eq!((&renewed.registration, renewed.remaining > before.remaining), (&registration(1), true));
    for (service, of) in [(orders(), id(2)), ("auth".parse().unwrap(), id(1))] {
        assert_eq!(store.registrations.renew(&service, of).await.unwrap(), None, "{service}");
    }
}

async fn a_lease_lives_for_exactly_its_ttl(store: &Store) {
    let before = Instant::now();
    add(store, &brief(1)).await;
    let after = Instant::now();
    // Renewed once: the whole TTL begins anew, and is not added to the rest.
    sleep(SHORT / 2).await;
    let (before, after) = match store.registrations.renew(&orders(), id(1)).await.unwrap() {
        // The machine was too slow; the first lease is measured.
        None => (before, after),
        Some(_) => (before + SHORT / 2, Instant::now()),
    };
    let gone = loop {
        let asked = Instant::now();
        if live(store).await.is_empty() {
            break Instant::now();
        }
        assert!(asked < after + SHORT + PRECISION, "it lives on");
    };
    assert!(gone + PRECISION >= before + SHORT, "it has ended {:?} too early", before + SHORT - gone);
}

async fn an_instance_whose_lease_has_ended_is_nowhere(store: &Store) {
    add(store, &brief(1)).await;
    until_none_is_live(store).await;
    assert_eq!(store.registrations.renew(&orders(), id(1)).await.unwrap(), None, "the lease is over, and not revived");
    assert_eq!(store.registrations.state().await.unwrap().live, 0);
    // It registers again, and is a new one.
    let again = Registration { id: id(2), ..registration(1) };
    add(store, &again).await;
    assert_eq!(live(store).await, [again]);
}

async fn a_removed_instance_is_gone(store: &Store) {
    for n in [1, 2] {
        add(store, &registration(n)).await;
    }
    assert!(!store.registrations.remove(&"auth".parse().unwrap(), id(1)).await.unwrap());
    assert!(store.peer_registrations.remove(&orders(), id(1)).await.unwrap());
    assert!(!store.registrations.remove(&orders(), id(1)).await.unwrap());
    assert_eq!(store.registrations.renew(&orders(), id(1)).await.unwrap(), None);
    assert_eq!(live(store).await, [registration(2)]);
}

async fn limits_are_exact(store: &Store) {
    let limits = RegistrationLimits { instances_per_service: 2, services: 2, instances: 3 };
    let register = async |n: u8, service: &str| {
        let one = Registration { service: service.parse().unwrap(), ..registration(n) };
        match store.registrations.register(&one, &limits).await.unwrap() {
            RegistrationOutcome::Added(_) => None,
            RegistrationOutcome::LimitReached(limit) => Some(limit),
            RegistrationOutcome::Extended(lease) => panic!("{lease:?}"),
        }
    };
    assert_eq!(register(1, "a").await, None);
    assert_eq!(register(2, "a").await, None);
    assert_eq!(register(3, "a").await, Some(RegistrationLimit::InstancesOfService));
    assert_eq!(register(4, "b").await, None);
    assert_eq!(register(5, "b").await, Some(RegistrationLimit::Instances));
    store.registrations.remove(&"a".parse().unwrap(), id(1)).await.unwrap();
    assert_eq!(register(6, "c").await, Some(RegistrationLimit::Services));
    // One that is there already is no more.
    let known = Registration { service: "a".parse().unwrap(), ..registration(2) };
    let tight = RegistrationLimits { instances_per_service: 0, services: 0, instances: 0 };
    let outcome = store.registrations.register(&known, &tight).await.unwrap();
    assert!(matches!(outcome, RegistrationOutcome::Extended(_)), "{outcome:?}");
    assert_eq!(live(store).await.len(), 2);
}

async fn limits_are_exact_in_a_race(store: &Store) {
    let limits = RegistrationLimits { instances_per_service: 3, ..RegistrationLimits::default() };
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 1..=8_u8 {
        let replica = Arc::clone(if n % 2 == 0 { &store.registrations } else { &store.peer_registrations });
        let start = start.clone();
        tasks.spawn(async move {
            start.wait().await;
            replica.register(&registration(n), &limits).await.unwrap()
        });
    }
    let outcomes = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    let added = outcomes.iter().filter(|outcome| matches!(outcome, RegistrationOutcome::Added(_))).count();
    assert_eq!((added, live(store).await.len()), (3, 3));
}

async fn the_state_changes_with_the_list_and_only_then(store: &Store) {
    let state = async || store.peer_registrations.state().await.unwrap();
    let mut seen: Vec<RegistrationState> = vec![state().await];
    let mut changed = async |what: &str| {
        let now = state().await;
        assert!(!seen.contains(&now), "{what}: {now:?} was seen before: {seen:?}");
        seen.push(now);
    };
    add(store, &registration(1)).await;
    changed("added").await;
    extend(store, &Registration { weight: 2, ..registration(1) }).await;
    changed("has another weight").await;
    store.registrations.remove(&orders(), id(1)).await.unwrap();
    changed("removed").await;
    add(store, &registration(3)).await;
    changed("added a third").await;

    let before = state().await;
    store.registrations.renew(&orders(), id(3)).await.unwrap().unwrap();
    store.registrations.renew(&orders(), id(9)).await.unwrap();
    store.registrations.remove(&orders(), id(9)).await.unwrap();
    store.registrations.purge_expired().await.unwrap();
    let none = RegistrationLimits { instances_per_service: 0, services: 0, instances: 0 };
    store.registrations.register(&registration(4), &none).await.unwrap();
    assert_eq!(state().await, before, "nothing has changed");
}

async fn the_end_of_a_lease_changes_the_state(store: &Store) {
    add(store, &registration(1)).await;
    // Repeated only if the machine is so slow that the lease has ended before the state is read.
    let before = loop {
        store.registrations.register(&brief(2), &RegistrationLimits::default()).await.unwrap();
        let state = store.peer_registrations.state().await.unwrap();
        if state.live == 2 {
            break state;
        }
    };
    until_none_but(store, 1).await;
    let after = store.peer_registrations.state().await.unwrap();
    assert_eq!((after.generation, after.live), (before.generation, 1));
}

async fn until_none_but(store: &Store, n: u8) {
    let gone = async {
        while live(store).await != [registration(n)] {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

async fn only_ended_leases_are_deleted(store: &Store) {
    add(store, &registration(1)).await;
    add(store, &brief(2)).await;
    until_none_but(store, 1).await;
    assert_eq!(store.peer_registrations.purge_expired().await.unwrap(), 1);
    assert_eq!(store.registrations.purge_expired().await.unwrap(), 0);
    assert_eq!(live(store).await, [registration(1)]);
}
