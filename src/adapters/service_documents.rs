//! The OpenAPI documents of services: fetched, and rewritten to the paths of the gateway. A document is untrusted data:
//! it is bounded and validated, and no reference in it is fetched.

mod bounds;
mod names;
mod outside;
mod version2;

use std::{net::SocketAddr, time::Duration};

use reqwest::{
    Client, ClientBuilder,
    header::{ACCEPT, HOST},
    redirect::Policy,
};
use rustls::ClientConfig;
use thiserror::Error;
use url::Url;

use self::names::Names;
use crate::{
    domain::gateway::models::service::{Instance, RouteTable, ServiceName, UpstreamProtocol},
    json::{Json, openapi30},
};

/// The maximum size of a document.
const MOST_BYTES: usize = 5 * 1024 * 1024;

/// The time limit for a service to send its document.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A service as the gateway publishes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// The name: the tag of its operations.
    pub service: String,
    /// The description in its document.
    pub description: Option<String>,
    /// The public paths.
    pub paths: Vec<(String, Json)>,
    /// The components that the paths refer to, by kind.
    pub components: Vec<(String, Vec<(String, Json)>)>,
}

/// Why a document cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// The setting disables it.
    #[error("its document is off")]
    Off,
    /// The service does not respond.
    #[error("its document cannot be fetched: {0}")]
    Unreachable(String),
    /// The service responds with this status.
    #[error("the request for its document gets {0}")]
    Status(u16),
    /// The document is too large.
    #[error("its document is larger than 5 MiB")]
    TooLarge,
    /// The document contains too many values.
    #[error("its document has more than {0}")]
    TooMany(&'static str),
    /// It is not JSON.
    #[error("its document is not JSON: {0}")]
    NotJson(String),
    /// It is JSON, but no OpenAPI document.
    #[error("its document must be OpenAPI 3.0 or 3.1, or Swagger 2.0: {0}")]
    NotOpenApi(String),
}

/// Fetches the documents of services.
pub struct ServiceDocuments {
    http1: Client,
    http2: Client,
}

/// TLS to an instance.
#[derive(Clone, Copy)]
pub struct DocumentTls<'t> {
    /// The trusted authorities and the client certificate.
    pub config: &'t ClientConfig,
    /// The name that its certificate must have.
    pub server_name: &'t str,
}

impl DocumentTls<'_> {
    /// A client for this instance alone: its address is known, and the name in the URL is the one to be verified.
    fn client(&self, instance: &Instance, protocol: UpstreamProtocol) -> Result<Client, String> {
        let mut config = self.config.clone();
        let (alpn, builder) = match protocol {
            UpstreamProtocol::Http1 => ("http/1.1", client_builder().http1_only()),
            UpstreamProtocol::Http2 => ("h2", client_builder().http2_prior_knowledge()),
        };
        config.alpn_protocols = vec![alpn.into()];
        let addresses: Vec<_> =
            instance.addresses.iter().map(|&address| SocketAddr::new(address, instance.port)).collect();
        let builder = builder.tls_backend_preconfigured(config).resolve_to_addrs(self.server_name, &addresses);
        builder.build().map_err(|error| error.to_string())
    }

    /// The name as the host of a URL.
    fn url_host(&self) -> String {
        if self.server_name.contains(':') { format!("[{}]", self.server_name) } else { self.server_name.to_owned() }
    }
}

#[expect(clippy::disallowed_methods, reason = "services are not providers: they have their own TLS, or none")]
fn client_builder() -> ClientBuilder {
    Client::builder().redirect(Policy::none()).referer(false).no_proxy().timeout(TIMEOUT)
}

impl ServiceDocuments {
    /// Creates the clients.
    ///
    /// # Errors
    /// If the library cannot create them.
    pub fn new() -> Result<Self, String> {
        let client = || client_builder().tls_certs_only([]);
        let made = |built: Result<Client, reqwest::Error>| built.map_err(|error| error.to_string());
        Ok(Self { http1: made(client().build())?, http2: made(client().http2_prior_knowledge().build())? })
    }

    /// Fetches the document at this path of an instance.
    ///
    /// # Errors
    /// If the document cannot be fetched.
    pub async fn fetch(
        &self,
        instance: &Instance,
        tls: Option<DocumentTls<'_>>,
        path: &str,
    ) -> Result<Vec<u8>, Unreadable> {
        let (client, origin) = match (tls.filter(|_| instance.tls), instance.protocol) {
            (Some(tls), protocol) => {
                let client = tls.client(instance, protocol);
                (client.map_err(Unreadable::Unreachable)?, format!("https://{}:{}", tls.url_host(), instance.port))
            }
            (None, _) if instance.tls => return Err(Unreadable::Unreachable("TLS to it is not set up".to_owned())),
            (None, UpstreamProtocol::Http1) => (self.http1.clone(), format!("http://{}", instance.address())),
            (None, UpstreamProtocol::Http2) => (self.http2.clone(), format!("http://{}", instance.address())),
        };
        let url = format!("{origin}{}{path}", instance.base_path);
        let unreachable =
            |error: &reqwest::Error| Unreadable::Unreachable(format!("{}: {}", instance.authority(), cause(error)));
        let mut response = client
            .get(url)
            .header(HOST, instance.authority())
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| unreachable(&error))?;
        if !response.status().is_success() {
            return Err(Unreadable::Status(response.status().as_u16()));
        }
        let mut document = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| unreachable(&error))? {
            if document.len() + part.len() > MOST_BYTES {
                return Err(Unreadable::TooLarge);
            }
            document.extend_from_slice(&part);
        }
        Ok(document)
    }
}

/// The innermost cause: the outer errors repeat the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Describes a service by its document.
///
/// # Errors
/// If the document is invalid.
pub fn described(document: &[u8], service: &ServiceName, table: &RouteTable) -> Result<Described, Unreadable> {
    bounds::check_text(document)?;
    let mut json: Json = serde_json::from_slice(document).map_err(|error| Unreadable::NotJson(error.to_string()))?;
    bounds::check(&json)?;
    let version = |name: &str, json: &Json| json.get(name).and_then(Json::text).unwrap_or_default().to_owned();
    let (openapi, swagger) = (version("openapi", &json), version("swagger", &json));
    match (openapi.as_str(), swagger.as_str()) {
        ("", "2.0") => {
            json = version2::upgraded(json);
            bounds::check(&json)?;
            openapi30::upgrade(&mut json);
        }
        (version, "") if version == "3.0" || version.starts_with("3.0.") => openapi30::upgrade(&mut json),
        (version, "") if version == "3.1" || version.starts_with("3.1.") => {}
        ("", "") => return Err(Unreadable::NotOpenApi("it has no version".to_owned())),
        (one, other) => {
            return Err(Unreadable::NotOpenApi(format!("its version is {}", printable(&format!("{one}{other}")))));
        }
    }
    if !matches!(json.get("paths"), Some(Json::Object(_))) {
        return Err(Unreadable::NotOpenApi("it has no paths".to_owned()));
    }
    let base = base_path(&json, service, table);
    let about = json.get("info").cloned().unwrap_or_default();
    let about = |name: &str| about.get(name).and_then(Json::text).map(str::to_owned);
    let description =
        about("title").map(|title| about("description").map_or(title.clone(), |more| format!("{title}: {more}")));
    let (names, components) = Names::taken(&mut json, service.as_str());
    let mut paths = outside::paths(json, &base, service, table);
    for (_, item) in &mut paths {
        names.put_into(item);
    }
    let described = Described { service: service.to_string(), description, paths, components };
    validate(&described)?;
    Ok(described)
}

/// Describes a service without a document, by its routes.
pub fn of_routes(service: &ServiceName, table: &RouteTable) -> Described {
    outside::of_routes(service, table)
}

/// The path prefix of the first server in the document. A public path of a route (FastAPI's `root_path`) is no path at
/// the service, and yields an empty prefix.
fn base_path(document: &Json, service: &ServiceName, table: &RouteTable) -> String {
    let server = document.get("servers").and_then(|servers| servers.elements().first());
    let url = server.and_then(|server| server.get("url")).and_then(Json::text).unwrap_or_default();
    let nowhere = Url::parse("http://service.invalid/").and_then(|base| base.join(url));
    let base = nowhere.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    let is_outside = table.iter().filter(|route| route.service == *service).any(|route| {
        let prefix = route.prefix.as_str();
        !prefix.is_empty() && base.ends_with(prefix) && route.upstream_prefix.as_str() != base
    });
    if is_outside { String::new() } else { base }
}

/// Validates the result as part of an OpenAPI document.
fn validate(described: &Described) -> Result<(), Unreadable> {
    let mut whole = Json::from(serde_json::json!({
        "openapi": "3.1.0", "info": {"title": "a service", "version": "1"}, "paths": {}, "components": {}
    }));
    whole.set("paths", Json::Object(described.paths.clone()));
    let components = described.components.iter().map(|(kind, values)| (kind.clone(), Json::Object(values.clone())));
    whole.set("components", Json::Object(components.collect()));
    let wrong = |error: serde_json::Error| Unreadable::NotOpenApi(printable(&error.to_string()));
    let text = serde_json::to_string(&whole).map_err(wrong)?;
    serde_json::from_str::<oas3::Spec>(&text).map(drop).map_err(wrong)
}

/// A text of the document for the log: short, and on one line.
fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
