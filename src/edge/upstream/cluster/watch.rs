//! What the checking core remembers of an endpoint: when it is checked next, and whether it has stopped answering.

use std::time::{Duration, Instant};

use crate::edge::health::Sums;

/// This many requests without any answer arouse suspicion. No more than that should wait for an instance that hangs.
const MANY_AWAITING: u32 = 5;

/// For this many ticks. A check that turns out well costs next to nothing, so this is short.
const QUIET_TICKS: u32 = 3;

/// The first and the longest pause between two attempts to reach an endpoint that does not answer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the checking core remembers of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    is_running: bool,
    /// When the health check is due.
    next_check: Option<Instant>,
    /// Failed checks in a row, or successful ones of an unhealthy endpoint.
    in_a_row: u32,
    /// When an endpoint that does not answer is tried again.
    next_attempt: Option<Instant>,
    failed_attempts: u32,
    quiet_ticks: u32,
    last_answers: u32,
    /// The endpoint answered a check though this many requests wait: they are slow, not lost.
    tolerated: u32,
}

impl Watch {
    /// Begins a check unless one is running.
    pub(crate) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.is_running, true)
    }

    /// A check has ended.
    pub(crate) fn end(&mut self) {
        self.is_running = false;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.is_running
    }

    /// Whether the endpoint seems to have stopped answering. Called once in a tick.
    pub(crate) fn is_quiet(&mut self, sums: Sums) -> bool {
        if sums.answers != self.last_answers {
            (self.last_answers, self.tolerated) = (sums.answers, 0);
            self.quiet_ticks = 0;
            return false;
        }
        if sums.awaiting < MANY_AWAITING {
            self.quiet_ticks = 0;
            return false;
        }
        self.quiet_ticks += 1;
        self.quiet_ticks >= QUIET_TICKS && sums.awaiting > self.tolerated
    }

    /// It answered a check while `awaiting` requests were waiting.
    pub(crate) fn is_merely_slow(&mut self, awaiting: u32) {
        self.tolerated = awaiting.saturating_mul(2);
        self.quiet_ticks = 0;
    }

    /// Whether the health check is due. The first one is delayed by a part of the interval, `delay`, so that checks of
    /// many instances are spread.
    pub(crate) fn check_is_due(&mut self, now: Instant, interval: Duration, delay: f32) -> bool {
        let due = *self.next_check.get_or_insert(now + interval.mul_f32(delay));
        let is_due = due <= now;
        if is_due {
            self.next_check = Some(now + interval);
        }
        is_due
    }

    /// Counts a result of a check that contradicts the present health. Returns whether it is the `limit`th in a row.
    pub(crate) fn contradicts(&mut self, limit: u32) -> bool {
        self.in_a_row += 1;
        let is_enough = self.in_a_row >= limit;
        if is_enough {
            self.in_a_row = 0;
        }
        is_enough
    }

    /// A check has confirmed the present health.
    pub(crate) fn confirms(&mut self) {
        self.in_a_row = 0;
    }

    /// Whether an endpoint that does not answer is to be tried again.
    pub(crate) fn attempt_is_due(&mut self, now: Instant) -> bool {
        let due = *self.next_attempt.get_or_insert(now + FIRST_PAUSE);
        due <= now
    }

    /// An attempt has failed.
    pub(crate) fn attempt_failed(&mut self, now: Instant) {
        self.failed_attempts = self.failed_attempts.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failed_attempts.min(10)));
        self.next_attempt = Some(now + pause.min(LONGEST_PAUSE));
    }

    /// It answers again.
    pub(crate) fn attempt_succeeded(&mut self) {
        (self.next_attempt, self.failed_attempts) = (None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(awaiting: u32, answers: u32) -> Sums {
        Sums { in_flight: awaiting, awaiting, answers }
    }

    #[test]
    fn five_requests_without_an_answer_arouse_suspicion() {
        let mut watch = Watch::default();
        let mut suspicious = |awaiting, answers| watch.is_quiet(sums(awaiting, answers));
        assert!((0..20).all(|_| !suspicious(4, 7)), "too few wait");
        assert!((0..20).all(|answers| !suspicious(50, answers)), "others get answers");
        assert_eq!([19, 19, 19].map(|answers| suspicious(5, answers)), [false, false, true]);
    }

    #[test]
    fn a_slow_endpoint_is_suspected_again_only_when_more_wait() {
        let mut watch = Watch::default();
        watch.is_merely_slow(10);
        assert!((0..20).all(|_| !watch.is_quiet(sums(20, 0))));
        assert!(watch.is_quiet(sums(21, 0)));
        watch.is_merely_slow(21);
        assert!(!watch.is_quiet(sums(21, 1)), "it has answered, so it counts anew");
        assert_eq!([(); 3].map(|()| watch.is_quiet(sums(21, 1))), [false, false, true]);
    }

    #[test]
    fn checks_are_spread_and_repeated() {
        let (mut watch, start, second) = (Watch::default(), Instant::now(), Duration::from_secs(1));
        let mut due = |millis| watch.check_is_due(start + Duration::from_millis(millis), second, 0.5);
        assert_eq!([0, 499, 500, 501, 1499, 1500].map(&mut due), [false, false, true, false, false, true]);
    }

    #[test]
    fn several_results_in_a_row_change_the_health() {
        let mut watch = Watch::default();
        assert!(!watch.contradicts(3) && !watch.contradicts(3));
        watch.confirms();
        assert_eq!([(); 3].map(|()| watch.contradicts(3)), [false, false, true]);
        assert!(watch.contradicts(1));
    }

    #[test]
    fn attempts_become_rarer_up_to_a_limit() {
        let (mut watch, mut now) = (Watch::default(), Instant::now());
        assert!(!watch.attempt_is_due(now));
        for seconds in [1, 2, 4, 8, 10, 10] {
            let pause = Duration::from_secs(seconds);
            assert!(!watch.attempt_is_due(now + pause.saturating_sub(Duration::from_millis(1))));
            now += pause;
            assert!(watch.attempt_is_due(now));
            watch.attempt_failed(now);
        }
        watch.attempt_succeeded();
        assert!(!watch.attempt_is_due(now) && watch.attempt_is_due(now + FIRST_PAUSE));
    }
}
