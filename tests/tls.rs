//! TLS on the port of the clients, from outside: by which certificate and protocol they are served, what they may not do, and
//! what becomes of the certificate when its files change.

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

/// A gateway that shows this certificate, and where it finds that.
fn gateway(pair: &Pair, variables: &[(&str, &str)]) -> (Gateway, Files) {
    let files = Files::of(pair);
    (gateway_with(&files, variables), files)
}

fn gateway_with(files: &Files, variables: &[(&str, &str)]) -> Gateway {
    let variables = files.variables(variables);
    Gateway::with(&variables.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}

/// One command with these files and variables; the variables win.
fn run(files: &Files, command: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let of_files = files.variables(&[]);
    common::command(folder.path(), &[]).envs(of_files).envs(variables.iter().copied()).args(command).output().unwrap()
}

fn healthcheck(gateway: &Gateway, files: &Files) -> Output {
    run(files, &["healthcheck"], &[("PORT", &gateway.address.port().to_string())])
}
