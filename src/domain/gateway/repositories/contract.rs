//! One suite over every store: every implementation of a port must give the same results. `memory` and `sqlite` always
//! run; `postgres` runs with the feature `postgres-tests`, `redis` (of sessions and sign-ins) with `redis-tests`, and both show as
//! ignored without it, never as passed. Each case has a store of its own. A case that is on no list is dead code, and
//! so an error.

/// One test per case, over one store.
macro_rules! cases {
    ($gate:meta; $open:path; $($case:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        #[$gate]
        async fn $case() {
            let store = $open().await;
            super::$case(&store).await;
            store.close().await;
        }
    )+};
}

/// The cases for every store.
macro_rules! over_every_store {
    ($($case:ident),+ $(,)?) => {
        mod memory { use super::*; cases!(cfg(test); harness::memory; $($case),+); }
        mod sqlite { use super::*; cases!(cfg(test); harness::sqlite; $($case),+); }
        mod postgres {
            use super::*;
            cases!(cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it"); harness::postgres; $($case),+);
        }
    };
}

/// The cases for every store of sessions: the same, and Redis.
macro_rules! over_every_store_of_sessions {
    ($($case:ident),+ $(,)?) => {
        over_every_store!($($case),+);
        mod redis {
            use super::*;
            cases!(cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it"); harness::redis; $($case),+);
        }
    };
}

/// The cases for databases only.
macro_rules! over_every_database {
    ($($case:ident),+ $(,)?) => {
        mod sqlite { use super::*; cases!(cfg(test); harness::empty_sqlite; $($case),+); }
        mod postgres {
            use super::*;
            cases!(cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it"); harness::empty_postgres; $($case),+);
        }
    };
}

mod account;
mod client;
mod database;
pub(in crate::domain::gateway::repositories) mod harness;
mod login;
mod notice;
mod oauth;
mod postgres;
mod registration;
mod released;
mod revocation;
mod rotation;
mod session;
mod signing_key;
mod throttle;
mod token;
