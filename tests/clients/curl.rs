//! curl, over HTTP/1.0, HTTP/1.1 and HTTP/2.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    io::{BufRead, BufReader, Write},
    process::Command,
    sync::{Mutex, mpsc},
};

use serde_json::Value;

use crate::{
    common::{Gateway, PATIENCE, Response, parse, recorder::Recorder, upstream},
    depot::{Depot, content, described},
    programs::{finished, lines_of, program, started},
};

const MIB: usize = 1024 * 1024;

/// Both versions in common use.
const VERSIONS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")];

/// curl without a configuration file.
fn curl(arguments: &[&str]) -> Command {
    let mut command = program("curl");
    command.args(["--disable", "--silent", "--show-error", "--max-time", "60"]).args(arguments);
    command
}

/// Its output, and its report.
#[track_caller]
fn printed(arguments: &[&str], input: &[u8]) -> (Vec<u8>, String) {
    let output = finished(curl(arguments), input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
    (output.stdout, said)
}

/// The response, with its head.
#[track_caller]
fn answered(arguments: &[&str], input: &[u8]) -> Response {
    let (mut bytes, _) = printed(&[&["--include", "--raw"], arguments].concat(), input);
    // Interim responses come first.
    while bytes.starts_with(b"HTTP/1.1 100") {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        bytes.drain(..end + 4);
    }
    parse(&bytes)
}

#[track_caller]
fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(bytes)))
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn one_connection_serves_responses_of_every_kind() {
    let depot = Depot::start();
    let token = depot.authorization();
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(body.path(), content(MIB)).unwrap();
    let upload = format!("@{}", body.path().display());
    let (bytes, chunks) = (depot.url("bytes/100000"), depot.url("chunks/100000"));
    let (missing, described) = (depot.url("missing"), depot.url("described"));
    let own = format!("http://{}/livez", depot.gateway.address);
    let requests: [(u16, &[&str]); 9] = [
        (200, &[&bytes]),
        (200, &["--head", &bytes]),
        (200, &[&chunks]),
        (200, &["--data-binary", &upload, &described]),
        (200, &["--request", "POST", "--data", "", &described]),
        (404, &[&missing]),
        (401, &["--header", "Authorization: Bearer nonsense", &bytes]),
        (200, &[&own]),
        (200, &[&bytes]),
    ];
    let with_options = |version, request: &[&str]| {
        let line = "%{http_version} %{response_code} %{num_connects}\\n";
        let mut arguments = vec![version, "--silent", "--output", "/dev/null", "--write-out", line];
        if !request.iter().any(|argument| argument.starts_with("Authorization")) {
            arguments.extend(["--header", &token]);
        }
        arguments.extend(request);
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = requests.map(|(_, request)| with_options("--http1.1", request)).join(&"--next".to_owned());
    let (lines, _) = printed(&all.iter().map(String::as_str).collect::<Vec<_>>(), b"");
    let connects = std::iter::once(1).chain(std::iter::repeat(0));
    let wanted = requests.iter().zip(connects).map(|((status, _), connects)| format!("1.1 {status} {connects}\n"));
    assert_eq!(String::from_utf8(lines).unwrap(), wanted.collect::<String>());
    // curl 7.88 breaks a second request on a connection of HTTP/2 without TLS, at every server, so each has its own.
    for (status, request) in requests {
        let request = with_options("--http2-prior-knowledge", request);
        let (line, _) = printed(&request.iter().map(String::as_str).collect::<Vec<_>>(), b"");
        assert_eq!(String::from_utf8(line).unwrap(), format!("2 {status} 1\n"), "{request:?}");
    }
    depot.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn an_offer_to_upgrade_to_http2_does_no_harm() {
    let depot = Depot::start();
    let (token, url) = (depot.authorization(), depot.url("bytes/1000"));
    let response = answered(&["--http2", "--header", &token, &url, &url], b"");
    // Both responses, one after the other: the second is part of the text after the first head.
    assert_eq!(response.status, 200);
    assert_eq!(response.body.windows(9).filter(|window| window == b"HTTP/1.1 ").count(), 1);
    assert!(response.body.starts_with(content(1000)) && response.body.ends_with(content(1000)));
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn an_upload_that_asks_first_is_told_to_go_on_or_is_refused_unsent() {
    let depot = Depot::start();
    let (token, url, body) = (depot.authorization(), depot.url("described"), content(MIB));
    // curl would otherwise continue only after its timeout.
    let asks = ["--http1.1", "--header", "Expect: 100-continue", "--expect100-timeout", "59", "--verbose"];
    let upload = ["--write-out", "%{stderr}sent %{size_upload}\\n", "--request", "POST", "--data-binary", "@-", &url];
    let asked = |more: &[&str], body| printed(&[&asks[..], more, &upload].concat(), body);
    let (got, said) = asked(&["--header", &token], body);
    assert_eq!(json(&got), described(body));
    assert!(said.contains("< HTTP/1.1 100 Continue") && said.contains("sent 1048576"), "{said}");
    // A forbidden request is refused before its body is sent, and so is one that is too large. (Over HTTP/2 curl 7.88
    // loses such a response, from every server: nghttp tests that.)
    for (code, more, body) in
        [("token_missing", &[][..], body), ("body_too_large", &["--header", &token], content(11 * MIB))]
    {
        let (got, said) = asked(more, body);
        assert_eq!(json(&got)["code"], code);
        assert!(!said.contains("100 Continue") && said.contains("sent 0"), "{said}");
    }
    depot.gateway.is_unharmed();
}

#[test]
#[ignore = "nothing answers Expect over HTTP/2: whoever waits for a 100 waits until their own patience is over"]
fn an_upload_that_asks_first_over_http2_is_told_to_go_on() {
    let depot = Depot::start();
    let (token, url, body) = (depot.authorization(), depot.url("described"), content(MIB));
    let asks =
        ["--http2-prior-knowledge", "--header", "Expect: 100-continue", "--expect100-timeout", "59", "--verbose"];
    let (got, said) = printed(&[&asks[..], &["--header", &token, "--data-binary", "@-", &url]].concat(), body);
    assert_eq!(json(&got), described(body));
    assert!(!said.contains("Done waiting for 100-continue"), "{said}");
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn an_upload_of_unknown_length_arrives_whole() {
    let depot = Depot::start();
    let (token, url, body) = (depot.authorization(), depot.url("described"), content(3 * MIB + 1));
    for (version, _) in VERSIONS {
        for body in [body, &body[..1], b""] {
            let upload = [version, "--header", &token, "--request", "POST", "--upload-file", "-", &url];
            assert_eq!(json(&printed(&upload, body).0), described(body), "{version}");
        }
    }
    depot.gateway.is_unharmed();
}

/// A service that reports each chunk of a body when it arrives, and then sends chunks one by one on request.
struct BitByBit {
    gateway: Gateway,
    heard: mpsc::Receiver<String>,
    to_send: mpsc::Sender<&'static str>,
}

/// The body arrives while it is sent.
const UNBUFFERED: &str =
    "[[routes]]\npath = \"/api/users\"\nservice = \"auth\"\naccess = \"open\"\nbuffer_request = \"0B\"\n";

impl BitByBit {
    fn start() -> Self {
        let ((told, heard), (to_send, sends)) = (mpsc::channel(), mpsc::channel::<&str>());
        let ends = Mutex::new((told, sends));
        let address = upstream(move |mut stream| {
            let (told, sends) = &*ends.lock().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = || {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                line
            };
            while line() != "\r\n" {}
            // Each size, its name, and an empty line at the end.
            while line() != "0\r\n" {
                told.send(line().trim_end().to_owned()).unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            while let Ok(text) = sends.recv_timeout(PATIENCE) {
                stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).unwrap();
                if text.is_empty() {
                    break;
                }
            }
        });
        let url = format!("http://{address}");
        let gateway = Gateway::with_routes(&[("AUTH_SERVICE_URL", &url)], Some(UNBUFFERED));
        Self { gateway, heard, to_send }
    }
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn parts_of_a_body_arrive_before_the_rest_is_sent() {
    let service = BitByBit::start();
    let url = format!("http://{}/api/users", service.gateway.address);
    for (version, _) in VERSIONS {
        let mut process = started(curl(&[version, "--no-buffer", "--request", "POST", "--upload-file", "-", &url]));
        let mut input = process.stdin.take().unwrap();
        let shown = lines_of(process.stdout.take().unwrap());
        for part in ["up 1", "up 2", "up 3"] {
            input.write_all(part.as_bytes()).unwrap();
            assert_eq!(service.heard.recv_timeout(PATIENCE).as_deref(), Ok(part), "{version}");
        }
        drop(input);
        for part in ["down 1\n", "down 2\n", "down 3\n"] {
            service.to_send.send(part).unwrap();
            assert_eq!(shown.recv_timeout(PATIENCE).as_deref(), Ok(part.trim_end()), "{version}");
        }
        service.to_send.send("").unwrap();
        assert!(process.wait().unwrap().success(), "{version}");
    }
    service.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_part_of_something_can_be_asked_for() {
    let depot = Depot::start();
    let (token, url, whole) = (depot.authorization(), depot.url("bytes/100000"), content(100_000));
    for (version, _) in VERSIONS {
        for (range, part, said) in [
            ("0-99", &whole[..100], "bytes 0-99/100000"),
            ("99900-", &whole[99_900..], "bytes 99900-99999/100000"),
            ("-10", &whole[99_990..], "bytes 99990-99999/100000"),
        ] {
            let response = answered(&[version, "--header", &token, "--range", range, &url], b"").expect(206);
            assert_eq!(response.header("content-range"), Some(said), "{version}");
            assert!(response.body == part, "{version}, {range}: {} bytes", response.body.len());
        }
        let response = answered(&[version, "--header", &token, "--range", "100000-", &url], b"").expect(416);
        assert_eq!(response.header("content-range"), Some("bytes */100000"), "{version}");
        // An interrupted download resumes.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &whole[..12_345]).unwrap();
        let path = file.path().display().to_string();
        printed(&[version, "--header", &token, "--continue-at", "-", "--output", &path, &url], b"");
        assert!(std::fs::read(file.path()).unwrap() == whole, "{version}");
    }
    depot.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn head_has_the_headers_of_get_and_no_body() {
    let depot = Depot::start();
    let (token, url) = (depot.authorization(), depot.url("bytes/100000"));
    for (version, _) in VERSIONS {
        let headers = |arguments: &[&str]| {
            let response = answered(&[&[version, "--header", &token], arguments, &[&url]].concat(), b"").expect(200);
            let (mut headers, length) = (response.headers, response.body.len());
            // Each request has its own.
            headers.retain(|(name, _)| !["x-request-id", "date"].contains(&name.to_lowercase().as_str()));
            headers.sort();
            (headers, length)
        };
        let (of_head, nothing) = headers(&["--head"]);
        let (of_get, length) = headers(&[]);
        assert_eq!((nothing, length), (0, 100_000), "{version}");
        assert_eq!(of_head, of_get, "{version}");
        let length = of_head.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        assert_eq!(length.map(|(_, length)| length.as_str()), Some("100000"), "{version}: {of_head:?}");
    }
    depot.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_client_of_http_1_0_gets_no_chunks() {
    let depot = Depot::start();
    let (token, whole) = (depot.authorization(), content(100_000));
    // A connection is kept on request, unless its end is the only end of the response.
    for (path, if_asked) in [("bytes/100000", 0), ("chunks/100000", 1)] {
        let url = depot.url(path);
        let response = answered(&["--http1.0", "--header", &token, &url], b"").expect(200);
        assert_eq!(response.header("transfer-encoding"), None, "{path}");
        assert!(response.body == whole, "{path}: {} bytes", response.body.len());
        for (connection, second) in [("close", 1), ("keep-alive", if_asked)] {
            let connection = format!("Connection: {connection}");
            let count =
                ["--header", &token, "--header", &connection, "--write-out", "%{response_code} %{num_connects}\\n"];
            let nowhere = ["--output", "/dev/null", "--output", "/dev/null"];
            let twice = [&["--http1.0"], &count[..], &nowhere, &[&url, &url]].concat();
            let (lines, _) = printed(&twice, b"");
            assert_eq!(String::from_utf8(lines).unwrap(), format!("200 1\n200 {second}\n"), "{path}, {connection}");
        }
    }
    let url = depot.url("described");
    let upload = ["--http1.0", "--header", &token, "--data-binary", "@-", &url];
    assert_eq!(json(&printed(&upload, whole).0), described(whole));
    depot.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_path_that_climbs_is_refused_as_it_is() {
    let service = Recorder::start();
    let gateway = Gateway::with(&[("AUTH_SERVICE_URL", &service.url())]);
    for (version, _) in VERSIONS {
        for path in [
            "/api/users/../users/me",
            "/api/users/..",
            "/api/users/%2e%2e/users/me",
            "/api/users/..%2fusers/me",
            "/api/../../etc/passwd",
            "/api/users//me",
        ] {
            let url = format!("http://{}{path}", gateway.address);
            let response = answered(&[version, "--path-as-is", &url], b"");
            response.expect_problem(400, "bad_path");
        }
        assert_eq!(service.take().len(), 0, "{version}");
        // Otherwise curl itself normalises the path before it sends it.
        let url = format!("http://{}/api/users/x/../7", gateway.address);
        answered(&[version, &url], b"").expect(200);
        let arrived: Vec<_> = service.take().into_iter().map(|request| request.line).collect();
        assert_eq!(arrived, ["GET /users/7 HTTP/1.1"], "{version}");
    }
    gateway.is_unharmed();
}
