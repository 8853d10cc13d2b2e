use std::io::{Read, Write};

use super::harness::{Setup, bearer, get, post};

#[tokio::test(flavor = "multi_thread")]
async fn paths_without_a_route_go_to_the_control_plane() {
    let gateway = Setup::of(&[]).start();
    let response = gateway.ask(&post("/tokens/create?x=1", "{\"a\":1}")).await;
    assert_eq!(response.status, 200);
    let id = response.header("x-request-id").unwrap();
    assert!(response.text().starts_with("POST /tokens/create?x=1\nclient 127.0.0.1:"), "{}", response.text());
    assert!(
        response.text().contains(&format!("\nid {id}\n")) && response.text().ends_with("\n{\"a\":1}"),
        "{}",
        response.text()
    );
    for path in ["/", "/e/tokens/create", "/.well-known/jwks.json", "/apis"] {
        assert_eq!(gateway.get(path, "").await.status, 200, "{path}");
    }
    for path in ["/api", "/api/", "/api/none", "/api/none/x"] {
        assert_eq!(gateway.get(path, "").await.problem(), (404, "no_route".to_owned()), "{path}");
    }
}

/// On one thread, which is blocked until the response is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_probe_is_answered_while_the_control_runtime_is_busy() {
    let gateway = Setup::of(&[]).start();
    let address = gateway.address;
    let (answered, wait) = std::sync::mpsc::channel();
    let probe = std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        answered.send(response).unwrap();
    });
    // Blocks the one worker of the control runtime.
    let busy = tokio::spawn(async move { wait.recv_timeout(std::time::Duration::from_secs(30)) });
    let response = busy.await.unwrap().expect("the probe was not answered");
    probe.join().unwrap();
    assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("probes"), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gets_the_canonical_path_and_no_forged_headers() {
    let gateway = Setup::of(&[]).start();
    let lines =
        "X-User-Id: admin\r\nX_Forwarded_For: 6.6.6.6\r\nCookie: gateway_session=1\r\nAuthorization: Bearer x\r\n";
    let response = gateway.get("/%74okens", lines).await;
    let text = response.text();
    assert!(text.starts_with("GET /tokens\n"), "{text}");
    assert!(!text.contains("admin") && !text.contains("6.6.6.6"), "{text}");
    assert!(
        text.contains("gateway_session=1") && text.contains("Bearer x") && text.contains("www.jinmini.com"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_500_and_the_next_request_is_served() {
    let gateway = Setup::of(&[]).start();
    assert_eq!(gateway.get("/panic", "").await.problem(), (500, "internal".to_owned()));
    assert_eq!(gateway.get("/api/auth", &bearer("panic")).await.problem(), (500, "internal".to_owned()));
    let mut client = gateway.connect().await;
    assert_eq!(client.ask(&get("/livez", "")).await.status, 200);
}
