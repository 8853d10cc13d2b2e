use std::time::Duration;

use chrono::DateTime;
use http::header::AUTHORIZATION;

use super::*;
use crate::{
    domain::gateway::models::{
        rate_limit::RateLimits,
        values::{id::FamilyId, scope::Scope},
    },
    edge::tests::support::{route, token_id},
};

fn limit(requests: u32, by: LimitBy) -> RateLimit {
    let per = Duration::from_hours(1);
    RateLimit { requests, per, burst: requests, by, methods: CountedMethods::All, shared: false }
}

fn limited(limits: Vec<RateLimit>) -> Arc<Route> {
    let policy = TrafficPolicy { rate_limits: RateLimits::new(limits), ..TrafficPolicy::default() };
    Arc::new(Route { traffic: Some(Arc::new(policy)), ..route("/api/x", "x", "/") })
}

fn identity(subject: &str, client_id: Option<&str>) -> Identity {
    Identity {
        subject: subject.into(),
        scope: Scope::default(),
        token_id: token_id(1),
        family: FamilyId::from_random([1; 16]),
        expires_at: DateTime::from_timestamp(0, 0).unwrap(),
        claims: client_id.map(|id| ("client_id".to_owned(), id.into())).into_iter().collect(),
    }
}

fn head(method: Method, headers: &[(HeaderName, &'static str)]) -> RequestHead {
    RequestHead { method, headers: headers.iter().cloned().collect(), ..RequestHead::default() }
}

/// The result of one request, and the value of `RateLimit`.
fn ask(
    buckets: &Buckets,
    route: &Arc<Route>,
    address: &str,
    identity: Option<&Identity>,
    head: &RequestHead,
) -> (Result<(), Failure>, String) {
    let mut quotas = Quotas::on(route);
    let requester = Requester { address: address.parse().unwrap(), identity, head };
    let taken = quotas.take(buckets, &requester, |_| true);
    let mut headers = HeaderList::default();
    quotas.apply(&mut headers);
    (taken, headers.text(&RATE_LIMIT).unwrap_or_default().to_owned())
}

#[test]
fn each_subject_has_its_own_limit() {
    let buckets = Buckets::new();
    let plain = head(Method::GET, &[]);
    let passes = |route: &Arc<Route>, address: &str, identity: Option<&Identity>, head: &RequestHead| {
        ask(&buckets, route, address, identity, head).0.is_ok()
    };
    let by_address = limited(vec![limit(1, LimitBy::Address)]);
    assert!(passes(&by_address, "192.0.2.1", None, &plain) && !passes(&by_address, "::ffff:192.0.2.1", None, &plain));
    assert!(passes(&by_address, "2001:db8::1", None, &plain) && !passes(&by_address, "2001:db8::2", None, &plain));
    assert!(passes(&by_address, "2001:db8:0:1::1", None, &plain), "another network");

    let (alice, bob) = (identity("alice", Some("app")), identity("bob", Some("app")));
    let by_account = limited(vec![limit(1, LimitBy::Account)]);
    assert!(passes(&by_account, "192.0.2.1", Some(&alice), &plain));
    assert!(
        !passes(&by_account, "192.0.2.2", Some(&alice), &plain) && passes(&by_account, "192.0.2.2", Some(&bob), &plain)
    );
    assert!(passes(&by_account, "192.0.2.3", None, &plain) && !passes(&by_account, "192.0.2.3", None, &plain));
    // A subject that looks like an address is none.
    assert!(passes(&by_account, "192.0.2.4", Some(&identity("192.0.2.3", None)), &plain));

    let by_client = limited(vec![limit(1, LimitBy::Client)]);
    assert!(
        passes(&by_client, "192.0.2.1", Some(&alice), &plain) && !passes(&by_client, "192.0.2.2", Some(&bob), &plain)
    );
    let signed_in = identity("carol", None);
    assert!(passes(&by_client, "192.0.2.1", Some(&signed_in), &plain));
    assert!(!passes(&by_client, "192.0.2.2", Some(&signed_in), &plain));

    let by_header = limited(vec![limit(1, LimitBy::Header("authorization".into()))]);
    let [one, other] = ["one", "other"].map(|key| head(Method::GET, &[(AUTHORIZATION, key)]));
    assert!(passes(&by_header, "192.0.2.1", None, &one) && !passes(&by_header, "192.0.2.2", None, &one));
    assert!(passes(&by_header, "192.0.2.1", None, &other) && passes(&by_header, "192.0.2.1", None, &plain));
}

#[test]
fn a_request_that_one_limit_refuses_counts_against_none() {
    let buckets = Buckets::new();
    let route = limited(vec![limit(3, LimitBy::Address), limit(1, LimitBy::Account)]);
    let plain = head(Method::GET, &[]);
    let (alice, bob, carol) = (identity("alice", None), identity("bob", None), identity("carol", None));
    let ask = |identity| ask(&buckets, &route, "192.0.2.1", Some(identity), &plain);
    let (first, left) = ask(&alice);
    assert_eq!((first, left.as_str()), (Ok(()), "\"address\";r=2;t=1200, \"account\";r=0;t=3600"));
    for _ in 0..5 {
        let (refused, left) = ask(&alice);
        assert_eq!(refused, Err(Failure::RateLimited { retry_after: 3600 }));
        assert_eq!(left, "\"account\";r=0;t=3600");
    }
    assert!(ask(&bob).0.is_ok() && ask(&carol).0.is_ok());
    let (refused, left) = ask(&identity("dave", None));
    assert!(refused.is_err() && left.starts_with("\"address\";r=0;t="), "{left}");
}

#[test]
fn a_limit_may_count_only_what_changes_something() {
    let buckets = Buckets::new();
    let route = limited(vec![RateLimit { methods: CountedMethods::Unsafe, ..limit(1, LimitBy::Address) }]);
    let ask = |method| ask(&buckets, &route, "192.0.2.1", None, &head(method, &[]));
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert_eq!(ask(method), (Ok(()), String::new()));
    }
    assert!(ask(Method::POST).0.is_ok() && ask(Method::PUT).0.is_err() && ask(Method::GET).0.is_ok());
}

#[test]
fn routes_and_limits_count_apart_and_a_reload_keeps_counts() {
    let buckets = Buckets::new();
    let plain = head(Method::GET, &[]);
    let one = limited(vec![limit(1, LimitBy::Address)]);
    let other = Arc::new(Route { prefix: "/api/y".parse().unwrap(), ..Route::clone(&one) });
    let passes = |route: &Arc<Route>| ask(&buckets, route, "192.0.2.1", None, &plain).0.is_ok();
    assert!(passes(&one) && passes(&other) && !passes(&one));
    assert!(!passes(&Arc::new(Route::clone(&one))), "the same route, read again");
    assert!(passes(&limited(vec![limit(2, LimitBy::Address)])), "another limit");
}

#[test]
fn a_wait_is_rounded_up() {
    for (millis, whole) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
        assert_eq!(whole_seconds(Duration::from_millis(millis)), whole);
    }
}

#[test]
fn a_safe_method_counts_if_it_may_be_another_one_in_disguise() {
    let is_counted = |head: &RequestHead| counts(CountedMethods::Unsafe, head);
    assert!(!is_counted(&head(Method::GET, &[])) && is_counted(&head(Method::POST, &[])));
    for name in ["x-http-method-override", "x_http_method", "x-method-override"] {
        assert!(is_counted(&head(Method::GET, &[(HeaderName::from_static(name), "POST")])), "{name}");
    }
    let with = |length| RequestHead { length, ..head(Method::GET, &[]) };
    for (length, counted) in [
        (BodyLength::None, false),
        (BodyLength::Known(0), false),
        (BodyLength::Known(1), true),
        (BodyLength::Unknown, true),
    ] {
        assert_eq!(is_counted(&with(length)), counted, "{length:?}");
    }
}
