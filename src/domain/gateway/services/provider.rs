//! The health of the providers: judged by the outcome of requests to them, reported to the operator once, and kept for
//! queries.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{error, info, warn};

use super::ports::ProviderError;
use crate::{
    domain::gateway::models::{
        oauth::ProviderName,
        provider::health::{Evidence, News, Ongoing, ProviderHealth, Trouble, TroubleKind},
    },
    ports::Clock,
};

/// The health of each enabled provider, as far as this gateway has seen.
pub struct ProviderHealths {
    clock: Arc<dyn Clock>,
    healths: Mutex<BTreeMap<ProviderName, ProviderHealth>>,
}

/// The health of one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderState {
    /// Its name.
    pub name: ProviderName,
    /// Its current trouble, if any.
    pub trouble: Option<Ongoing>,
}

impl ProviderHealths {
    /// The health of these providers. No trouble is known yet.
    pub fn new(names: impl IntoIterator<Item = ProviderName>, clock: Arc<dyn Clock>) -> Self {
        let healths = names.into_iter().map(|name| (name, ProviderHealth::default())).collect();
        Self { clock, healths: Mutex::new(healths) }
    }

    /// All of them, by name.
    pub fn states(&self) -> Vec<ProviderState> {
        let now = self.clock.now();
        let state = |(name, health): (&ProviderName, &mut ProviderHealth)| {
            tell(name, health.settle(now));
            ProviderState { name: name.clone(), trouble: health.ongoing().cloned() }
        };
        self.lock().iter_mut().map(state).collect()
    }

    /// Records the outcome of a refresh. A failure that does not concern the grant concerns the provider, or us.
    pub(super) fn note_refresh<T>(&self, provider: &ProviderName, outcome: &Result<T, ProviderError>) {
        let evidence = match outcome {
            Err(ProviderError::Refused { code }) => Some(failure(TroubleKind::Configuration, code)),
            Err(ProviderError::BadResponse(flaw)) => Some(failure(TroubleKind::Outage, flaw)),
            outcome => plain_evidence(outcome),
        };
        self.note(provider, evidence);
    }

    /// Records the outcome of a code exchange. A code that a provider refuses may be its sender's fault.
    pub(super) fn note_exchange<T>(&self, provider: &ProviderName, outcome: &Result<T, ProviderError>) {
        self.note(provider, plain_evidence(outcome));
    }

    /// Records that no browser can be sent to a provider, because its metadata is unavailable for instance. A success
    /// proves nothing: most providers are not contacted for it.
    pub(super) fn note_departure<T>(&self, provider: &ProviderName, outcome: &Result<T, ProviderError>) {
        if let Err(ProviderError::Unavailable(why) | ProviderError::Throttled(why) | ProviderError::BadResponse(why)) =
            outcome
        {
            self.note(provider, Some(failure(TroubleKind::Outage, why)));
        }
    }

    /// Ends the trouble of a provider that has worked again for a while.
    pub(super) fn settle(&self, provider: &ProviderName) {
        if let Some(health) = self.lock().get_mut(provider) {
            tell(provider, health.settle(self.clock.now()));
        }
    }

    fn note(&self, provider: &ProviderName, evidence: Option<Evidence>) {
        let mut healths = self.lock();
        if let (Some(evidence), Some(health)) = (evidence, healths.get_mut(provider)) {
            tell(provider, health.note(evidence, self.clock.now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProviderName, ProviderHealth>> {
        self.healths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(kind: TroubleKind, error: &str) -> Evidence {
    Evidence::Failed(Trouble { kind, error: error.to_owned() })
}

/// The evidence of an outcome about the provider, for any kind of request.
fn plain_evidence<T>(outcome: &Result<T, ProviderError>) -> Option<Evidence> {
    match outcome {
        Ok(_) => Some(Evidence::Served),
        Err(ProviderError::InvalidGrant { .. }) => Some(Evidence::Up),
        Err(ProviderError::Misconfigured { code }) => Some(failure(TroubleKind::Configuration, code)),
        Err(ProviderError::Unavailable(why) | ProviderError::Throttled(why)) => {
            Some(failure(TroubleKind::Outage, why))
        }
        Err(
            ProviderError::Refused { .. }
            | ProviderError::BadResponse(_)
            | ProviderError::NonceMismatch
            // A code that was requested without `openid` brings none, either.
            | ProviderError::NoIdToken { .. }
            | ProviderError::NotAdmitted(_)
            | ProviderError::Unsupported,
        ) => None,
    }
}

fn tell(provider: &ProviderName, news: impl IntoIterator<Item = News>) {
    for news in news {
        match news {
            News::Trouble(Trouble { kind: TroubleKind::Configuration, error }) => error!(
                %provider,
                error,
                "the provider refuses the gateway itself, and no longer renews tokens; check the client id, the client secret \
                 and the app's settings at the provider; no grant is lost, and each is tried again"
            ),
            News::Trouble(Trouble { kind: TroubleKind::Outage, error }) => warn!(
                %provider,
                error,
                "the provider is out of reach, fails or is overloaded; see its status page if this lasts; no grant is lost, and \
                 each is tried again"
            ),
            // The log line of the trouble says when it began.
            News::Over(Ongoing { .. }) => info!(%provider, "the provider works again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::gateway::services::{ports::AdmissionRule, testing::Log},
        ports::testing::TestClock,
    };

    fn healths() -> ProviderHealths {
        ProviderHealths::new(["naver".parse().unwrap(), "google".parse().unwrap()], TestClock::at(1_800_000_000))
    }

    fn failing(healths: &ProviderHealths) -> Vec<String> {
        healths
            .states()
            .into_iter()
            .filter(|state| state.trouble.is_some())
            .map(|state| state.name.to_string())
            .collect()
    }

    #[test]
    fn each_provider_is_judged_separately_and_they_are_listed_by_name() {
        let healths = healths();
        let names: Vec<_> = healths.states().into_iter().map(|state| state.name.to_string()).collect();
        assert_eq!(names, ["google", "naver"]);
        let outcome: Result<(), _> = Err(ProviderError::Unavailable("http_503".into()));
        healths.note_refresh(&"naver".parse().unwrap(), &outcome);
        healths.note_refresh(&"switched-off".parse().unwrap(), &outcome);
        assert_eq!(failing(&healths), ["naver"]);
    }

    #[test]
    fn a_provider_that_no_browser_can_be_sent_to_is_unreachable() {
        let google = "google".parse().unwrap();
        for error in [
            ProviderError::Unavailable("no connection".into()),
            ProviderError::BadResponse("its metadata belong to another issuer".into()),
        ] {
            let healths = healths();
            healths.note_departure::<()>(&google, &Ok(()));
            assert!(failing(&healths).is_empty());
            healths.note_departure::<()>(&google, &Err(error));
            assert_eq!(failing(&healths), ["google"]);
            healths.note_departure::<()>(&google, &Ok(()));
            assert_eq!(failing(&healths), ["google"], "that a browser can be sent there says nothing");
        }
    }

    #[test]
    fn a_sender_of_codes_cannot_make_a_provider_look_unhealthy() {
        let (healths, log, google) = (healths(), Log::begin(), "google".parse().unwrap());
        for error in [
            ProviderError::InvalidGrant { code: "invalid_grant".into() },
            ProviderError::Refused { code: "invalid_request".into() },
            ProviderError::BadResponse("it does not identify the person (sub)".into()),
            ProviderError::NonceMismatch,
            ProviderError::NoIdToken { remedy: "switch it on" },
            ProviderError::NotAdmitted(AdmissionRule::HostedDomain),
            ProviderError::Unsupported,
        ] {
            healths.note_exchange(&google, &Err::<(), _>(error));
        }
        assert_eq!((failing(&healths), log.lines()), (vec![], vec![]));
        healths.note_exchange(&google, &Err::<(), _>(ProviderError::Misconfigured { code: "deleted_client".into() }));
        assert_eq!((failing(&healths).len(), log.lines().len()), (1, 1));
    }
}
