//! The container engine whose labels are followed.

use url::{Host, Url};

use crate::config::{reading::reader::Reader, variables::DOCKER_URL};

/// `DOCKER_URL`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerUrl {
    /// Unset: no containers are followed.
    Nowhere,
    /// `unix:///var/run/docker.sock`: the path.
    Socket(String),
    /// `tcp://host:port`: host and port.
    Tcp(String),
}

/// The port at which an engine, or a proxy of its socket, listens without TLS.
const ENGINE_PORT: u16 = 2375;

const RULE: &str =
    "must be unix:///path/to/docker.sock or tcp://host:port, without TLS; unset, no containers are followed";

/// Whether this binary can follow containers.
const IS_SUPPORTED: bool = cfg!(feature = "docker");

/// Reads the engine's address.
pub(in crate::config) fn read_url(reader: &mut Reader<'_>) -> Option<DockerUrl> {
    reader.read(&DOCKER_URL, |text| read(text, IS_SUPPORTED))
}

fn read(text: &str, is_supported: bool) -> Result<DockerUrl, String> {
    if text.is_empty() {
        return Ok(DockerUrl::Nowhere);
    }
    if !is_supported {
        return Err("must not be set for a gateway that was built without Docker; build it with `--features docker`, use the image, or \
                    unset the variable"
            .to_owned());
    }
    host(text).ok_or_else(|| RULE.to_owned())
}

fn host(text: &str) -> Option<DockerUrl> {
    if let Some(path) = text.strip_prefix("unix://") {
        return path.starts_with('/').then(|| DockerUrl::Socket(path.to_owned()));
    }
    let rest = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://"))?;
    // Parsed as an http URL: `url` checks less for unknown schemes.
    let url = Url::parse(&format!("http://{rest}")).ok()?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    let host = match url.host().filter(|_| plain)? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => format!("[{address}]"),
    };
    // `url` drops the usual port of http even if it is written.
    let is_written = rest.trim_end_matches('/').ends_with(":80");
    let port = url.port().unwrap_or(if is_written { 80 } else { ENGINE_PORT });
    (port != 0).then(|| DockerUrl::Tcp(format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_a_socket_or_a_host() {
        let socket = |path: &str| DockerUrl::Socket(path.into());
        let tcp = |authority: &str| DockerUrl::Tcp(authority.to_owned());
        for (text, expected) in [
            ("unix:///var/run/docker.sock", socket("/var/run/docker.sock")),
            ("unix:///run/user/1000/docker.sock", socket("/run/user/1000/docker.sock")),
            ("tcp://docker-proxy:2375", tcp("docker-proxy:2375")),
            ("tcp://docker-proxy", tcp("docker-proxy:2375")),
            ("tcp://10.0.0.3:80/", tcp("10.0.0.3:80")),
            ("http://[::1]:2375", tcp("[::1]:2375")),
        ] {
            assert_eq!(read(text, true), Ok(expected), "{text}");
        }
        assert_eq!((read("", true), read("", false)), (Ok(DockerUrl::Nowhere), Ok(DockerUrl::Nowhere)));
        for text in [
            "/var/run/docker.sock",
            "unix://docker.sock",
            "unix://",
            "tcp://",
            "tcp://user@host:2375",
            "tcp://host:2375/v1.44",
            "tcp://host:0",
            "tcp://host:99999",
            "https://host:2376",
            "ssh://host",
            "npipe:////./pipe/docker_engine",
        ] {
            assert_eq!(read(text, true), Err(RULE.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_gateway_without_docker_says_how_to_get_one_with_it() {
        let said = read("unix:///var/run/docker.sock", false).unwrap_err();
        assert!(said.contains("--features docker") && said.contains("the image"), "{said}");
    }
}
