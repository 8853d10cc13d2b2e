//! Watches a PostgreSQL server over a connection of its own: whether it responds and accepts writes, and what other
//! replicas announce on it (`NOTIFY`). A pool whose connections are all in use says nothing about either.

use std::time::{Duration, Instant};

use sea_orm::sqlx::{
    self, AssertSqlSafe, ConnectOptions as _, Connection as _, Executor, PgConnection, Row,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{CHANNEL, Pool, cause, named};
use crate::domain::gateway::repositories::availability::Observer;

/// How often the server is asked whether it responds.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// How long it may take over the response. After that it counts as away, and operations fail at once.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two attempts to connect. Replicas notice an outage at different moments, so they do not come in
/// step.
const RETRIED_EVERY: Duration = Duration::from_millis(200);

/// How long an announcement may take to arrive over a connection without a pooler.
const ANNOUNCEMENT_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause after a connection that was closed: a server may close each.
const AFTER_A_CLOSE: Duration = Duration::from_millis(20);

impl Pool {
    /// Watches the server until the future is dropped.
    pub(in super::super) async fn watch(&self, observer: &dyn Observer) {
        let mut closed_in_a_row = 0;
        loop {
            let began = Instant::now();
            let reason = match self.watch_over_one_connection(observer).await {
                // A connection may end while the server is well. If it is not, the next one fails.
                Lost::Closed => {
                    closed_in_a_row = if began.elapsed() > ASKED_EVERY { 1 } else { closed_in_a_row + 1 };
                    sleep(if closed_in_a_row == 1 { AFTER_A_CLOSE } else { RETRIED_EVERY }).await;
                    continue;
                }
                Lost::ReadOnly => "it accepts no writes: it is a standby, or read-only".to_owned(),
                Lost::Failed(sqlx::Error::Io(error)) => cause(&error),
                Lost::Failed(sqlx::Error::PoolTimedOut) => format!("no response within {RESPONSE_TIMEOUT:?}"),
                Lost::Failed(sqlx::Error::Database(error)) => error.message().to_owned(),
                Lost::Failed(error) => error.to_string(),
            };
            let reason = format!("{}: {reason}", named(&self.options));
            self.availability.is_away(Instant::now(), &reason, observer);
            sleep(RETRIED_EVERY).await;
        }
    }

    async fn watch_over_one_connection(&self, observer: &dyn Observer) -> Lost {
        let mut listener = match self.connected(observer).await {
            Ok(Some(listener)) => listener,
            Ok(None) => return Lost::ReadOnly,
            Err(error) => return Lost::Failed(error),
        };
        let mut ticks = interval(ASKED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_well = tokio::select! {
                announced = listener.try_recv() => match announced {
                    // What is announced may be of another gateway in the same database.
                    Ok(Some(announced)) => {
                        if announced.payload() == &*self.schema {
                            observer.has_changed();
                        }
                        continue;
                    }
                    Ok(None) => return Lost::Closed,
                    Err(error) => Err(error),
                },
                _ = ticks.tick() => accepts_writes(&mut listener).await,
                () = self.availability.doubted() => accepts_writes(&mut listener).await,
            };
            match is_well {
                Ok(true) => {}
                Ok(false) => return Lost::ReadOnly,
                Err(error @ sqlx::Error::PoolTimedOut) => return Lost::Failed(error),
                Err(_) => return Lost::Closed,
            }
        }
    }

    /// A connection that hears what is announced; `None` if the server accepts no writes.
    async fn connected(&self, observer: &dyn Observer) -> Result<Option<PgListener>, sqlx::Error> {
        // The listener's pool would try again until its time is over, and then report only that.
        let mut first = in_time(self.options.connect()).await?;
        let began: String = in_time(first.fetch_one("SELECT clock_timestamp()::text")).await?.try_get(0)?;
        let one = PgPoolOptions::new().max_connections(1).acquire_timeout(RESPONSE_TIMEOUT).max_lifetime(None);
        let mut listener = PgListener::connect_with(&one.connect_lazy_with(self.options.clone())).await?;
        listener.eager_reconnect(false);
        if !accepts_writes(&mut listener).await? {
            return Ok(None);
        }
        let is_pushed = is_of_its_own(&mut listener, &mut first, &began).await?
            && is_pushed_to(&mut listener, &mut first).await.unwrap_or(false);
        // It may have been left in the middle of something.
        let _ = in_time(first.close()).await;
        if is_pushed {
            in_time(listener.listen(CHANNEL)).await?;
        }
        if self.availability.outage().is_some() {
            self.connect_anew();
        }
        self.availability.responds(&named(&self.options), observer);
        observer.hears(is_pushed);
        // What was announced before was not heard.
        observer.has_changed();
        Ok(Some(listener))
    }
}

/// The reason why a connection is left.
enum Lost {
    /// It was closed, or broke.
    Closed,
    /// The server accepts no writes.
    ReadOnly,
    /// There was no new one, or no response.
    Failed(sqlx::Error),
}

/// Whether a connection to the server belongs to the listener alone. A pooler that gives every transaction another one
/// accepts `LISTEN` and leaves it to the next client of the connection, whose driver does not expect announcements. So
/// this is tried without leaving anything behind: behind a pooler, the server's connection is older than ours, is not
/// always the same, or is that of another client, too.
async fn is_of_its_own(listener: &mut PgListener, other: &mut PgConnection, began: &str) -> Result<bool, sqlx::Error> {
    const ROUNDS: usize = 4;
    let about_it = format!(
        "SELECT pg_backend_pid(), backend_start >= '{began}'::timestamptz \
         FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()"
    );
    let mut known = None;
    for _ in 0..ROUNDS {
        let row = in_time(listener.fetch_one(AssertSqlSafe(about_it.clone()))).await?;
        let (own, is_new): (i32, bool) = (row.try_get(0)?, row.try_get(1)?);
        let others: i32 = in_time(other.fetch_one("SELECT pg_backend_pid()")).await?.try_get(0)?;
        if !is_new || own == others || known.is_some_and(|known| known != own) {
            return Ok(false);
        }
        known = Some(own);
    }
    Ok(true)
}

/// Whether announcements arrive.
async fn is_pushed_to(listener: &mut PgListener, other: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = in_time(listener.fetch_one("SELECT 'gateway_' || gen_random_uuid()")).await?;
    let channel: String = row.try_get(0)?;
    in_time(listener.listen(&channel)).await?;
    in_time(other.execute(AssertSqlSafe(format!("NOTIFY \"{channel}\"")))).await?;
    let arrives = timeout(ANNOUNCEMENT_TIMEOUT, listener.try_recv()).await;
    in_time(listener.unlisten(&channel)).await?;
    match arrives {
        Ok(announced) => Ok(announced?.is_some()),
        Err(_) => Ok(false),
    }
}

async fn accepts_writes(listener: &mut PgListener) -> Result<bool, sqlx::Error> {
    let row = in_time(listener.fetch_one("SHOW transaction_read_only")).await?;
    Ok(row.try_get::<String, _>(0)? == "off")
}

async fn in_time<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(RESPONSE_TIMEOUT, step).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
