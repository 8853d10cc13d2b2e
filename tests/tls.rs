//! TLS on the port of the clients: certificates and protocols, refused requests, and changes of the certificate's
//! files.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

#[path = "tls/client.rs"]
mod client;
#[path = "tls/replacing.rs"]
mod replacing;
#[path = "tls/serving.rs"]
mod serving;
#[path = "tls/starting.rs"]
mod starting;

use std::process::Output;

use client::{Files, Pair};
use common::Gateway;

/// A gateway with this certificate, and the paths of its files.
fn gateway(pair: &Pair, variables: &[(&str, &str)]) -> (Gateway, Files) {
    let files = Files::of(pair);
    (gateway_with(&files, variables), files)
}

fn gateway_with(files: &Files, variables: &[(&str, &str)]) -> Gateway {
    let variables = files.variables(variables);
    Gateway::with(&variables.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}

/// One command with these files and variables; the variables take precedence.
fn run(files: &Files, command: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let of_files = files.variables(&[]);
    common::command(folder.path(), &[]).envs(of_files).envs(variables.iter().copied()).args(command).output().unwrap()
}

fn healthcheck(gateway: &Gateway, files: &Files) -> Output {
    run(files, &["healthcheck"], &[("PORT", &gateway.address.port().to_string())])
}
