//! The metadata from which clients learn the endpoints and their capabilities (RFC 8414).

use poem_openapi::Object;

use crate::domain::gateway::models::client::ClientAlgorithm;

/// The path of this document.
pub const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// The client authentication methods, by the names of OpenID Connect Core §9.
const AUTH_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];

/// The metadata of this authorization server (RFC 8414 §2).
#[derive(Debug, Clone, Object)]
pub struct ServerMetadata {
    /// Issuer of the gateway's tokens: their `iss` claim.
    pub issuer: String,
    /// URL of the token endpoint.
    pub token_endpoint: String,
    /// Client authentication methods at the token endpoint.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// Signature algorithms of client assertions at the token endpoint.
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// URL of the revocation endpoint.
    pub revocation_endpoint: String,
    /// Client authentication methods at the revocation endpoint.
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// Signature algorithms of client assertions at the revocation endpoint.
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// URL of the introspection endpoint.
    pub introspection_endpoint: String,
    /// Client authentication methods at the introspection endpoint.
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// Signature algorithms of client assertions at the introspection endpoint.
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// URL of the public keys that verify the gateway's tokens.
    pub jwks_uri: String,
    /// Supported grant types.
    pub grant_types_supported: Vec<String>,
    /// Empty, because there is no authorization endpoint. RFC 8414 §2 requires the member, and strict clients check it,
    /// although §3.2 says to omit empty members.
    pub response_types_supported: Vec<String>,
    /// URL of the documentation for people.
    pub service_documentation: String,
}

impl ServerMetadata {
    /// The metadata of a gateway whose own API is at `base` (without a slash at its end).
    pub fn new(issuer: &str, base: &str) -> Self {
        let at = |path: &str| format!("{base}{path}");
        let methods = || AUTH_METHODS.map(str::to_owned).to_vec();
        let algorithms = || {
            ClientAlgorithm::ALL.iter().flat_map(|one| one.names()).map(|name| (*name).to_owned()).collect::<Vec<_>>()
        };
        Self {
            issuer: issuer.to_owned(),
            token_endpoint: at("/oauth2/token"),
            token_endpoint_auth_methods_supported: methods(),
            token_endpoint_auth_signing_alg_values_supported: algorithms(),
            revocation_endpoint: at("/oauth2/revoke"),
            revocation_endpoint_auth_methods_supported: methods(),
            revocation_endpoint_auth_signing_alg_values_supported: algorithms(),
            introspection_endpoint: at("/oauth2/introspect"),
            introspection_endpoint_auth_methods_supported: methods(),
            introspection_endpoint_auth_signing_alg_values_supported: algorithms(),
            jwks_uri: at("/.well-known/jwks.json"),
            grant_types_supported: ["client_credentials", "refresh_token"].map(str::to_owned).to_vec(),
            response_types_supported: Vec::new(),
            service_documentation: at("/docs"),
        }
    }

    /// The path of this document for clients that only know the issuer: [`METADATA_PATH`], followed by the issuer's path,
    /// at the root of its host (RFC 8414 §3.1).
    pub fn path_by_issuer(&self) -> String {
        let behind_scheme = self.issuer.split_once("://").map_or("", |(_, rest)| rest);
        let path = behind_scheme.find('/').map_or("", |at| &behind_scheme[at..]);
        format!("{METADATA_PATH}{path}")
    }

    /// The permitted audiences of an assertion (RFC 7523 §3): the issuer, or the token endpoint, with the prefix or without
    /// it.
    pub fn audiences(&self) -> Vec<String> {
        vec![self.issuer.clone(), self.token_endpoint.clone(), format!("{}/oauth2/token", self.issuer)]
    }
}
