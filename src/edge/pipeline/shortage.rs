//! Logs that requests are refused for lack of a resource: permits of a route or a service, connections, endpoints. A
//! line for each request would flood the log just under overload, so for each route and reason a core logs it at most
//! once in ten seconds, with the number of requests concerned.

use std::{cell::RefCell, collections::HashMap, time::Instant};

use tracing::warn;

use crate::{
    config::service_variable,
    domain::gateway::models::{
        http::path::PathPrefix,
        service::{Methods, Route},
        values::pace::Pace,
    },
    edge::error::Failure,
};

/// The lacking resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reason {
    /// The route has `max_requests` requests in flight.
    Route,
    /// The service has its maximum of requests in flight.
    Service,
    /// The process has its maximum of connections to services.
    Connections,
    /// The service has no endpoint.
    Instances,
    /// Revocations of other replicas do not arrive.
    Revocations,
    /// Requests come back.
    Loop,
}

impl Reason {
    fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::RouteOverloaded => Some(Self::Route),
            Failure::ServiceOverloaded => Some(Self::Service),
            Failure::ConnectionsExhausted => Some(Self::Connections),
            Failure::NoInstance => Some(Self::Instances),
            Failure::RevocationsUnheard => Some(Self::Revocations),
            Failure::Loop => Some(Self::Loop),
            _ => None,
        }
    }

    /// The description, with a possible remedy.
    fn text(self, route: &Route) -> String {
        match self {
            Self::Route => "the route has reached its limit of requests in flight (max_requests)".to_owned(),
            Self::Service => {
                "the service has reached its limit of requests in flight (MAX_REQUESTS_PER_SERVICE)".to_owned()
            }
            Self::Connections => {
                "the gateway has reached its limit of connections to services (half of `ulimit -n`)".to_owned()
            }
            Self::Revocations => "revocations of other gateways do not arrive (revocation = \"strict\")".to_owned(),
            Self::Loop => {
                "requests come back to the gateway: an instance of the service is the gateway itself, or leads to it"
                    .to_owned()
            }
            Self::Instances => {
                format!(
                    "the service has no instance: {} names none, its name has no address, or none has registered",
                    service_variable(&route.service)
                )
            }
        }
    }
}

/// The shortages that a core has logged: at most one entry for each route and reason.
#[derive(Debug, Default)]
pub(crate) struct Shortages(RefCell<HashMap<(PathPrefix, Methods, Reason), Pace>>);

impl Shortages {
    /// Records that a request on `route` was refused. Logs it if a shortage is the reason, and if it was not logged
    /// just now.
    pub(crate) fn note(&self, route: &Route, failure: &Failure) {
        let Some(reason) = Reason::of(failure) else { return };
        if let Some(requests) = self.due(route, reason, Instant::now()) {
            let status = if reason == Reason::Loop { 508 } else { 503 };
            warn!(route = %route.prefix, service = %route.service, requests, "{}; they get {status}", reason.text(route));
        }
    }

    /// The number of requests to log, if a line is due.
    fn due(&self, route: &Route, reason: Reason, now: Instant) -> Option<u64> {
        let key = (route.prefix.clone(), route.methods.clone(), reason);
        self.0.borrow_mut().entry(key).or_insert(Pace::NEW).due(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::edge::tests::support::route;

    #[test]
    fn a_shortage_is_logged_at_once_and_then_at_intervals_with_the_number_of_requests() {
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
    fn the_lacking_resource_is_named_with_its_setting() {
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
