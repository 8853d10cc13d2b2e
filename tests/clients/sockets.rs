//! `WebSocket`s with Python's `websockets` on both sides, which can send a token, unlike a browser.

use serde_json::{Value, json};

use crate::{
    common::Gateway,
    programs::{Conversation, Script},
};

/// The script with both sides, and the gateway between them.
struct Setup {
    script: Conversation,
    gateway: Gateway,
    token: String,
}

impl Setup {
    fn start() -> Self {
        let script = Conversation::begin(Script::python("sockets.py", include_str!("sockets.py")), &[]);
        let url = format!("http://127.0.0.1:{}", script.said()["port"]);
        let gateway = Gateway::with(&[("CHAT_SERVICE_URL", &url)]);
        let (token, _) = gateway.tokens(&json!({"subject": "alice"}));
        Self { script, gateway, token }
    }

    /// Opens a socket; returns the outcome.
    #[track_caller]
    fn open(&mut self, name: &str, path: &str, token: Option<&str>, compression: Option<&str>) -> Value {
        let url = format!("ws://{}/api/chat{path}", self.gateway.address);
        let command = json!({"do": "open", "name": name, "url": url, "token": token, "compression": compression});
        self.script.ask(&command)
    }

    #[track_caller]
    fn is_echoed(&mut self, name: &str, message: &Value, heard: &Value) {
        let response = self.script.ask(&json!({"do": "say", "name": name, "message": message}));
        assert_eq!(&response, &json!({"heard": heard}));
    }

    #[track_caller]
    fn service_saw(&mut self, code: u16, reason: &str) {
        assert_eq!(self.script.ask(&json!({"do": "service_saw"})), json!({"code": code, "reason": reason}));
    }
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn messages_of_every_kind_pass_and_so_do_closes() {
    let mut setup = Setup::start();
    let token = setup.token.clone();
    for (compression, extension) in [(None, json!(null)), (Some("deflate"), json!("permessage-deflate"))] {
        let opened = setup.open("one", "", Some(&token), compression);
        assert_eq!(opened, json!({"subprotocol": "chat.v2", "extension": extension}));
        // The service learns the caller, and does not see the token.
        setup.is_echoed("one", &json!("who"), &json!("alice None"));
        for message in [json!("안녕 ☕"), json!(""), json!({"hex": "00ff0d0a0d0a"}), json!({"hex": ""})] {
            setup.is_echoed("one", &message, &message);
        }
        setup.is_echoed("one", &json!(["in ", "", "three fragments"]), &json!("in three fragments"));
        let much = setup.script.ask(&json!({"do": "say_much", "name": "one", "bytes": 5_000_000}));
        assert_eq!(much, json!({"bytes": 5_000_000, "the_same": true}));
        assert_eq!(setup.script.ask(&json!({"do": "ping", "name": "one"})), json!({"pong": true}));
        // The other side receives the closing reason, whichever side closes first.
        let closed = setup.script.ask(&json!({"do": "close", "name": "one", "code": 4002, "reason": "enough"}));
        assert_eq!(closed, json!({"code": 4002, "reason": "enough"}));
        setup.service_saw(4002, "enough");
        setup.open("two", "", Some(&token), compression);
        let ended = setup.script.ask(&json!({"do": "end", "name": "two", "message": "close 4001 no more"}));
        assert_eq!(ended, json!({"code": 4001, "reason": "no more"}));
        setup.service_saw(4001, "no more");
    }
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_socket_ends_with_its_token_and_no_other_does() {
    let mut setup = Setup::start();
    let token = setup.token.clone();
    let (other, _) = setup.gateway.tokens(&json!({"subject": "alice"}));
    setup.open("revoked", "", Some(&token), None);
    setup.open("other", "", Some(&other), None);
    setup.is_echoed("revoked", &json!("before"), &json!("before"));
    setup.gateway.post("/tokens/revoke", &json!({"token": token})).expect(200);
    // Cut off: a close frame of the gateway could land in the middle of a frame of the service.
    assert_eq!(setup.script.ask(&json!({"do": "end", "name": "revoked"})), json!({"code": 1006, "reason": ""}));
    setup.service_saw(1006, "");
    setup.is_echoed("other", &json!("after"), &json!("after"));
    // It does not open again.
    let refused = setup.open("revoked", "", Some(&token), None);
    assert_eq!(refused["status"], 401, "{refused}");
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_refused_socket_gets_the_response_of_the_refusing_side() {
    let mut setup = Setup::start();
    let token = setup.token.clone();
    let refused = setup.open("refused", "", None, None);
    let problem: Value = serde_json::from_str(refused["body"].as_str().unwrap()).unwrap();
    assert_eq!((&refused["status"], &problem["code"]), (&json!(401), &json!("token_missing")), "{refused}");
    let refused = setup.open("refused", "/refused", Some(&token), None);
    assert_eq!(refused, json!({"status": 418, "body": "not with me\n"}));
    setup.gateway.is_unharmed();
}
