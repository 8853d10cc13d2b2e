//! Names that services have by default, and whose they are. Two Compose projects may each have a service `web`: their
//! containers are different programs, and must not share requests. The project that had the name first keeps it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{Offer, Refusal};
use crate::domain::gateway::models::service::ServiceName;

/// How long a project keeps a name without a container that can get requests: it may be restarting all of them.
const KEPT_FOR: Duration = Duration::from_mins(5);

/// Who has which name.
#[derive(Debug, Default)]
pub struct DefaultNames(BTreeMap<ServiceName, Holder>);

/// A Compose project, or all containers without one: these have different names.
#[derive(Debug)]
struct Holder {
    project: Option<String>,
    last_seen: Instant,
}

impl DefaultNames {
    /// Admits offers, and refuses those whose name belongs to another project, or to a service that the settings have
    /// an address for. They must come in the order in which their containers were created.
    pub fn admit(
        &mut self,
        offers: Vec<Offer>,
        declared: &BTreeSet<ServiceName>,
        now: Instant,
    ) -> Vec<Result<Offer, Refusal>> {
        for offer in offers.iter().filter(|offer| !offer.is_named) {
            if let Some(holder) = self.0.get_mut(&offer.service).filter(|holder| holder.project == offer.project) {
                holder.last_seen = now;
            }
        }
        self.0.retain(|_, holder| now.duration_since(holder.last_seen) < KEPT_FOR);
        offers.into_iter().map(|offer| self.check(offer, declared, now)).collect()
    }

    fn check(&mut self, offer: Offer, declared: &BTreeSet<ServiceName>, now: Instant) -> Result<Offer, Refusal> {
        if offer.is_named {
            return Ok(offer);
        }
        if declared.contains(&offer.service) {
            return Err(Refusal::Held { service: offer.service, holder: "the settings".to_owned() });
        }
        let new = || Holder { project: offer.project.clone(), last_seen: now };
        let holder = self.0.entry(offer.service.clone()).or_insert_with(new);
        if holder.project == offer.project {
            return Ok(offer);
        }
        Err(Refusal::Held { service: offer.service, holder: in_words(holder.project.as_deref()) })
    }
}

fn in_words(project: Option<&str>) -> String {
    project.map_or_else(
        || "a container without a Compose project".to_owned(),
        |name| format!("the Compose project {name}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gateway::models::service::{Instance, Source};

    fn offer(service: &str, project: Option<&str>, is_named: bool) -> Offer {
        let url = "http://10.0.0.1:80".parse().unwrap();
        Offer {
            service: service.parse().unwrap(),
            is_named,
            project: project.map(str::to_owned),
            instance: Instance::at(&url, 80, vec!["10.0.0.1".parse().unwrap()], Source::Docker),
        }
    }

    /// The projects of `web` that are admitted.
    fn admitted(names: &mut DefaultNames, projects: &[&'static str], now: Instant) -> Vec<&'static str> {
        let offers = projects.iter().map(|project| offer("web", Some(project), false)).collect();
        let outcomes = names.admit(offers, &BTreeSet::new(), now);
        projects.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(project, _)| *project).collect()
    }

    #[test]
    fn the_first_project_keeps_a_name_and_others_may_join_it_on_purpose() {
        let (mut names, now) = (DefaultNames::default(), Instant::now());
        let offers = vec![
            offer("web", Some("shop"), false),
            offer("web", Some("shop"), false),
            offer("web", Some("blog"), false),
            offer("web", None, false),
            offer("web", Some("blog"), true),
            offer("news", Some("blog"), false),
            offer("solo", None, false),
            offer("solo", Some("blog"), false),
        ];
        let outcomes = names.admit(offers, &BTreeSet::new(), now);
        let said: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(ToString::to_string)).collect();
        let of_shop = "the service web is that of the Compose project shop; set gateway.service to a name of its own, or to web to \
                       join it";
        let of_solo = "the service solo is that of a container without a Compose project; set gateway.service to a name of its own, \
                       or to solo to join it";
        let refused = |text: &str| Some(text.to_owned());
        assert_eq!(said, [None, None, refused(of_shop), refused(of_shop), None, None, None, refused(of_solo)]);
    }

    #[test]
    fn a_project_that_restarts_keeps_its_name_and_one_that_is_gone_does_not() {
        let (mut names, start) = (DefaultNames::default(), Instant::now());
        assert_eq!(admitted(&mut names, &["shop", "blog"], start), ["shop"]);
        let last = start + Duration::from_mins(1);
        assert_eq!(admitted(&mut names, &["blog", "shop"], last), ["shop"], "it is the first no longer");
        assert!(admitted(&mut names, &["blog"], last + KEPT_FOR.saturating_sub(Duration::from_secs(1))).is_empty());
        // Nothing was listed for long: the holder is still there.
        assert_eq!(admitted(&mut names, &["blog", "shop"], last + KEPT_FOR * 2), ["shop"]);
        assert_eq!(admitted(&mut names, &["blog"], last + KEPT_FOR * 3), ["blog"]);
        assert_eq!(admitted(&mut names, &["shop", "blog"], last + KEPT_FOR * 3), ["blog"]);
    }

    #[test]
    fn a_name_of_the_settings_is_taken_on_purpose_alone() {
        let declared = BTreeSet::from(["web".parse().unwrap()]);
        let offers =
            vec![offer("web", Some("shop"), false), offer("web", Some("shop"), true), offer("new", None, false)];
        let outcomes = DefaultNames::default().admit(offers, &declared, Instant::now());
        let said: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(ToString::to_string)).collect();
        let refusal =
            "the service web is that of the settings; set gateway.service to a name of its own, or to web to join it";
        assert_eq!(said, [Some(refusal.to_owned()), None, None]);
    }
}
