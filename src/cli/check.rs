//! `gateway check`: whether the settings are good, and what they mean.

use std::process::ExitCode;

use super::{complain, hint, hint_at_slips, in_runtime, reachable, say, with};
use crate::{
    adapters::clock::WallClock,
    app::{self, clients::Stored},
    config::{Environment, Settings, Sources, TlsFiles},
    ports::Clock,
};

pub(super) fn check(sources: &Sources) -> ExitCode {
    with(sources, |settings| {
        say("the settings are good\n");
        check_certificate(&settings);
        let of_providers = settings.providers.iter().filter_map(|provider| provider.warning(WallClock.now()));
        for warning in settings.warnings.iter().cloned().chain(of_providers) {
            complain(&format!("warning: {warning}\n"));
        }
        say(&sign_in(&settings));
        say(&reachable::listed(&settings));
        hint_at_slips(sources);
        hint_at_store(&settings);
        ExitCode::SUCCESS
    })
}

/// Lists the enabled providers: a provider whose variables have other names is missing here.
fn sign_in(settings: &Settings) -> String {
    let on: Vec<_> = settings
        .providers
        .iter()
        .map(|provider| format!("{} (/login/{})", provider.display_name, provider.name))
        .collect();
    match (on.is_empty(), settings.environment) {
        (false, _) => format!("people sign in with {}\n", on.join(", ")),
        (true, Environment::Development) => {
            "people sign in with the development stand-in: no provider has an id and a secret\n".to_owned()
        }
        (true, Environment::Production) => "no provider is enabled: none has an id and a secret\n".to_owned(),
    }
}

fn check_certificate(settings: &Settings) {
    // They were valid a moment ago.
    if let Some(Ok(pair)) = settings.tls.as_ref().map(TlsFiles::load) {
        match pair.date_warning(WallClock.now()) {
            Some(warning) => complain(&format!("warning: {warning}\n")),
            None => say(&format!("the certificate of TLS_CERTIFICATE is valid until {}\n", pair.not_after)),
        }
    }
}

/// Hints that are no mistakes in the settings: that the database is a new one, and that in production no tokens can be
/// created before a client with that scope exists.
fn hint_at_store(settings: &Settings) {
    in_runtime(async {
        let contents = match app::clients::stored(&settings.database).await {
            Ok(contents) => contents,
            Err(error) => {
                hint(&format!("cannot read the database: {error}"));
                return ExitCode::SUCCESS;
            }
        };
        if contents == Stored::NoTables {
            hint(
                "the database of DATABASE_URL has none of the gateway's tables yet: the gateway creates them when it first starts. If \
                 there should be some, check DATABASE_URL and DATABASE_SCHEMA",
            );
        }
        if contents != Stored::Clients && settings.environment == Environment::Production {
            hint(
                "no machine client exists, so no one can create tokens; add one with\n      \
                 gateway client add NAME --scope tokens:issue",
            );
        }
        ExitCode::SUCCESS
    });
}
