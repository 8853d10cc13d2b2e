//! Says in the log that requests are refused because there is too little of something: permits of a route or a service, connections,
//! instances. A line for each request would be a flood just when there is too much to do, so a core says it at most once in ten
//! seconds for each route and reason, with how many requests it concerned.

use std::{
    cell::RefCell,
    collections::HashMap,
    time::{Duration, Instant},
};

use tracing::warn;

use crate::{
    config::service_variable,
    domain::gateway::models::{
        path::PathPrefix,
        service::{Methods, Route},
    },
    edge::error::Failure,
};

/// How long a core says nothing more about a route and a reason.
const PAUSE: Duration = Duration::from_secs(10);

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reason {
    /// The route has as many requests in flight as its `max_requests`.
    Route,
    /// The service has as many requests in flight as it may.
    Service,
    /// The process has as many connections to services as it may.
    Connections,
    /// The service has no instance.
    Instances,
}

impl Reason {
    fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::RouteOverloaded => Some(Self::Route),
            Failure::ServiceOverloaded => Some(Self::Service),
            Failure::ConnectionsExhausted => Some(Self::Connections),
            Failure::NoInstance => Some(Self::Instances),
            _ => None,
        }
    }

    /// What has happened, and what may be done about it.
    fn text(self, route: &Route) -> String {
        match self {
            Self::Route => "the route has reached its limit of requests in flight (max_requests)".to_owned(),
            Self::Service => {
                "the service has reached its limit of requests in flight (MAX_REQUESTS_PER_SERVICE)".to_owned()
            }
            Self::Connections => {
                "the gateway has reached its limit of connections to services (half of `ulimit -n`)".to_owned()
            }
            Self::Instances => {
                format!("the service has no instance: {} says where it answers", service_variable(&route.service))
            }
        }
    }
}

/// What a core has said.
#[derive(Debug, Default)]
pub(crate) struct Shortages(RefCell<HashMap<(PathPrefix, Methods, Reason), Said>>);

#[derive(Debug)]
struct Said {
    at: Instant,
    /// How many requests were refused since.
    unsaid: u64,
}

impl Shortages {
    /// A request on `route` was refused; says so if that is the reason, and if it was not said just now.
    pub(crate) fn note(&self, route: &Route, failure: &Failure) {
        let Some(reason) = Reason::of(failure) else { return };
        if let Some(requests) = self.due(route, reason, Instant::now()) {
            warn!(route = %route.prefix, service = %route.service, requests, "{}; they get 503", reason.text(route));
        }
    }

    /// How many requests are to be told of, if it is time to do so.
    fn due(&self, route: &Route, reason: Reason, now: Instant) -> Option<u64> {
        let mut said = self.0.borrow_mut();
        // As many entries as there are routes, at most.
        let key = (route.prefix.clone(), route.methods.clone(), reason);
        let Some(known) = said.get_mut(&key) else {
            said.insert(key, Said { at: now, unsaid: 0 });
            return Some(1);
        };
        known.unsaid += 1;
        if now.saturating_duration_since(known.at) < PAUSE {
            return None;
        }
        known.at = now;
        Some(std::mem::take(&mut known.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::tests::support::route;

    #[test]
    fn a_shortage_is_told_at_once_and_then_at_intervals_with_all_that_it_concerned() {
        let shortages = Shortages::default();
        let (one, other) = (route("/api/a", "a", "/"), route("/api/b", "a", "/"));
        let now = Instant::now();
        let due = |route, reason, seconds| shortages.due(route, reason, now + Duration::from_secs(seconds));
        assert_eq!(due(&one, Reason::Route, 0), Some(1));
        assert_eq!((due(&one, Reason::Route, 1), due(&one, Reason::Route, 9)), (None, None));
        assert_eq!((due(&other, Reason::Route, 9), due(&one, Reason::Service, 9)), (Some(1), Some(1)));
        assert_eq!((due(&one, Reason::Route, 10), due(&one, Reason::Route, 19)), (Some(3), None));
        assert_eq!(due(&one, Reason::Route, 100), Some(2));
    }

    #[test]
    fn what_there_is_too_little_of_is_named_with_what_sets_it() {
        let route = route("/api/a", "user-mail", "/");
        for (failure, setting) in [
            (Failure::RouteOverloaded, "max_requests"),
            (Failure::ServiceOverloaded, "MAX_REQUESTS_PER_SERVICE"),
            (Failure::ConnectionsExhausted, "ulimit -n"),
            (Failure::NoInstance, "USER_MAIL_SERVICE_URL"),
        ] {
            let text = Reason::of(&failure).unwrap().text(&route);
            assert!(text.contains(setting), "{text}");
        }
        assert_eq!(Reason::of(&Failure::HungUp), None);
    }
}
