//! The purpose and the syntax of each command.

use std::process::ExitCode;

use super::{BAD_USAGE, complain, say};

/// A command's words and its help.
struct Help(&'static [&'static str], &'static str);

const COMMANDS: [Help; 16] = [
    Help(
        &["serve"],
        "\
usage: gateway serve

Serves until SIGTERM or SIGINT. Settings come from the environment, .env and gateway.toml. `gateway` alone does the same.
Changes of gateway.toml, and of the services in .env, are used at once; SIGHUP or POST /reload on the admin listener hurries it.
With a mistake anywhere, the old ones stay, and the log names it.
",
    ),
    Help(
        &["check"],
        "\
usage: gateway check

Checks the settings and the routes, reports every mistake, and lists the routes with the access that each requires. Starts nothing.
Exits with 64 if there is a mistake. Hints name what may be intended: an environment variable that looks misspelt, a database
without tables, no machine client. Warnings name settings that work and should be changed. Neither changes the exit code.
",
    ),
    Help(
        &["routes"],
        "\
usage: gateway routes [--json]

Lists every route with its methods, its service, the path there, and the access that it requires.

  --json   prints a JSON document, which also says where each route comes from
",
    ),
    Help(
        &["explain"],
        "\
usage: gateway explain METHOD PATH [--token TOKEN] [--json]

Prints which route a request would take, where the route comes from, its access rule, its service, the instances and the path
there; without a route, which ones come near. Exits with 1 if the request would be refused. Reads the files alone: of a token,
only the claims are judged, not the signature and not whether it is revoked.

  --token   an access token: whether it passes the route's rule
  --json    prints a JSON document
",
    ),
    Help(
        &["schema"],
        "\
usage: gateway schema

Prints a JSON Schema of gateway.toml for editors: `gateway schema > gateway.schema.json`, and as the first line of gateway.toml
`#:schema ./gateway.schema.json`.
",
    ),
    Help(&["openapi"], "usage: gateway openapi\n\nPrints the OpenAPI document of a gateway with these settings.\n"),
    Help(
        &["healthcheck"],
        "\
usage: gateway healthcheck

Exits with 0 if the gateway on this machine is alive (/livez), else with 1. Needs the gateway's settings, such as HOST and PORT.
",
    ),
    Help(
        &["client", "add"],
        "\
usage: gateway client add NAME [--scope \"WORD WORD\"] [--audience AUDIENCE] [--jwks FILE]

Adds a program that gets tokens at /oauth2/token, and prints its client_id and client_secret. The secret is not shown again.

  --scope      the scopes that its tokens may have, separated by blanks
  --audience   the `aud` of its tokens (default: TOKEN_AUDIENCE)
  --jwks       the file with its public key, as a JWK, a JWK set or PEM: the client signs, and has no secret
",
    ),
    Help(&["client", "list"], "usage: gateway client list\n\nLists all clients, without their secrets.\n"),
    Help(
        &["client", "rotate"],
        "\
usage: gateway client rotate ID [--jwks FILE]

Gives a client a new secret (with --jwks: new keys), and prints it. The secret is not shown again, and the old one is no longer
valid. ID is the client_id, as `gateway client list` shows it.
",
    ),
    Help(
        &["client", "remove"],
        "\
usage: gateway client remove ID

Removes a client and revokes its tokens, on every gateway within a second. ID is the client_id, as `gateway client list` shows it.
",
    ),
    Help(
        &["client"],
        "\
usage: gateway client add NAME [--scope \"WORD WORD\"] [--audience AUDIENCE] [--jwks FILE]
       gateway client list
       gateway client rotate ID [--jwks FILE]
       gateway client remove ID

Manages the programs that get tokens at /oauth2/token. `gateway client COMMAND --help` explains one command. Needs the gateway's
settings, such as DATABASE_URL and VAULT_KEY.
",
    ),
    Help(
        &["keys", "rotate"],
        "\
usage: gateway keys rotate

Seals everything in the store with the first key of VAULT_KEY, so that the other keys can be removed. Gateways may run meanwhile.
Exits with 1 if something cannot be opened, and names it.
",
    ),
    Help(
        &["keys", "rotate-signing"],
        "\
usage: gateway keys rotate-signing

For an emergency: a signing key may be in wrong hands. Makes a new one that signs at once, and deletes all others. Every gateway that
reaches the store refuses the tokens of the others within 5 seconds; until then it may also refuse tokens of the new key. Sessions and
refresh tokens stay valid: nobody is signed out. Needs the DATABASE_URL and VAULT_KEY of the gateways, and their TOKEN_ALGORITHM.
",
    ),
    Help(
        &["keys"],
        "\
usage: gateway keys rotate
       gateway keys rotate-signing

Manages the keys. `gateway keys COMMAND --help` explains one command.
",
    ),
    Help(
        &["sample-service"],
        "usage: gateway sample-service [ADDRESS]\n\nServes the sample AUTH service alone, at ADDRESS: default 0.0.0.0:8001.\n",
    ),
];

const USAGE: &str = "\
gateway: signs its own tokens and proxies /api/… to your services

usage: gateway [COMMAND]

  serve            serve (default); settings come from the environment, .env and gateway.toml
  check            check the settings and list the routes
  routes           list the routes
  explain …        print which route a request would take, and why
  schema           print a JSON Schema of gateway.toml, for editors
  openapi          print the OpenAPI document
  healthcheck      exit with 0 if the gateway on this machine is alive (for containers)
  client …         add, list, rotate or remove the programs that get tokens
  keys rotate      seal everything in the store with the first key of VAULT_KEY, so that the others can be removed
  keys rotate-signing
                   in an emergency: sign with a new key at once, and refuse all others
  sample-service   serve the sample AUTH service alone; [ADDRESS] default 0.0.0.0:8001
  help             print this; `gateway COMMAND --help` explains one command
";

/// The requested help: for `--help` or `-h` at the end, or `help` before the words of a command. A client may be called
/// help.
pub(super) fn asked(arguments: &[&str]) -> Option<&'static str> {
    match arguments {
        ["help" | "--help" | "-h", words @ ..] | [words @ .., "--help" | "-h"] => Some(of(words)),
        ["client", "help"] => Some(of(&["client"])),
        _ => None,
    }
}

/// The help of the command that these words begin with, or of all commands.
fn of(words: &[&str]) -> &'static str {
    COMMANDS.iter().find(|Help(known, _)| words.starts_with(known)).map_or(USAGE, |Help(_, usage)| usage)
}

/// Prints requested help.
pub(super) fn show(usage: &str) -> ExitCode {
    say(usage);
    ExitCode::SUCCESS
}

/// Prints a usage mistake, and the syntax of the command.
pub(super) fn misused(mistake: &str, words: &[&str]) -> ExitCode {
    complain(&format!("gateway: {mistake}\n\n{}", of(words)));
    ExitCode::from(BAD_USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_help_of_its_own_however_it_is_asked_for() {
        for Help(words, usage) in &COMMANDS {
            assert!(usage.starts_with(&format!("usage: gateway {}", words.join(" "))), "{usage}");
            for (before, behind) in [(None, Some("--help")), (None, Some("-h")), (Some("help"), None)] {
                let asking: Vec<_> = before.into_iter().chain(words.iter().copied()).chain(behind).collect();
                assert_eq!(asked(&asking), Some(*usage), "{asking:?}");
            }
        }
        for all in [["help"], ["--help"], ["-h"]] {
            assert_eq!(asked(&all), Some(USAGE));
        }
        assert_eq!(asked(&["client", "add", "reports", "--help"]), asked(&["client", "add", "--help"]));
        assert_eq!(asked(&["client", "help"]), asked(&["client", "--help"]));
        for other in [&[][..], &["check"], &["client", "add", "help"], &["sample-service", "127.0.0.1:1"]] {
            assert_eq!(asked(other), None, "{other:?}");
        }
    }
}
