//! Browsers stay with https (RFC 6797), where `PUBLIC_URL` is https.

use std::io::Write;

use crate::common::{Gateway, Response, parse, recorder::read_request, upstream};

const NAME: &str = "strict-transport-security";
const HOST: &str = "www.jinmini.com";

fn said(response: &Response) -> Vec<&str> {
    let all = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(NAME));
    all.map(|(_, value)| value.as_str()).collect()
}

/// `GET`, for this host.
fn at(gateway: &Gateway, host: &str, path: &str) -> Response {
    parse(&gateway.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()))
}

#[test]
fn every_response_says_to_stay_with_https_unless_the_service_says_something() {
    let service = upstream(|mut stream| {
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = read_request(&mut reader) {
            let own = if request.line.contains("/own") { "Strict-Transport-Security: max-age=60\r\n" } else { "" };
            let response = format!("HTTP/1.1 200 OK\r\n{own}Content-Length: 2\r\n\r\nok");
            if stream.write_all(response.as_bytes()).is_err() {
                return;
            }
        }
    });
    let url = format!("http://{service}");
    let routes = "[[routes]]\npath = \"/api/board\"\nservice = \"board\"\naccess = \"open\"\n";
    let with = |public_url: &str| {
        Gateway::with_routes(&[("BOARD_SERVICE_URL", url.as_str()), ("PUBLIC_URL", public_url)], Some(routes))
    };
    let ours = ["/", "/livez", "/docs", "/nowhere", "/api/nowhere", "/a%2fb", "/api/board/x"];

    let gateway = with("https://www.jinmini.com");
    for path in ours {
        assert_eq!(said(&at(&gateway, HOST, path)), ["max-age=31536000"], "{path}");
    }
    assert_eq!(said(&at(&gateway, HOST, "/api/board/own")), ["max-age=60"]);
    // The developer's own browser would then reach no server without a certificate at localhost.
    for host in ["localhost:8080", "127.0.0.1", "[::1]:8080"] {
        for path in ours {
            assert_eq!(said(&at(&gateway, host, path)), Vec::<&str>::new(), "{host} {path}");
        }
        assert_eq!(said(&at(&gateway, host, "/api/board/own")), ["max-age=60"]);
    }
    gateway.is_unharmed();

    // With http browsers would be locked out; and on the own machine other servers have no certificate.
    for public_url in ["http://www.jinmini.com", "https://localhost:8443", "https://127.0.0.1:8443"] {
        let gateway = with(public_url);
        for path in ours {
            assert_eq!(said(&at(&gateway, HOST, path)), Vec::<&str>::new(), "{public_url} {path}");
        }
        assert_eq!(said(&at(&gateway, HOST, "/api/board/own")), ["max-age=60"]);
    }

    // A proxy in front may send any host name of the gateway.
    let variables = [
        ("BOARD_SERVICE_URL", url.as_str()),
        ("PUBLIC_URL", "https://www.jinmini.com"),
        ("TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let gateway = Gateway::with_routes(&variables, Some(routes));
    assert_eq!(said(&at(&gateway, "localhost:8080", "/")), ["max-age=31536000"]);
}
