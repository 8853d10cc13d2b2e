//! Response deadlines for upstreams. One coarse timer per core checks all of them, so that a request costs no timer of
//! its own; without pending deadlines it sleeps.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// The interval of ticks: a deadline is exceeded by at most this.
const PERIOD: Duration = Duration::from_millis(50);

/// The deadlines of one core.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    slots: RefCell<Slots>,
    begun: Notify,
    is_kept: Cell<bool>,
}

#[derive(Debug, Default)]
struct Slots {
    all: Vec<Option<Slot>>,
    /// The indices of the free slots.
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    /// `None` once it has passed.
    deadline: Option<Instant>,
    waker: Waker,
}

impl Deadlines {
    /// Wakes the waiters whose deadline has passed; never returns.
    pub(crate) async fn keep(&self) {
        loop {
            self.begun.notified().await;
            while self.is_kept.get() {
                sleep(PERIOD).await;
                self.tick(Instant::now());
            }
        }
    }

    /// A deadline that is not set yet.
    fn deadline(self: &Rc<Self>) -> Deadline {
        Deadline { of: Rc::clone(self), slot: None }
    }

    fn tick(&self, now: Instant) {
        let mut is_kept = false;
        for slot in self.slots.borrow_mut().all.iter_mut().flatten() {
            match slot.deadline {
                Some(deadline) if deadline <= now => {
                    slot.deadline = None;
                    slot.waker.wake_by_ref();
                }
                Some(_) => is_kept = true,
                None => {}
            }
        }
        self.is_kept.set(is_kept);
    }
}

/// A deadline; dropping it frees its slot.
#[derive(Debug)]
struct Deadline {
    of: Rc<Deadlines>,
    slot: Option<usize>,
}

impl Deadline {
    fn is_set(&self) -> bool {
        self.slot.is_some()
    }

    /// Sets or replaces the deadline.
    fn set(&mut self, deadline: Instant, context: &Context<'_>) {
        let mut slots = self.of.slots.borrow_mut();
        let set = Some(Slot { deadline: Some(deadline), waker: context.waker().clone() });
        let slot = self.slot.or_else(|| slots.free.pop()).unwrap_or(slots.all.len());
        if slot == slots.all.len() {
            slots.all.push(set);
        } else {
            slots.all[slot] = set;
        }
        self.slot = Some(slot);
        if !self.of.is_kept.replace(true) {
            self.of.begun.notify_one();
        }
    }

    /// Ready when it has passed; also ready before it is set.
    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        let mut slots = self.of.slots.borrow_mut();
        match self.slot.and_then(|slot| slots.all[slot].as_mut()) {
            Some(slot) if slot.deadline.is_some() => {
                slot.waker.clone_from(context.waker());
                Poll::Pending
            }
            Some(_) | None => Poll::Ready(()),
        }
    }
}

/// The time that a service may take for its response, or for taking more of the request's body. Time spent waiting for
/// the client does not count.
#[derive(Debug)]
pub(crate) struct Waiting {
    deadline: Deadline,
    began: Instant,
    limit: Duration,
}

/// Since when the gateway has been waiting for the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AwaitedSince {
    /// Since the beginning: the client has nothing left to send.
    Begin,
    /// Since the client's body last moved.
    Time(std::time::Instant),
    /// The gateway is waiting for the client.
    NotNow,
}

impl Waiting {
    /// Starts `now`.
    pub(crate) fn new(deadlines: &Rc<Deadlines>, now: Instant, limit: Duration) -> Self {
        Self { deadline: deadlines.deadline(), began: now, limit }
    }

    /// Ready when the time is over. `service_awaited_since` returns since when the gateway has been waiting for the
    /// service.
    pub(crate) fn poll(&mut self, service_awaited_since: impl Fn() -> AwaitedSince, context: &Context<'_>) -> Poll<()> {
        if !self.deadline.is_set() {
            self.deadline.set(self.began + self.limit, context);
        }
        while self.deadline.poll(context).is_ready() {
            let now = Instant::now();
            let since = match service_awaited_since() {
                AwaitedSince::Begin => self.began,
                AwaitedSince::Time(since) => Instant::from_std(since).max(self.began),
                AwaitedSince::NotNow => now,
            };
            if now >= since + self.limit {
                return Poll::Ready(());
            }
            self.deadline.set(since + self.limit, context);
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let mut slots = self.of.slots.borrow_mut();
            slots.all[slot] = None;
            slots.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::task::LocalSet;

    use super::*;

    /// Waits for a deadline that is `after` from now.
    async fn pass(deadlines: &Rc<Deadlines>, after: Duration) {
        let mut deadline = deadlines.deadline();
        poll_fn(|context| {
            if !deadline.is_set() {
                deadline.set(Instant::now() + after, context);
            }
            deadline.poll(context)
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_is_woken_soon_after_its_deadline() {
        let deadlines = Rc::<Deadlines>::default();
        let local = LocalSet::new();
        let kept = Rc::clone(&deadlines);
        local.spawn_local(async move { kept.keep().await });
        let began = Instant::now();
        local
            .run_until(async {
                let waits = [3, 1, 2].map(|seconds| {
                    let deadlines = Rc::clone(&deadlines);
                    tokio::task::spawn_local(async move {
                        pass(&deadlines, Duration::from_secs(seconds)).await;
                        (seconds, began.elapsed())
                    })
                });
                for wait in waits {
                    let (seconds, took) = wait.await.unwrap();
                    let due = Duration::from_secs(seconds);
                    // Tokio's timer counts in whole milliseconds.
                    let most = due + PERIOD + Duration::from_millis(2);
                    assert!((due..=most).contains(&took), "{seconds} s took {took:?}");
                }
                // The timer starts again after all deadlines have passed.
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert!(!deadlines.is_kept.get(), "nothing is waited for");
                pass(&deadlines, Duration::from_secs(1)).await;
                assert_eq!(deadlines.slots.borrow().all.len(), 3, "slots are used again");
                assert_eq!(deadlines.slots.borrow().free.len(), 3);
            })
            .await;
    }

    #[test]
    fn a_deadline_can_be_replaced_and_counts_as_passed_before_it_is_set() {
        let deadlines = Rc::<Deadlines>::default();
        let context = Context::from_waker(Waker::noop());
        let mut deadline = deadlines.deadline();
        assert!(deadline.poll(&context).is_ready());
        let now = Instant::now();
        deadline.set(now + PERIOD, &context);
        assert!(deadline.poll(&context).is_pending());
        deadlines.tick(now + PERIOD);
        assert!(deadline.poll(&context).is_ready());
        deadline.set(now + 2 * PERIOD, &context);
        deadlines.tick(now + PERIOD);
        assert!(deadline.poll(&context).is_pending());
        drop(deadline);
        deadlines.tick(now + PERIOD);
        assert!(!deadlines.is_kept.get());
    }
}
