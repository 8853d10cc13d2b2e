//! A gateway with machine clients, and the requests of a client.

#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

use std::{net::TcpListener, path::PathBuf, process::Output};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{Gateway, Response, call, command};

const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";

pub(crate) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A client with a secret.
#[derive(Clone)]
pub(crate) struct MachineClient {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl MachineClient {
    /// Neither needs encoding.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }
}

/// A store for gateways and for `gateway client`.
pub(crate) struct Registry {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Registry {
    /// A file of SQLite.
    pub(crate) fn new(more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("gateway.db").display());
        let mut variables = vec![("DATABASE_URL".to_owned(), url), ("VAULT_KEY".to_owned(), VAULT_KEY.to_owned())];
        variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self { folder, variables }
    }

    pub(crate) fn gateway(&self) -> Gateway {
        Gateway::with(&self.variables())
    }

    /// The issuer is its own URL: `http://localhost:PORT`.
    pub(crate) fn gateway_on_localhost(&self) -> (Gateway, String) {
        self.gateway_on_localhost_at("")
    }

    /// As above, with this path.
    pub(crate) fn gateway_on_localhost_at(&self, path: &str) -> (Gateway, String) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let issuer = format!("http://localhost:{port}{path}");
        let mut variables = self.variables();
        variables.extend([("PORT", port.as_str()), ("PUBLIC_URL", issuer.as_str())]);
        (Gateway::with(&variables), issuer)
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Runs the binary on this store.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        command(self.folder.path(), &self.variables()).args(arguments).output().unwrap()
    }

    /// The output of `gateway client …`.
    #[track_caller]
    pub(crate) fn client(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["client"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn add(&self, name: &str, scope: &str) -> MachineClient {
        read(&self.client(&["add", name, "--scope", scope]))
    }

    /// Adds a client with this public key in PEM; returns its id.
    #[track_caller]
    pub(crate) fn add_with_key(&self, name: &str, scope: &str, pem: &str) -> String {
        let file = self.write("key.pem", pem);
        let said = self.client(&["add", name, "--scope", scope, "--jwks", file.to_str().unwrap()]);
        assert!(!said.contains("secret"), "{said}");
        value_of(&said, "client_id")
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }
}

/// The output of `add` and `rotate`.
#[track_caller]
pub(crate) fn read(said: &str) -> MachineClient {
    MachineClient { id: value_of(said, "client_id"), secret: value_of(said, "client_secret") }
}

#[track_caller]
fn value_of(said: &str, name: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {name} in {said}")).to_owned()
}

/// A form-encoded body.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl Gateway {
    /// Sends a form as this client.
    pub(crate) fn post_as(&self, client: &MachineClient, path: &str, pairs: &[(&str, &str)]) -> Response {
        self.post_form(path, &[("Authorization", &client.basic())], pairs)
    }

    pub(crate) fn post_form(&self, path: &str, headers: &[(&str, &str)], pairs: &[(&str, &str)]) -> Response {
        call(self.address, "POST", path, &[&[FORM], headers].concat(), form(pairs).as_bytes())
    }

    /// The response of introspection.
    #[track_caller]
    pub(crate) fn introspect_as(&self, client: &MachineClient, token: &str) -> Value {
        self.post_as(client, "/oauth2/introspect", &[("token", token)]).expect(200).json()
    }
}

impl Response {
    /// Checks that the response is an error of RFC 6749 §5.2.
    #[track_caller]
    pub(crate) fn expect_oauth_error(self, status: u16, code: &str) -> Self {
        let response = self.expect(status);
        let document = response.json();
        assert_eq!(document["error"], code, "{document}");
        assert!(response.header("content-type").unwrap().starts_with("application/json"), "{document}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{document}");
        // RFC 9110 §11.6.1
        assert_eq!(response.header("www-authenticate").is_some(), status == 401, "{document}");
        let allowed = |c: u8| matches!(c, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert!(document["error_description"].as_str().unwrap().bytes().all(allowed), "{document}");
        response
    }
}
