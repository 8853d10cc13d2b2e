//! A browser's own `WebSocket` and `EventSource`, on a page that is served through the gateway, too.

use serde_json::{Value, json};

use crate::{
    common::Gateway,
    driver::Browser,
    stage::{Came, Stage},
};

const ROUTES: &str = r#"
[[routes]]
path = "/api/stage"
service = "stage"
access = "open"

[[routes]]
path = "/api/backstage"
service = "stage"
"#;

/// A page, and its service.
struct Setup {
    browser: Browser,
    stage: Stage,
    gateway: Gateway,
}

impl Setup {
    fn open() -> Self {
        let stage = Stage::start();
        let url = format!("http://{}", stage.address);
        let gateway = Gateway::with_routes(&[("STAGE_SERVICE_URL", &url)], Some(ROUTES));
        let browser = Browser::start();
        browser.open(&format!("http://{}/api/stage", gateway.address));
        assert_eq!(browser.page_text(), "Stage");
        Self { browser, stage, gateway }
    }

    /// Makes the page do this.
    fn does(&self, script: &str) {
        self.browser.script(script);
    }

    /// The next report of the page is this.
    #[track_caller]
    fn tells(&self, wanted: &Value) {
        let told = self.browser.wait_for(&format!("the page tells {wanted}"), || {
            let told = self.browser.script("return told.shift()");
            (!told.is_null()).then_some(told)
        });
        assert_eq!(&told, wanted);
    }
}

fn listener(caller: &str, last_event_id: &str) -> Came {
    Came::Listener { caller: caller.to_owned(), last_event_id: last_event_id.to_owned() }
}

fn close(code: u16, reason: &str) -> Came {
    Came::Close { code, reason: reason.to_owned() }
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_pages_websocket_is_echoed_and_hears_why_it_was_closed() {
    let setup = Setup::open();
    setup.does("window.socket = openSocket('/api/stage/socket')");
    setup.tells(&json!("open"));
    for text in ["hello", "", "안녕 ☕ \r\n\0"] {
        setup.does(&format!("socket.send({})", json!(text)));
        setup.tells(&json!(text));
    }
    setup.does("socket.send(new Uint8Array([0, 255, 13, 10, 13, 10]))");
    setup.tells(&json!([0, 255, 13, 10, 13, 10]));
    setup.does("sendLarge(socket, 4_000_000)");
    setup.tells(&json!({"bytes": 4_000_000, "theSame": true}));
    setup.does("socket.send('close 4001 the show is over')");
    setup.tells(&json!({"code": 4001, "reason": "the show is over", "wasClean": true}));
    assert_eq!(setup.stage.came(), close(4001, "the show is over"));
    // The other way round.
    setup.does("window.socket = openSocket('/api/stage/socket')");
    setup.tells(&json!("open"));
    setup.does("socket.close(4002, 'I have to go')");
    setup.tells(&json!({"code": 4002, "reason": "I have to go", "wasClean": true}));
    assert_eq!(setup.stage.came(), close(4002, "I have to go"));
    assert_eq!(setup.browser.complaints(), [""; 0]);
    // A socket that ends with its browser, with a closing frame or without.
    setup.does("openSocket('/api/stage/socket')");
    setup.tells(&json!("open"));
    let Setup { browser, stage, gateway } = setup;
    drop(browser);
    let end = stage.came();
    assert!(end == Came::Cut || end == close(1001, ""), "{end:?}");
    gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_pages_websocket_opens_with_a_token_alone_and_ends_with_it() {
    let setup = Setup::open();
    let cut_off = json!({"code": 1006, "reason": "", "wasClean": false});
    setup.does("openSocket('/api/backstage/socket')");
    setup.tells(&cut_off);
    setup.gateway.printed("  401 GET ");
    let (token, _) = setup.gateway.tokens(&json!({"subject": "alice"}));
    setup.browser.send_along(&json!({"Authorization": format!("Bearer {token}")}));
    setup.does("openSocket('/api/backstage/socket')");
    setup.tells(&json!("open"));
    setup.gateway.post("/tokens/revoke", &json!({"token": token})).expect(200);
    setup.tells(&cut_off);
    assert_eq!(setup.stage.came(), Came::Cut);
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn an_event_source_hears_every_event_when_it_is_sent_and_comes_back_by_itself() {
    let setup = Setup::open();
    setup.does("openEvents('/api/stage/events')");
    assert_eq!(setup.stage.came(), listener("", ""));
    setup.tells(&json!("open"));
    // The next event is sent when the page has reported the last one.
    for (event, data, id) in [
        ("id: 1\ndata: one\n\n", "one", "1"),
        ("id: 2\ndata: two\n\n", "two", "2"),
        (": a comment\n\nid: 3\nretry: 10\ndata: three\n\n", "three", "3"),
    ] {
        setup.stage.send(event);
        setup.tells(&json!({"data": data, "lastEventId": id}));
    }
    // An event in two parts is one event.
    setup.stage.send("event: weather\ndata: 비가\nda");
    setup.stage.send("ta: 옵니다\n\n");
    setup.tells(&json!({"weather": "비가\n옵니다"}));
    for _ in 0..3 {
        setup.stage.end();
        setup.tells(&json!("connecting"));
        assert_eq!(setup.stage.came(), listener("", "3"));
        setup.tells(&json!("open"));
    }
    setup.stage.send("data: four\n\n");
    setup.tells(&json!({"data": "four", "lastEventId": "3"}));
    assert_eq!(setup.browser.complaints(), [""; 0]);
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn an_event_source_ends_with_its_token_and_does_not_come_back() {
    let setup = Setup::open();
    let (token, _) = setup.gateway.tokens(&json!({"subject": "alice"}));
    // A page cannot do that; a proxy between it and the gateway can.
    setup.browser.send_along(&json!({"Authorization": format!("Bearer {token}")}));
    setup.does("openEvents('/api/backstage/events')");
    assert_eq!(setup.stage.came(), listener("alice", ""));
    setup.tells(&json!("open"));
    setup.stage.send("retry: 10\ndata: one\n\n");
    setup.tells(&json!({"data": "one", "lastEventId": ""}));
    setup.gateway.post("/tokens/revoke", &json!({"token": token})).expect(200);
    setup.tells(&json!("connecting"));
    // It has reconnected, and was told not to retry.
    setup.tells(&json!("closed"));
    setup.gateway.printed("  401 GET ");
    setup.gateway.is_unharmed();
}
