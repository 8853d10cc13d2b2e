//! What clients are told of us, so that they find everything else by themselves (RFC 8414).

use poem_openapi::Object;

use crate::domain::gateway::models::client::ClientAlgorithm;

/// Where this document is.
pub const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// How a client may authenticate, by the names of OpenID Connect Core §9.
const AUTH_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];

/// The metadata of this authorization server (RFC 8414 §2).
#[derive(Debug, Clone, Object)]
pub struct ServerMetadata {
    /// The `iss` of our tokens.
    pub issuer: String,
    /// Where clients get tokens.
    pub token_endpoint: String,
    /// How they authenticate there.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// What they may sign assertions with.
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Where they end tokens.
    pub revocation_endpoint: String,
    /// How they authenticate there.
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// What they may sign assertions with.
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Where they ask what a token is.
    pub introspection_endpoint: String,
    /// How they authenticate there.
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// What they may sign assertions with.
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// The keys that verify our tokens.
    pub jwks_uri: String,
    /// What clients may ask for.
    pub grant_types_supported: Vec<String>,
    /// Empty: there is no authorization endpoint. RFC 8414 §2 requires the member, and readers that check look for it, though
    /// §3.2 would have an empty one left out.
    pub response_types_supported: Vec<String>,
    /// For people.
    pub service_documentation: String,
}

impl ServerMetadata {
    /// Of a gateway whose own API is at `base` (no slash at its end).
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

    /// Where a client looks for this document that knows the issuer alone: the issuer's path stands behind [`METADATA_PATH`], at
    /// the root of its host (RFC 8414 §3.1).
    pub fn path_by_issuer(&self) -> String {
        let behind_scheme = self.issuer.split_once("://").map_or("", |(_, rest)| rest);
        let path = behind_scheme.find('/').map_or("", |at| &behind_scheme[at..]);
        format!("{METADATA_PATH}{path}")
    }

    /// The names by which an assertion may call us (RFC 7523 §3): the issuer, or the token endpoint, with the prefix or
    /// without.
    pub fn audiences(&self) -> Vec<String> {
        vec![self.issuer.clone(), self.token_endpoint.clone(), format!("{}/oauth2/token", self.issuer)]
    }
}
