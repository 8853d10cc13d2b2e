//! The public face of the gateway: its name, URL and origins.

use std::net::SocketAddr;

use chrono_tz::Tz;
use url::Url;

use super::{
    Environment, PublicSettings,
    reading::reader::{Reader, entries},
    variables::{ALLOWED_ORIGINS, API_PREFIX, DOMAIN, PORT, PUBLIC_URL, TIMEZONE},
};
use crate::domain::gateway::models::{
    http::{
        origin::{AllowedOrigin, AllowedOrigins, InvalidOrigin},
        path::{InvalidPrefix, PathPrefix},
    },
    provider::is_loopback,
    service::{Route, SERVICES_PREFIX},
};

/// Reads the public face. Production requires an https `PUBLIC_URL`: it is the issuer of every token.
pub(super) fn read(
    reader: &mut Reader<'_>,
    environment: Environment,
    clients: Option<SocketAddr>,
    with_tls: bool,
) -> Option<PublicSettings> {
    let port = clients.map_or_else(|| PORT.fallback.words().to_owned(), |address| address.port().to_string());
    let scheme = if with_tls { "https" } else { "http" };
    let domain = reader.read_or(&DOMAIN, "", domain);
    let url = match (&domain, environment) {
        (Some(Some(domain)), Environment::Production) => format!("https://{domain}"),
        _ => format!("{scheme}://localhost:{port}"),
    };
    let url = reader.read_or(&PUBLIC_URL, &url, public_url);
    if environment == Environment::Production && url.as_ref().is_some_and(|url| url.scheme() != "https") {
        reader.wrong_in_production(
            &PUBLIC_URL,
            "an https URL such as https://www.jinmini.com",
            "browsers reach the gateway there; without it, DOMAIN=www.jinmini.com is enough",
        );
    }
    let api_prefix = reader.read(&API_PREFIX, api_prefix);
    let timezone = reader.read(&TIMEZONE, timezone);
    let allowed_origins = reader.read(&ALLOWED_ORIGINS, |text| {
        entries(text).map(|entry| origin(entry, environment)).collect::<Result<AllowedOrigins, _>>()
    });
    Some(PublicSettings {
        domain: domain?,
        url: url?,
        url_is_set: reader.value(&PUBLIC_URL).is_some(),
        api_prefix: api_prefix?,
        timezone: timezone?,
        allowed_origins: allowed_origins?,
    })
}

/// A host name, as a browser writes it; `None` if it is empty.
fn domain(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(&format!("https://{text}"));
    if url.is_ok_and(|url| url.host_str() == Some(text) && url.port().is_none()) {
        Ok(Some(text.to_owned()))
    } else {
        Err("must be a host name in lower case, such as www.jinmini.com; write it without scheme, port or path, and \
             with xn--… for other letters"
            .to_owned())
    }
}

fn public_url(text: &str) -> Result<Url, String> {
    let is_plain = |url: &Url| {
        let path = url.path().strip_suffix('/').unwrap_or(url.path());
        path.is_empty() || path.parse::<PathPrefix>().is_ok_and(|prefix| prefix.as_str() == path)
    };
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && is_plain(url))
        .filter(|url| url.query().is_none() && url.fragment().is_none())
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| {
            "must be an http or https URL such as https://www.jinmini.com; it may have a port; add a path only if your front end \
             forwards that path to the gateway, as in https://app.jinmini.com/e"
                .to_owned()
        })
}

/// In the form in which browsers write `Origin`, so that the texts can be compared.
fn origin(text: &str, environment: Environment) -> Result<AllowedOrigin, String> {
    if text.split_once("://").is_some_and(|(_, host)| host.starts_with("*.")) {
        return Err("must have more than the * in the first label of a host; otherwise everybody with a name at that host is allowed. \
                    For previews add the part of the label that is yours, as in https://*-team.vercel.app"
            .to_owned());
    }
    let origin: AllowedOrigin = text.parse().map_err(|rule: InvalidOrigin| format!("must be {rule}"))?;
    let is_private = text.starts_with("https://")
        || environment == Environment::Development
        || Url::parse(text).is_ok_and(|url| is_loopback(&url));
    if is_private { Ok(origin) } else { Err("must be an https origin; http can be changed on its way".to_owned()) }
}

/// The gateway's own API and the routes must not conflict.
fn api_prefix(text: &str) -> Result<PathPrefix, String> {
    let prefix: PathPrefix =
        text.parse().map_err(|rule: InvalidPrefix| format!("must be a path such as /e; {rule}"))?;
    let of_routes = Route::is_service_path(text);
    if prefix.as_str().is_empty() || of_routes {
        return Err(format!(
            "must be a path such as /e; it is neither the root nor {SERVICES_PREFIX}, which belongs to the services"
        ));
    }
    Ok(prefix)
}

fn timezone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "must be an IANA time zone such as UTC, Asia/Seoul or Europe/Berlin".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin_and_perhaps_a_path() {
        for text in [
            "https://www.jinmini.com",
            "https://www.jinmini.com/",
            "http://localhost:8080",
            "http://[::1]:1",
            "https://app.jinmini.com/e",
            "https://app.jinmini.com/e/",
            "https://app.jinmini.com/a/b",
        ] {
            assert!(public_url(text).is_ok(), "{text}");
        }
        for text in [
            "www.jinmini.com",
            "ftp://a",
            "https://a//b",
            "https://a/%2F",
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
    fn a_domain_is_a_host_name() {
        assert_eq!(domain(""), Ok(None));
        for text in ["www.jinmini.com", "localhost", "xn--9d0bm53a.kr"] {
            assert_eq!(domain(text), Ok(Some(text.to_owned())));
        }
        for text in
            ["https://www.jinmini.com", "www.jinmini.com:8080", "www.jinmini.com/", "WWW.jinmini.com", "한국.kr", "a b"]
        {
            assert!(domain(text).unwrap_err().contains("www.jinmini.com"), "{text}");
        }
    }

    #[test]
    fn an_allowed_origin_comes_by_https_or_from_this_machine() {
        for text in ["https://app.jinmini.com", "https://*-team.vercel.app", "http://localhost:3000"] {
            assert_eq!(origin(text, Environment::Production).unwrap().to_string(), text);
        }
        assert!(origin("http://app.test", Environment::Development).is_ok());
        for (text, said) in [
            ("http://app.test", "https"),
            ("http://*-team.vercel.app", "https"),
            ("*", "as browsers send it"),
            ("https://*.vercel.app", "must have more than the * in the first label"),
        ] {
            assert!(origin(text, Environment::Production).unwrap_err().contains(said), "{text}");
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
