//! `gateway client …`: machine clients in the store of `DATABASE_URL`, beside gateways at work.

use std::{fs, process::ExitCode};

use super::{BAD_USAGE, UNAVAILABLE, complain, in_runtime, say, with_settings};
use crate::{
    adapters::client_keys::AwsLcClientKeys,
    app,
    domain::gateway::{
        models::{
            client::{Client, ClientCredential, ClientKey, ClientSecret, InvalidClientName},
            id::ClientId,
            scope::InvalidScope,
        },
        services::{
            client::registry::{AddClientError, ClientRegistry, NewClient, RotateClientError},
            ports::ClientKeys,
        },
    },
};

const USAGE: &str = "\
gateway client: the programs that get tokens at /oauth2/token

usage: gateway client add NAME [--scope \"WORD WORD\"] [--audience AUDIENCE] [--jwks FILE]
       gateway client list
       gateway client rotate ID [--jwks FILE]
       gateway client remove ID

  add      add one, and print its client_id and client_secret: this once. With --jwks it has no secret, but signs with the
           key whose public half is in FILE: a JWK, a JWK set, or PEM
  list     all of them, without their secrets
  rotate   another secret (with --jwks: other keys); the one before is worth nothing from then on
  remove   remove it; every token that was issued to it ends, on every gateway within a second

DATABASE_URL and the like have to be as the gateways have them.
";

/// What is to be done.
enum Wish {
    Add(NewClient),
    List,
    Rotate(ClientId, Option<Vec<ClientKey>>),
    Remove(ClientId),
}

/// Why it was not done: what to say, and the exit code.
struct Refused(String, u8);

/// Runs `gateway client` with these arguments.
pub(super) fn run(arguments: &[&str]) -> ExitCode {
    if let [] | ["help" | "--help" | "-h"] = arguments {
        say(USAGE);
        return if arguments.is_empty() { ExitCode::from(BAD_USAGE) } else { ExitCode::SUCCESS };
    }
    let wish = match read(arguments) {
        Ok(wish) => wish,
        Err(mistake) => {
            complain(&format!("gateway: {mistake}\n\n{USAGE}"));
            return ExitCode::from(BAD_USAGE);
        }
    };
    with_settings(|settings| {
        in_runtime(async {
            let registry = match app::clients::registry(&settings).await {
                Ok(Some(registry)) => registry,
                Ok(None) => {
                    complain(
                        "gateway: without DATABASE_URL the store is in memory, and no gateway would ever know the client; set \
                         DATABASE_URL and VAULT_KEY as the gateway has them\n",
                    );
                    return ExitCode::from(BAD_USAGE);
                }
                Err(error) => {
                    complain(&format!("gateway: {error}\n"));
                    return ExitCode::from(UNAVAILABLE);
                }
            };
            match fulfil(&registry, wish).await {
                Ok(said) => {
                    say(&said);
                    ExitCode::SUCCESS
                }
                Err(Refused(why, code)) => {
                    complain(&format!("gateway: {why}\n"));
                    ExitCode::from(code)
                }
            }
        })
    })
}

fn read(arguments: &[&str]) -> Result<Wish, String> {
    match arguments {
        ["add", name, options @ ..] => {
            let mut options = Options::read(options, &["--scope", "--audience", "--jwks"])?;
            let scope = options.take("--scope").unwrap_or_default();
            let audience = options.take("--audience");
            if audience.as_deref().is_some_and(|audience| audience.is_empty() || audience.chars().any(char::is_control))
            {
                return Err("--audience is a name or a URL".to_owned());
            }
            Ok(Wish::Add(NewClient {
                name: name.parse().map_err(|rule: InvalidClientName| rule.to_string())?,
                scope: scope.parse().map_err(|rule: InvalidScope| format!("--scope: {rule}"))?,
                audience,
                keys: options.take("--jwks").map(|file| keys(&file)).transpose()?,
            }))
        }
        ["list"] => Ok(Wish::List),
        ["rotate", id, options @ ..] => {
            let mut options = Options::read(options, &["--jwks"])?;
            Ok(Wish::Rotate(client_id(id)?, options.take("--jwks").map(|file| keys(&file)).transpose()?))
        }
        ["remove", id] => Ok(Wish::Remove(client_id(id)?)),
        unknown => Err(format!("this is not understood: client {}", unknown.join(" "))),
    }
}

fn client_id(text: &str) -> Result<ClientId, String> {
    text.parse().map_err(|_| "a client is named by its client_id, as `gateway client list` shows it".to_owned())
}

fn keys(file: &str) -> Result<Vec<ClientKey>, String> {
    let content = fs::read(file).map_err(|error| format!("--jwks {file}: {error}"))?;
    AwsLcClientKeys.read(&content).map_err(|error| format!("--jwks {file}: {error}"))
}

/// `--name value`, each at most once.
struct Options(Vec<(String, String)>);

impl Options {
    fn read(arguments: &[&str], known: &[&str]) -> Result<Self, String> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in arguments.chunks(2) {
            match pair {
                [name, value] if known.contains(name) && found.iter().all(|(other, _)| other != name) => {
                    found.push(((*name).to_owned(), (*value).to_owned()));
                }
                [name, ..] => return Err(format!("this is not understood: {name}; known here: {}", known.join(", "))),
                [] => {}
            }
        }
        Ok(Self(found))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }
}

async fn fulfil(registry: &ClientRegistry, wish: Wish) -> Result<String, Refused> {
    match wish {
        Wish::Add(new) => match registry.add(new).await {
            Ok((client, secret)) => Ok(added(client.id, secret.as_ref())),
            Err(AddClientError::NameTaken) => Err(Refused(AddClientError::NameTaken.to_string(), 1)),
            Err(AddClientError::Failed(failure)) => Err(Refused(failure.to_string(), UNAVAILABLE)),
        },
        Wish::List => match registry.list().await {
            Ok(clients) => Ok(clients.iter().map(line).collect()),
            Err(failure) => Err(Refused(failure.to_string(), UNAVAILABLE)),
        },
        Wish::Rotate(id, keys) => match registry.rotate(id, keys).await {
            Ok(secret) => Ok(added(id, secret.as_ref())),
            Err(RotateClientError::HasKeys) => Err(Refused(format!("{}: --jwks FILE", RotateClientError::HasKeys), 1)),
            Err(RotateClientError::Unknown) => Err(Refused(RotateClientError::Unknown.to_string(), 1)),
            Err(RotateClientError::Failed(failure)) => Err(Refused(failure.to_string(), UNAVAILABLE)),
        },
        Wish::Remove(id) => match registry.remove(id).await {
            Ok((Some(client), ended)) => {
                Ok(format!("{} is removed; {ended} families of tokens were ended\n", client.name.as_str()))
            }
            Ok((None, 0)) => Err(Refused("there is no such client".to_owned(), 1)),
            Ok((None, ended)) => Ok(format!("it was removed before; {ended} families of tokens were ended\n")),
            Err(failure) => Err(Refused(failure.to_string(), UNAVAILABLE)),
        },
    }
}

/// One member a line, for people and for `sed`. This is the one place that ever shows a secret.
fn added(id: ClientId, secret: Option<&ClientSecret>) -> String {
    match secret {
        Some(secret) => format!("client_id={id}\nclient_secret={}\n", secret.expose()),
        None => format!("client_id={id}\n"),
    }
}

fn line(client: &Client) -> String {
    let Client { id, name, scope, audience, credential, created_at } = client;
    let proof = match credential {
        ClientCredential::Secret(_) => "secret".to_owned(),
        ClientCredential::Keys(keys) => {
            let algorithms: Vec<_> = keys.iter().map(|key| key.algorithm.name()).collect();
            format!("key {}", algorithms.join(" "))
        }
    };
    let audience = audience.as_deref().unwrap_or("-");
    let created = created_at.format("%Y-%m-%dT%H:%M:%SZ");
    format!("{id}\t{}\t{proof}\tscope={scope}\taudience={audience}\t{created}\n", name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(arguments: &[&str]) -> String {
        read(arguments).err().unwrap_or_else(|| panic!("{arguments:?} is understood"))
    }

    #[test]
    fn a_client_is_described_by_options() {
        let Ok(Wish::Add(new)) = read(&["add", "reports", "--audience", "orders", "--scope", "a b"]) else { panic!() };
        assert_eq!((new.name.as_str(), new.audience.as_deref()), ("reports", Some("orders")));
        assert_eq!((new.scope.to_string().as_str(), new.keys), ("a b", None));
        assert!(matches!(read(&["add", "reports"]), Ok(Wish::Add(new)) if new.scope.is_empty()));
    }

    #[test]
    fn a_mistake_is_named() {
        assert!(mistake(&["fly"]).contains("client fly"));
        assert!(mistake(&["add", ""]).contains("characters"));
        assert!(mistake(&["add", "a", "--scope", "a  b"]).contains("--scope"));
        assert!(mistake(&["add", "a", "--scope", "a", "--scope", "b"]).contains("--scope"));
        assert!(mistake(&["add", "a", "--secret", "x"]).contains("--secret"));
        assert!(mistake(&["add", "a", "--scope"]).contains("--scope"));
        assert!(mistake(&["add", "a", "--audience", ""]).contains("--audience"));
        assert!(mistake(&["add", "a", "--jwks", "/nowhere"]).contains("/nowhere"));
        assert!(mistake(&["remove", "reports"]).contains("client_id"));
        assert!(mistake(&["rotate", "reports"]).contains("client_id"));
    }
}
