//! The health of a provider, judged by its responses to our requests for people. A failure of a single grant says
//! nothing about its provider.

use chrono::{DateTime, TimeDelta, Utc};

/// How long a provider must not have failed before it counts as working again. At a rate limit some requests succeed
/// while others fail, and the operator should not be notified at each change. A grant is retried no earlier after a
/// failure.
const QUIET: TimeDelta = TimeDelta::seconds(30);

/// The party that can end a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The operator: the client id, its secret, or the app's settings at the provider.
    Configuration,
    /// The provider: it is down, unreachable, too slow, or limits our rate.
    Outage,
}

/// Why a provider fails a request though nothing is wrong with the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The party that can end it.
    pub kind: TroubleKind,
    /// The provider's error code, or the fault in its response. It contains no secret.
    pub error: String,
}

/// A trouble that persists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ongoing {
    /// The trouble at the last failure.
    pub trouble: Trouble,
    /// When it began.
    pub since: DateTime<Utc>,
}

/// The evidence of a response about the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// It served the request.
    Served,
    /// It refused one grant: it is up, but may not have checked our credentials.
    Up,
    /// It failed the request, and nothing is wrong with the grant.
    Failed(Trouble),
}

/// News for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A trouble began, or one of the other kind joined it.
    Trouble(Trouble),
    /// The trouble is over.
    Over(Ongoing),
}

/// The health of a provider. Each trouble is reported once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderHealth(Option<State>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    ongoing: Ongoing,
    /// The kinds that were reported.
    told: Vec<TroubleKind>,
    failed_at: DateTime<Utc>,
    /// Whether a response since the last failure proves that the trouble is over.
    refuted: bool,
}

impl ProviderHealth {
    /// Records a response. Returns the news.
    pub fn note(&mut self, evidence: Evidence, now: DateTime<Utc>) -> Vec<News> {
        let over = self.settle(now);
        let begun = match evidence {
            Evidence::Served => {
                self.refute(|_| true);
                None
            }
            Evidence::Up => {
                self.refute(|kind| kind == TroubleKind::Outage);
                None
            }
            Evidence::Failed(trouble) => self.fail(trouble, now),
        };
        over.into_iter().chain(begun).chain(self.settle(now)).collect()
    }

    /// Ends a trouble that is over.
    pub fn settle(&mut self, now: DateTime<Utc>) -> Option<News> {
        let is_over = |state: &mut State| state.refuted && (now - state.failed_at).abs() >= QUIET;
        self.0.take_if(is_over).map(|state| News::Over(state.ongoing))
    }

    /// The current trouble, if any.
    pub fn ongoing(&self) -> Option<&Ongoing> {
        self.0.as_ref().map(|state| &state.ongoing)
    }

    fn refute(&mut self, is_refuted: impl Fn(TroubleKind) -> bool) {
        if let Some(state) = &mut self.0 {
            state.refuted |= is_refuted(state.ongoing.trouble.kind);
        }
    }

    fn fail(&mut self, trouble: Trouble, now: DateTime<Utc>) -> Option<News> {
        let state = self.0.get_or_insert_with(|| State {
            ongoing: Ongoing { trouble: trouble.clone(), since: now },
            told: Vec::new(),
            failed_at: now,
            refuted: false,
        });
        (state.ongoing.trouble, state.failed_at, state.refuted) = (trouble.clone(), now, false);
        let is_told = state.told.contains(&trouble.kind);
        if !is_told {
            state.told.push(trouble.kind);
        }
        (!is_told).then_some(News::Trouble(trouble))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn trouble(kind: TroubleKind, error: &str) -> Trouble {
        Trouble { kind, error: error.to_owned() }
    }

    fn outage() -> Trouble {
        trouble(TroubleKind::Outage, "http_503")
    }

    fn configuration() -> Trouble {
        trouble(TroubleKind::Configuration, "invalid_client")
    }

    /// The single piece of news of a response.
    fn one(health: &mut ProviderHealth, evidence: Evidence, seconds: i64) -> Option<News> {
        let mut news = health.note(evidence, at(seconds));
        assert!(news.len() <= 1, "{news:?}");
        news.pop()
    }

    #[test]
    fn a_trouble_is_reported_when_it_begins_and_when_it_is_over() {
        let mut health = ProviderHealth::default();
        assert_eq!(one(&mut health, Evidence::Served, 0), None);
        assert_eq!(one(&mut health, Evidence::Failed(outage()), 1), Some(News::Trouble(outage())));
        for seconds in 2..3600 {
            assert_eq!(one(&mut health, Evidence::Failed(outage()), seconds), None);
        }
        assert_eq!(health.ongoing(), Some(&Ongoing { trouble: outage(), since: at(1) }));
        let over = News::Over(Ongoing { trouble: outage(), since: at(1) });
        assert_eq!(one(&mut health, Evidence::Served, 3629), Some(over));
        assert_eq!(health.settle(at(9000)), None);
        assert_eq!(health.ongoing(), None);
    }

    #[test]
    fn alternating_responses_are_one_trouble() {
        let mut health = ProviderHealth::default();
        let mut news = Vec::new();
        for seconds in 0..600 {
            let fails = seconds % 10 == 0;
            let evidence = if fails { Evidence::Failed(outage()) } else { Evidence::Served };
            news.extend(health.note(evidence, at(seconds)));
        }
        assert_eq!(news, [News::Trouble(outage())]);
        // It ends without a further request.
        assert_eq!(health.settle(at(619)), None);
        assert_eq!(health.settle(at(620)), Some(News::Over(Ongoing { trouble: outage(), since: at(0) })));
    }

    #[test]
    fn silence_is_no_proof() {
        let mut health = ProviderHealth::default();
        health.note(Evidence::Failed(outage()), at(0));
        assert_eq!(health.settle(at(100_000)), None);
        assert!(health.ongoing().is_some());
    }

    #[test]
    fn a_refused_grant_shows_that_the_provider_is_up_and_not_that_it_knows_us() {
        let mut health = ProviderHealth::default();
        health.note(Evidence::Failed(outage()), at(0));
        assert!(matches!(one(&mut health, Evidence::Up, 60), Some(News::Over(_))));
        health.note(Evidence::Failed(configuration()), at(100));
        assert_eq!(one(&mut health, Evidence::Up, 160), None);
        assert!(matches!(one(&mut health, Evidence::Served, 200), Some(News::Over(_))));
    }

    #[test]
    fn each_kind_is_reported_once_and_the_last_failure_is_shown() {
        let mut health = ProviderHealth::default();
        assert_eq!(one(&mut health, Evidence::Failed(outage()), 0), Some(News::Trouble(outage())));
        assert_eq!(one(&mut health, Evidence::Failed(configuration()), 1), Some(News::Trouble(configuration())));
        for seconds in 2..100 {
            let trouble = if seconds % 2 == 0 { outage() } else { configuration() };
            assert_eq!(one(&mut health, Evidence::Failed(trouble), seconds), None);
        }
        assert_eq!(health.ongoing(), Some(&Ongoing { trouble: configuration(), since: at(0) }));
    }

    #[test]
    fn a_trouble_that_begins_after_the_end_is_news_again() {
        let mut health = ProviderHealth::default();
        health.note(Evidence::Failed(outage()), at(0));
        health.note(Evidence::Served, at(5));
        // The first was over at 30; this is another.
        let news = health.note(Evidence::Failed(outage()), at(60));
        assert_eq!(news, [News::Over(Ongoing { trouble: outage(), since: at(0) }), News::Trouble(outage())]);
        assert_eq!(health.ongoing().unwrap().since, at(60));
    }
}
