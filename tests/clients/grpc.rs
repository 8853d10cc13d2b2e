//! gRPC with Python's `grpcio` on both sides: calls reach the service through the gateway unchanged, except for the
//! access rules.

use std::{net::TcpStream, time::Duration};

use serde_json::{Value, json};

use crate::{
    common::{Gateway, eventually, nobody},
    programs::{Conversation, Script},
};

/// A service, a gateway in front of it, and a caller over one connection.
struct Setup {
    caller: Conversation,
    greeter: Conversation,
    gateway: Gateway,
    token: String,
}

impl Setup {
    fn start() -> Self {
        let greeter = Conversation::begin(Script::python("greeter.py", include_str!("greeter.py")), &[]);
        let url = format!("h2c://127.0.0.1:{}", greeter.said()["port"]);
        let gone = format!("h2c://{}", nobody());
        let gateway = Gateway::with(&[("GREETER_SERVICE_URL", &url), ("GONE_SERVICE_URL", &gone)]);
        let (token, _) = gateway.tokens(&json!({"subject": "alice"}));
        let script = Script::python("grpc_caller.py", include_str!("grpc_caller.py"));
        let caller = Conversation::begin(script, &[&gateway.address.to_string(), "/api/greeter/test.Greeter/"]);
        Self { caller, greeter, gateway, token }
    }

    /// Sends the caller a command with the token.
    #[track_caller]
    fn ask(&mut self, mut command: Value) -> Value {
        command["metadata"]["authorization"] = format!("Bearer {}", self.token).into();
        self.caller.ask(&command)
    }

    /// Opens a call to a method of this kind.
    #[track_caller]
    fn open(&mut self, kind: &str, method: &str) {
        let opened = self.ask(json!({"do": "open", "kind": kind, "method": method}));
        assert_eq!(opened, json!({"opened": kind}));
    }

    #[track_caller]
    fn send(&mut self, message: &str) {
        assert_eq!(self.ask(json!({"do": "send", "message": message})), json!({"sent": message}));
    }

    #[track_caller]
    fn end(&mut self) {
        assert_eq!(self.ask(json!({"do": "end"})), json!({"sent": null}));
    }

    /// The next message of the open call is this.
    #[track_caller]
    fn hears(&mut self, message: &str) {
        assert_eq!(self.ask(json!({"do": "next"})), json!({"message": message}));
    }

    /// The open call ends like this.
    #[track_caller]
    fn hears_the_end(&mut self, code: &str, details: &str) {
        let ending = self.ask(json!({"do": "next"}));
        assert_eq!(ending, json!({"code": code, "details": details, "trailing": {}}));
    }
}

/// 00 to ff.
fn every_byte() -> Value {
    (0..=255_u8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat().into()
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_unary_call_goes_there_and_back_with_its_metadata() {
    let mut setup = Setup::start();
    let mut call = setup.ask(json!({"do": "call", "method": "Hello", "message": "mina", "metadata": {"x-own": "1"}}));
    let told: Value = serde_json::from_str(call["answer"].as_str().unwrap()).unwrap();
    // The service learns the caller, and does not see the token.
    assert_eq!(told, json!({"mina": "alice", "authorization": null, "own": "1"}));
    let initial = call["initial"].take();
    assert_eq!((&initial["x-greeter"], &initial["x-greeter-bin"]), (&json!("initial"), &every_byte()), "{initial}");
    let trailing = json!({"x-greeted": "mina", "x-greeted-bin": every_byte()});
    assert_eq!((&call["code"], &call["details"], &call["trailing"]), (&json!("OK"), &json!(""), &trailing), "{call}");
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn an_error_arrives_with_its_details() {
    let mut setup = Setup::start();
    let call = setup.ask(json!({"do": "call", "method": "Refuse"}));
    let detailed = &call["trailing"]["grpc-status-details-bin"];
    assert_eq!(
        (&call["code"], &call["details"], detailed),
        (&json!("FAILED_PRECONDITION"), &json!("100% 안 돼요: no\n"), &every_byte()),
        "{call}"
    );
    // Also after messages.
    setup.open("unary_stream", "RefuseLater");
    setup.hears("one");
    setup.hears("two");
    setup.hears_the_end("RESOURCE_EXHAUSTED", "no third");
    // The service reports an unknown method.
    let call = setup.ask(json!({"do": "call", "method": "Missing"}));
    assert_eq!((&call["code"], &call["details"]), (&json!("UNIMPLEMENTED"), &json!("Method not found!")), "{call}");
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn messages_stream_one_by_one_in_both_directions() {
    let mut setup = Setup::start();
    // From the service: the second is sent when the caller has received the first.
    setup.open("unary_stream", "Feed");
    setup.hears("first");
    assert_eq!(setup.ask(json!({"do": "call", "method": "Release"}))["code"], "OK");
    setup.hears("second");
    setup.hears("third");
    setup.hears_the_end("OK", "");
    // To the service: the second is sent when the service has received the first.
    setup.open("stream_unary", "Collect");
    for message in ["a", "b", "c"] {
        setup.send(message);
        assert_eq!(setup.greeter.said(), json!({"heard": message}));
    }
    setup.end();
    assert_eq!(setup.ask(json!({"do": "result"})), json!({"answer": "a b c"}));
    // Both: each is sent after the reply to the last.
    setup.open("stream_stream", "Chat");
    for number in 0..20 {
        setup.send(&number.to_string());
        setup.hears(&format!("you said {number}"));
    }
    setup.end();
    setup.hears_the_end("OK", "");
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_call_that_its_caller_no_longer_wants_ends_at_the_service() {
    let mut setup = Setup::start();
    let call = setup.ask(json!({"do": "call", "method": "Wait", "timeout": 1}));
    assert_eq!((&call["code"], &call["details"]), (&json!("DEADLINE_EXCEEDED"), &json!("Deadline Exceeded")), "{call}");
    // The service receives the deadline, too.
    let left = setup.greeter.said()["begun"].as_f64().unwrap();
    assert!((0.0..1.1).contains(&left), "{left}");
    assert_eq!(setup.greeter.said(), json!({"ended": true}));
    // Without a deadline it learns of the end from the gateway alone.
    setup.open("unary_unary", "Wait");
    let left = setup.greeter.said()["begun"].as_f64().unwrap();
    assert!(left > Duration::from_hours(24).as_secs_f64(), "{left}");
    assert_eq!(setup.ask(json!({"do": "cancel"}))["code"], "CANCELLED");
    assert_eq!(setup.greeter.said(), json!({"ended": true}));
    // In the middle of a stream, too.
    setup.open("unary_stream", "Flood");
    assert!(setup.ask(json!({"do": "next"}))["message"].is_string());
    assert_eq!(setup.ask(json!({"do": "cancel"}))["code"], "CANCELLED");
    assert_eq!(setup.greeter.said(), json!({"ended": true}));
    // The connection is still usable.
    assert_eq!(setup.ask(json!({"do": "call", "method": "Hello"}))["code"], "OK");
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_hundred_calls_are_under_way_at_once() {
    let mut setup = Setup::start();
    // The service responds only when all have arrived.
    let together = setup.ask(json!({"do": "together", "method": "Gather", "calls": 100}));
    let numbers: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(together, json!({"answers": numbers}));
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_call_under_way_goes_on_after_sigterm_and_a_new_one_does_not_begin() {
    let mut setup = Setup::start();
    setup.open("stream_stream", "Chat");
    setup.send("before");
    setup.hears("you said before");
    setup.gateway.ask_to_end();
    let address = setup.gateway.address;
    eventually("no more connections are taken", || TcpStream::connect(address).is_err());
    for number in 0..3 {
        setup.send(&number.to_string());
        setup.hears(&format!("you said {number}"));
    }
    let refused = setup.ask(json!({"do": "call", "method": "Hello"}));
    assert_eq!(refused["code"], "UNAVAILABLE", "{refused}");
    setup.end();
    setup.hears_the_end("OK", "");
    assert_eq!(setup.gateway.exit_code(), Some(0));
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_large_message_arrives_whole_and_a_larger_one_does_not() {
    const MIB: u32 = 1024 * 1024;
    let mut setup = Setup::start();
    for gzip in [false, true] {
        let mirrored = setup.ask(json!({"do": "mirror", "method": "Mirror", "bytes": 8 * MIB, "gzip": gzip}));
        assert_eq!(mirrored, json!({"bytes": 8 * MIB, "the_same": true}), "{gzip}");
    }
    // The default limit for bodies.
    let refused = setup.ask(json!({"do": "mirror", "method": "Mirror", "bytes": 11 * MIB, "gzip": false}));
    assert_eq!(refused["code"], "UNKNOWN", "{refused}");
    assert!(refused["details"].as_str().unwrap().contains("413"), "{refused}");
    assert_eq!(setup.ask(json!({"do": "call", "method": "Hello"}))["code"], "OK");
    setup.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn refusals_of_the_gateway_have_the_code_of_their_status() {
    let mut setup = Setup::start();
    let (revoked, _) = setup.gateway.tokens(&json!({"subject": "alice"}));
    setup.gateway.post("/tokens/revoke", &json!({"token": revoked})).expect(200);
    for (credential, code, status) in [
        (None, "UNAUTHENTICATED", "401"),
        (Some("nonsense"), "UNAUTHENTICATED", "401"),
        (Some(revoked.as_str()), "UNAUTHENTICATED", "401"),
    ] {
        let metadata = credential.map(|token| json!({"authorization": format!("Bearer {token}")}));
        let call =
            setup.caller.ask(&json!({"do": "call", "method": "Hello", "metadata": metadata.unwrap_or(json!({}))}));
        assert_eq!(call["code"], code, "{credential:?}: {call}");
        assert!(call["details"].as_str().unwrap().contains(status), "{credential:?}: {call}");
    }
    for (prefix, code, status) in
        [("/api/missing/test.Greeter/", "UNIMPLEMENTED", "404"), ("/api/gone/test.Greeter/", "UNAVAILABLE", "502")]
    {
        let script = Script::python("grpc_caller.py", include_str!("grpc_caller.py"));
        setup.caller = Conversation::begin(script, &[&setup.gateway.address.to_string(), prefix]);
        let call = setup.ask(json!({"do": "call", "method": "Hello"}));
        assert_eq!(call["code"], code, "{prefix}: {call}");
        assert!(call["details"].as_str().unwrap().contains(status), "{prefix}: {call}");
    }
    setup.gateway.is_unharmed();
}
