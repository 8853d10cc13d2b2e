use super::harness::{Setup, Upstream, get};

const WITH_TRAILER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Request-Id\r\n\r\n\
                            2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Request-Id: forged\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http1_gets_the_trailers_that_it_takes() {
    let upstream = Upstream::answering(WITH_TRAILER).await;
    let gateway = Setup::of(&[upstream.address]).start();
    for (lines, expected) in [("", false), ("TE: gzip\r\n", false), ("TE: trailers\r\nConnection: TE\r\n", true)] {
        let mut client = gateway.connect().await;
        client.send(&get("/api/users", lines)).await;
        let mut got = String::new();
        while !got.ends_with("\r\n\r\n") || !got.contains("\r\n0\r\n") {
            got.push_str(&client.some().await);
        }
        assert_eq!(got.contains("x-sum: 7\r\n"), expected, "{lines:?}: {got}");
        assert!(got.contains("trailer: x-sum\r\n") && !got.contains("forged"), "{got}");
        let received = upstream.received().pop().unwrap();
        let asked = (received.header("te"), received.header("connection"));
        assert_eq!(asked, if expected { (Some("trailers"), Some("te")) } else { (None, None) });
    }
}
