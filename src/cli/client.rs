//! `gateway client …`: machine clients in the store of `DATABASE_URL`, beside working gateways.

use std::{fs, process::ExitCode};

use super::{BAD_USAGE, UNAVAILABLE, complain, help, in_runtime, say, with_settings};
use crate::{
    adapters::client_keys::AwsLcClientKeys,
    app,
    domain::gateway::{
        models::{
            client::{Client, ClientCredential, ClientKey, ClientSecret, InvalidClientName},
            values::{id::ClientId, scope::InvalidScope},
        },
        services::{
            client::registry::{AddClientError, ClientRegistry, NewClient, RotateClientError},
            ports::ClientKeys,
        },
    },
};

/// The action.
enum Wish {
    Add(NewClient),
    List,
    Rotate(ClientId, Option<Vec<ClientKey>>),
    Remove(ClientId),
}

/// A mistake in the arguments.
#[derive(Debug)]
enum Mistake {
    /// The syntax is wrong: the usage is shown.
    Usage(String),
    /// The syntax is right, but this value is invalid.
    Value(String),
}

/// A failure: the message, and the exit code.
struct Refused(String, u8);

/// Runs `gateway client` with these arguments.
pub(super) fn run(arguments: &[&str]) -> ExitCode {
    let wish = match read(arguments) {
        Ok(wish) => wish,
        Err(Mistake::Usage(mistake)) => return help::misused(&mistake, &[&["client"], arguments].concat()),
        Err(Mistake::Value(mistake)) => {
            complain(&format!("gateway: {mistake}\n"));
            return ExitCode::from(BAD_USAGE);
        }
    };
    with_settings(|settings| {
        in_runtime(async {
            let registry = match app::clients::registry(&settings).await {
                Ok(Some(registry)) => registry,
                Ok(None) => {
                    complain(
                        "gateway: without DATABASE_URL the store is in memory, and the client would be lost at once; set \
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

fn read(arguments: &[&str]) -> Result<Wish, Mistake> {
    match arguments {
        ["add", name, options @ ..] if !name.starts_with('-') => {
            let mut options = Options::read(options, &["--scope", "--audience", "--jwks"])?;
            let scope = options.take("--scope").unwrap_or_default();
            let audience = options.take("--audience");
            if audience.as_deref().is_some_and(|audience| audience.is_empty() || audience.chars().any(char::is_control))
            {
                return Err(Mistake::Value("--audience must be a name or a URL".to_owned()));
            }
            Ok(Wish::Add(NewClient {
                name: name.parse().map_err(|rule: InvalidClientName| {
                    Mistake::Value(format!("NAME must be the name of a client, not {name:?}; {rule}"))
                })?,
                scope: scope.parse().map_err(|rule: InvalidScope| {
                    Mistake::Value(format!("--scope must be a list of words, not {scope:?}; {rule}"))
                })?,
                audience,
                keys: options.take("--jwks").map(|file| keys(&file)).transpose()?,
            }))
        }
        ["list"] => Ok(Wish::List),
        ["rotate", id, options @ ..] if !id.starts_with('-') => {
            let mut options = Options::read(options, &["--jwks"])?;
            Ok(Wish::Rotate(client_id(id)?, options.take("--jwks").map(|file| keys(&file)).transpose()?))
        }
        ["remove", id] if !id.starts_with('-') => Ok(Wish::Remove(client_id(id)?)),
        [] => Err(Mistake::Usage("client needs a command".to_owned())),
        ["add", ..] => Err(Mistake::Usage("client add needs a NAME first".to_owned())),
        [known @ ("rotate" | "remove")] => Err(Mistake::Usage(format!("client {known} needs an ID"))),
        unknown => Err(Mistake::Usage(format!("there is no command client {}", unknown.join(" ")))),
    }
}

fn client_id(text: &str) -> Result<ClientId, Mistake> {
    text.parse()
        .map_err(|_| Mistake::Value(format!("ID must be a client_id, not {text:?}; `gateway client list` shows them")))
}

fn keys(file: &str) -> Result<Vec<ClientKey>, Mistake> {
    let content = fs::read(file).map_err(|error| Mistake::Value(format!("--jwks {file}: {error}")))?;
    AwsLcClientKeys.read(&content).map_err(|error| Mistake::Value(format!("--jwks {file}: {error}")))
}

/// `--name value`, each at most once.
struct Options(Vec<(String, String)>);

impl Options {
    fn read(arguments: &[&str], known: &[&str]) -> Result<Self, Mistake> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in arguments.chunks(2) {
            match pair {
                [name, value] if known.contains(name) && found.iter().all(|(other, _)| other != name) => {
                    found.push(((*name).to_owned(), (*value).to_owned()));
                }
                [name] if known.contains(name) => return Err(Mistake::Usage(format!("{name} needs a value"))),
                [name, ..] if known.contains(name) => {
                    return Err(Mistake::Usage(format!("{name} must not be repeated")));
                }
                [name, ..] => {
                    let known = known.join(", ");
                    return Err(Mistake::Usage(format!("there is no option {name}; the options are {known}")));
                }
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

/// One member per line, for people and for `sed`. This is the only place that ever shows a secret.
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

    /// The mistake, and whether it is one of syntax.
    fn mistake(arguments: &[&str]) -> (bool, String) {
        match read(arguments).err() {
            Some(Mistake::Usage(mistake)) => (true, mistake),
            Some(Mistake::Value(mistake)) => (false, mistake),
            None => panic!("{arguments:?} is understood"),
        }
    }

    #[test]
    fn a_client_is_described_by_options() {
        let Ok(Wish::Add(new)) = read(&["add", "reports", "--audience", "orders", "--scope", "a b"]) else { panic!() };
        assert_eq!((new.name.as_str(), new.audience.as_deref()), ("reports", Some("orders")));
        assert_eq!((new.scope.to_string().as_str(), new.keys), ("a b", None));
        assert!(matches!(read(&["add", "reports"]), Ok(Wish::Add(new)) if new.scope.is_empty()));
    }

    #[test]
    fn a_mistake_is_named_and_usage_is_for_what_is_written_wrongly() {
        for (arguments, names) in [
            (&["fly"][..], "client fly"),
            (&[], "needs a command"),
            (&["add"], "NAME"),
            (&["add", "--scope", "a"], "NAME"),
            (&["add", "a", "--scope", "a", "--scope", "b"], "--scope"),
            (&["add", "a", "--secret", "x"], "--secret"),
            (&["add", "a", "--scope"], "--scope needs a value"),
            (&["rotate"], "ID"),
            (&["remove"], "ID"),
            (&["remove", "a", "b"], "remove a b"),
            (&["list", "a"], "list a"),
        ] {
            let (is_usage, said) = mistake(arguments);
            assert!(is_usage && said.contains(names), "{arguments:?}: {said}");
        }
        for (arguments, names) in [
            (&["add", ""][..], "characters"),
            (&["add", "a", "--scope", "a  b"], "--scope"),
            (&["add", "a", "--audience", ""], "--audience"),
            (&["add", "a", "--jwks", "/nowhere"], "/nowhere"),
            (&["remove", "reports"], "client_id"),
            (&["rotate", "reports"], "client_id"),
        ] {
            let (is_usage, said) = mistake(arguments);
            assert!(!is_usage && said.contains(names), "{arguments:?}: {said}");
        }
    }
}
