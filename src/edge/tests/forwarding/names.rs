use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use crate::edge::{
    net::names::{Lookup, Names},
    tests::{
        harness::{Gateway, Setup, Upstream, get, soon, until},
        support::{route, service},
    },
};

/// Resolves `well.test` to loopback, and does not respond for `sick.test` until it is told to.
#[derive(Clone, Default)]
struct Fake(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    asked: Vec<String>,
    responses: bool,
}

impl Lookup for Fake {
    fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.asked.push(name.to_owned());
        match name {
            "well.test" => Ok(vec![([127, 0, 0, 1], 0).into()]),
            "none.test" => Err(io::Error::other("no such name")),
            _ => {
                drop(changed.wait_while(state, |state| !state.responses).unwrap());
                Err(io::Error::other("no answer"))
            }
        }
    }
}

impl Fake {
    fn times_asked(&self, name: &str) -> usize {
        self.0.0.lock().unwrap().asked.iter().filter(|asked| *asked == name).count()
    }

    fn respond(&self) {
        self.0.0.lock().unwrap().responses = true;
        self.0.1.notify_all();
    }
}

/// Two cores, and services with these names.
fn gateway(upstream: &Upstream, connect_timeout: Option<Duration>) -> (Fake, Gateway) {
    let fake = Fake::default();
    let mut setup = Setup::of(&[]);
    setup.cores = 2;
    setup.names = Names::new(fake.clone(), Instant::now);
    setup.upstream.connect_timeout = connect_timeout.unwrap_or(setup.upstream.connect_timeout);
    let port = upstream.address.port();
    for name in ["well", "sick", "none"] {
        setup.services.push(service(name, &[&format!("http://{name}.test:{port}")]));
        setup.routes.push(route(&format!("/api/{name}"), name, "/"));
    }
    (fake, setup.start())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unresponsive_name_affects_only_its_own_service() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
    let (fake, gateway) = gateway(&upstream, None);
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut client = gateway.connect().await;
        client.send(&get("/api/sick", "")).await;
        waiting.push(client);
    }
    until("the look-up", || fake.times_asked("sick.test") == 1).await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/api/well", "").await.status, 200);
    }
    assert_eq!((fake.times_asked("sick.test"), fake.times_asked("well.test")), (1, 1));
    fake.respond();
    for mut client in waiting {
        assert_eq!(soon("an answer", client.response(true)).await.problem(), (502, "bad_gateway".to_owned()));
    }
    assert_eq!(gateway.get("/api/none", "").await.problem(), (502, "bad_gateway".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_is_limited_by_the_connect_timeout() {
    let upstream = Upstream::ok().await;
    let (fake, gateway) = gateway(&upstream, Some(Duration::from_millis(50)));
    assert_eq!(gateway.get("/api/sick", "").await.problem(), (504, "gateway_timeout".to_owned()));
    fake.respond();
}
