//! How the gateway looks from outside.

use std::net::SocketAddr;

use chrono_tz::Tz;
use url::Url;

use super::{
    Environment, PublicSettings,
    reader::{Reader, entries},
    variables::{ALLOWED_ORIGINS, API_PREFIX, PORT, PUBLIC_URL, TIMEZONE},
};
use crate::domain::gateway::models::{
    path::{InvalidPrefix, PathPrefix},
    provider::is_loopback,
    service::SERVICES_PREFIX,
};

/// Reads the public face. Production wants an https `PUBLIC_URL`: it is the issuer of every token.
pub(super) fn read(
    reader: &mut Reader<'_>,
    environment: Environment,
    clients: Option<SocketAddr>,
    with_tls: bool,
) -> Option<PublicSettings> {
    let port = clients.map_or_else(|| PORT.fallback.words().to_owned(), |address| address.port().to_string());
    let scheme = if with_tls { "https" } else { "http" };
    let url = reader.read_or(&PUBLIC_URL, &format!("{scheme}://localhost:{port}"), public_url);
    if environment == Environment::Production && url.as_ref().is_some_and(|url| url.scheme() != "https") {
        reader.wrong_in_production(
            &PUBLIC_URL,
            "the https address under which browsers reach it, such as https://www.jinmini.com",
        );
    }
    let api_prefix = reader.read(&API_PREFIX, api_prefix);
    let timezone = reader.read(&TIMEZONE, timezone);
    let allowed_origins = reader.read(&ALLOWED_ORIGINS, |text| {
        entries(text).map(|entry| origin(entry, environment)).collect::<Result<Vec<_>, _>>()
    });
    Some(PublicSettings { url: url?, api_prefix: api_prefix?, timezone: timezone?, allowed_origins: allowed_origins? })
}

fn public_url(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/")
        .filter(|url| url.query().is_none() && url.fragment().is_none())
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| {
            "http or https, a host and perhaps a port, nothing behind it: https://www.jinmini.com".to_owned()
        })
}

/// As browsers write it in `Origin`, so that it can be compared as it is.
fn origin(text: &str, environment: Environment) -> Result<String, String> {
    let good = public_url(text).ok().filter(|url| url.origin().ascii_serialization() == text && !text.contains('*'));
    match good {
        Some(url) if url.scheme() == "https" || environment == Environment::Development || is_loopback(&url) => {
            Ok(text.to_owned())
        }
        Some(_) => Err("an https origin: what goes by http can be changed on the way".to_owned()),
        None => Err("an origin as browsers write it, nothing behind it: https://app.jinmini.com".to_owned()),
    }
}

/// The own API and the routes must not compete for a path.
fn api_prefix(text: &str) -> Result<PathPrefix, String> {
    let prefix: PathPrefix = text.parse().map_err(|rule: InvalidPrefix| rule.to_string())?;
    let of_routes = text == SERVICES_PREFIX || text.starts_with(&format!("{SERVICES_PREFIX}/"));
    if prefix.as_str().is_empty() || of_routes {
        return Err(format!(
            "a path such as /e, neither the root nor {SERVICES_PREFIX}, which belongs to the services"
        ));
    }
    Ok(prefix)
}

fn timezone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "an IANA time zone such as UTC, Asia/Seoul or Europe/Berlin".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin() {
        for text in ["https://www.jinmini.com", "https://www.jinmini.com/", "http://localhost:8080", "http://[::1]:1"] {
            assert!(public_url(text).is_ok(), "{text}");
        }
        for text in [
            "www.jinmini.com",
            "ftp://a",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://u@a",
            "https://u:p@a",
            "https://",
        ] {
            assert!(public_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_allowed_origin_is_written_as_browsers_write_it() {
        for text in ["https://app.jinmini.com", "https://a:8443", "http://localhost:3000"] {
            assert_eq!(origin(text, Environment::Production).as_deref(), Ok(text));
        }
        assert!(origin("http://app.test", Environment::Development).is_ok());
        for text in [
            "*",
            "https://*.jinmini.com",
            "https://a/",
            "https://A",
            "https://a:443",
            "http://a",
            "a",
            "null",
            "https://u@a",
        ] {
            assert!(origin(text, Environment::Production).is_err(), "{text}");
        }
    }

    #[test]
    fn the_prefix_of_the_own_api_is_not_that_of_the_services() {
        assert_eq!(api_prefix("/e").unwrap().as_str(), "/e");
        assert!(api_prefix("/apis").is_ok());
        for text in ["/", "/api", "/api/e", "e", "/e/", "/e//f"] {
            assert!(api_prefix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn time_zones_have_iana_names() {
        assert_eq!(timezone("Asia/Seoul").unwrap(), Tz::Asia__Seoul);
        assert!(timezone("KST+9").is_err());
    }
}
