//! Resolves the names of endpoints, once for all cores.
//!
//! The system's resolver blocks a thread for as long as a name server takes, which may be many seconds. So there is at
//! most one lookup per name, shared by all that wait for it, and the number of threads is bounded. Names whose last
//! lookup failed get at most half of those threads: a domain whose name servers do not respond affects only its own
//! services.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tracing::warn;

/// How long addresses are used before the name is looked up again. Short, as most records of services change within
/// half a minute; long enough that not every connection needs a lookup.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// How long the last addresses are used while a lookup fails. If they were used longer, they might belong to another
/// host by then.
const LAST_KNOWN_FOR: Duration = Duration::from_mins(1);

/// How long to wait for a lookup if the last addresses could be used instead.
const WAIT_WITH_LAST_KNOWN: Duration = Duration::from_millis(250);

/// How long a name is not looked up again after a failed lookup.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// The most concurrent lookups: each has a thread.
const MAX_LOOKUPS: usize = 64;

/// The most concurrent lookups of names that failed before.
const MAX_DOUBTFUL_LOOKUPS: usize = MAX_LOOKUPS / 2;

/// Looks up the addresses of a name; blocking.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of `name`; ports do not matter.
    ///
    /// # Errors
    /// When there is none, or no server responds.
    fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// `getaddrinfo`, which uses `/etc/hosts`, `/etc/resolv.conf` and `nsswitch.conf`.
struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok((name, 0).to_socket_addrs()?.collect())
    }
}

/// The resolved names, for all cores.
pub struct Names {
    lookup: Box<dyn Lookup>,
    now: Box<dyn Fn() -> Instant + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: HashMap<Arc<str>, Name>,
    lookups: usize,
    doubtful_lookups: usize,
    waiting: VecDeque<Arc<str>>,
    doubtful_waiting: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Name {
    known: Option<Known>,
    /// The time of its last lookup, if that failed.
    failed_at: Option<Instant>,
    /// Receives the result of the lookup that is running or waiting for a thread.
    outcome: Option<watch::Sender<Option<Outcome>>>,
}

/// The addresses that were found; `None` if there are none, and no earlier ones may be used.
type Outcome = Option<Known>;

#[derive(Clone)]
pub(crate) struct Known {
    addresses: Arc<[SocketAddr]>,
    at: Instant,
}

impl Known {
    fn is_younger(&self, age: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < age
    }
}

/// A lookup that has a thread.
#[derive(Clone)]
struct Job {
    name: Arc<str>,
    is_doubtful: bool,
}

/// The next step for a name.
enum Step {
    /// No lookup is needed: this is the result.
    Known(Outcome),
    /// Wait for the lookup; only for a while if earlier addresses may be used instead.
    Wait(watch::Receiver<Option<Outcome>>, Option<Known>),
}

impl Names {
    /// Names as the system resolves them.
    pub fn of_system() -> Arc<Self> {
        Self::new(SystemLookup, Instant::now)
    }

    /// Names as `lookup` resolves them.
    pub fn new(lookup: impl Lookup, now: impl Fn() -> Instant + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { lookup: Box::new(lookup), now: Box::new(now), state: Mutex::default() })
    }

    /// Resolves `name`.
    async fn find(self: &Arc<Self>, name: &Arc<str>) -> Outcome {
        match self.step(name) {
            Step::Known(outcome) => outcome,
            Step::Wait(mut outcome, last_known) => {
                // If the sender was dropped, there is no result.
                let found =
                    async { outcome.wait_for(Option::is_some).await.ok().and_then(|found| found.clone()).flatten() };
                match last_known {
                    None => found.await,
                    Some(known) => tokio::time::timeout(WAIT_WITH_LAST_KNOWN, found).await.unwrap_or(Some(known)),
                }
            }
        }
    }

    fn step(self: &Arc<Self>, name: &Arc<str>) -> Step {
        let now = (self.now)();
        let mut state = self.state();
        let of_name = state.name(name, now);
        let last_known = of_name.known.clone().filter(|known| known.is_younger(LAST_KNOWN_FOR, now));
        if let Some(outcome) = &of_name.outcome {
            return Step::Wait(outcome.subscribe(), last_known);
        }
        let is_fresh = last_known.as_ref().is_some_and(|known| known.is_younger(FRESH_FOR, now));
        let has_failed = |at: Instant| now.saturating_duration_since(at) < FAILED_FOR;
        if is_fresh || of_name.failed_at.is_some_and(has_failed) {
            return Step::Known(last_known);
        }
        let (sender, outcome) = watch::channel(None);
        of_name.outcome = Some(sender);
        let is_doubtful = of_name.failed_at.is_some();
        if is_doubtful { &mut state.doubtful_waiting } else { &mut state.waiting }.push_back(Arc::clone(name));
        if let Some(job) = state.next_job() {
            drop(state);
            self.start(job);
        }
        Step::Wait(outcome, last_known)
    }

    fn start(self: &Arc<Self>, job: Job) {
        let mut next = Some(job);
        while let Some(job) = next {
            let (names, of_thread) = (Arc::clone(self), job.clone());
            match thread::Builder::new().name("edge-names".to_owned()).spawn(move || names.run(of_thread)) {
                Ok(_) => return,
                Err(error) => next = self.finish(&job, Err(error)),
            }
        }
    }

    /// The loop of a lookup thread: does one lookup after another while any wait.
    fn run(&self, mut job: Job) {
        loop {
            let found = std::panic::catch_unwind(AssertUnwindSafe(|| self.lookup.addresses(&job.name)));
            match self.finish(&job, found.unwrap_or_else(|_| Err(io::Error::other("the look-up panicked")))) {
                Some(next) => job = next,
                None => return,
            }
        }
    }

    /// Publishes a result to all that wait, and returns the thread's next lookup, if one waits.
    fn finish(&self, job: &Job, found: io::Result<Vec<SocketAddr>>) -> Option<Job> {
        let now = (self.now)();
        let found = found.and_then(|addresses| {
            if addresses.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(addresses) }
        });
        let mut state = self.state();
        state.lookups -= 1;
        state.doubtful_lookups -= usize::from(job.is_doubtful);
        let of_name = state.name(&job.name, now);
        match found {
            Ok(addresses) => {
                of_name.known = Some(Known { addresses: addresses.into(), at: now });
                of_name.failed_at = None;
            }
            Err(error) => {
                if of_name.failed_at.is_none() {
                    warn!(name = &*job.name, %error, "the name of an instance cannot be looked up");
                }
                of_name.failed_at = Some(now);
            }
        }
        let known = of_name.known.clone().filter(|known| known.is_younger(LAST_KNOWN_FOR, now));
        if let Some(outcome) = of_name.outcome.take() {
            // The receivers may be gone.
            let _ = outcome.send(Some(known));
        }
        state.next_job()
    }

    /// Locks the state. A panic leaves nothing half done in it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn name(&mut self, name: &Arc<str>, now: Instant) -> &mut Name {
        if !self.names.contains_key(name) {
            // Do not keep entries of removed endpoints for long.
            let is_recent = |at: Instant| now.saturating_duration_since(at) < LAST_KNOWN_FOR;
            self.names.retain(|_, of_name| {
                let at = of_name.failed_at.or(of_name.known.as_ref().map(|known| known.at));
                of_name.outcome.is_some() || at.is_some_and(is_recent)
            });
        }
        self.names.entry(Arc::clone(name)).or_default()
    }

    /// The next lookup that may have a thread; it counts as running from then on.
    fn next_job(&mut self) -> Option<Job> {
        if self.lookups >= MAX_LOOKUPS {
            return None;
        }
        let job = if let Some(name) = self.waiting.pop_front() {
            Job { name, is_doubtful: false }
        } else if self.doubtful_lookups < MAX_DOUBTFUL_LOOKUPS {
            Job { name: self.doubtful_waiting.pop_front()?, is_doubtful: true }
        } else {
            return None;
        };
        self.lookups += 1;
        self.doubtful_lookups += usize::from(job.is_doubtful);
        Some(job)
    }
}

/// The host of an endpoint, as one core knows it.
pub(crate) enum Host {
    /// It was configured by its address.
    Address(IpAddr),
    /// It was configured by its name.
    Name {
        name: Arc<str>,
        names: Arc<Names>,
        /// A local copy, so that no lock is taken while it is fresh.
        known: RefCell<Option<Known>>,
    },
}

impl Host {
    pub(crate) fn new(text: &str, names: Arc<Names>) -> Self {
        match text.parse() {
            Ok(address) => Self::Address(address),
            Err(_) => Self::Name { name: text.into(), names, known: RefCell::default() },
        }
    }

    /// The addresses to try; `None` if there are none.
    pub(crate) async fn addresses(&self, port: u16) -> Option<Vec<SocketAddr>> {
        let (name, names, known) = match self {
            Self::Address(address) => return Some(vec![SocketAddr::new(*address, port)]),
            Self::Name { name, names, known } => (name, names, known),
        };
        let fresh = known.borrow().clone().filter(|known| known.is_younger(FRESH_FOR, (names.now)()));
        let found = match fresh {
            Some(fresh) => fresh,
            None => names.find(name).await?,
        };
        let addresses = found.addresses.iter().map(|&address| with_port(address, port)).collect();
        known.replace(Some(found));
        Some(addresses)
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

#[cfg(test)]
mod tests;
