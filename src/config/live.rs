//! Which settings a running gateway takes from files that have changed: the routes and services of `gateway.toml`, and
//! the variables of services in `.env`, on which nothing else depends. All other settings stay as they were at the
//! start, and so do their values where routes depend on them: a route must not name a provider that only a restart
//! enables.

use super::{
    Mistakes, Settings, providers,
    reading::{
        source::{FileTexts, Sources},
        spelling::is_near,
    },
    services::{SERVICE_OPENAPI_SUFFIX, SERVICE_URL_SUFFIX},
    variables::ALL,
};

/// The outcome of reading the files again.
pub struct Reread {
    /// The settings, or every mistake in them.
    pub settings: Result<Settings, Mistakes>,
    /// The variables that have changed in `.env` and are used only after a restart.
    pub need_restart: Vec<String>,
}

impl Sources {
    /// Reads the settings again, from these texts of the files.
    pub fn reread(&self, texts: &FileTexts) -> Reread {
        let (sources, need_restart) = self.with_file_texts(texts, is_pinned);
        Reread { settings: Settings::from_sources(&sources), need_restart }
    }
}

/// Whether a variable is one of ours that is read only at the start.
fn is_pinned(name: &str) -> bool {
    let is_live = [SERVICE_URL_SUFFIX, SERVICE_OPENAPI_SUFFIX].iter().any(|suffix| name.ends_with(suffix));
    let is_ours = || {
        ALL.iter().any(|variable| variable.name == name)
            || providers::check_name(name, is_near).is_some_and(|checked| checked.is_ok())
    };
    !is_live && is_ours()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn folder(dotenv: &str, routes: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), dotenv, routes);
        folder
    }

    fn write(folder: &Path, dotenv: &str, routes: &str) {
        fs::write(folder.join(".env"), format!("GATEWAY_ENV=development\n{dotenv}")).unwrap();
        fs::write(folder.join("gateway.toml"), routes).unwrap();
    }

    fn reread(sources: &Sources) -> (Result<Settings, Vec<String>>, Vec<String>) {
        let Reread { settings, need_restart } = sources.reread(&sources.file_texts().unwrap());
        let settings = settings.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect());
        (settings, need_restart)
    }

    #[test]
    fn services_change_and_the_rest_of_env_is_named() {
        let folder = folder("SHOP_SERVICE_URL=http://a:1\nPORT=1\nTIMEZONE=UTC\nOTHER=1\n", "");
        let sources = Sources::read(folder.path());
        assert!(reread(&sources).1.is_empty());
        write(
            folder.path(),
            "PORT=2\nNEWS_SERVICE_URL=http://b:1\nNEWS_SERVICE_OPENAPI=off\nOTHER=2\nGOOGLE_CLIENT_ID=1\nHOST=x\n",
            "[[routes]]\npath = '/api/n'\nservice = 'news'\n",
        );
        let (settings, need_restart) = reread(&sources);
        let settings = settings.unwrap();
        let names: Vec<_> = settings.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!((names, settings.service_documents.len()), (vec!["news"], 1));
        assert!(settings.routes.iter().any(|route| route.prefix.as_str() == "/api/n"));
        assert_eq!(settings.listener.address.port(), 1, "it stays, and so does what is not valid yet");
        assert_eq!(need_restart, ["GOOGLE_CLIENT_ID", "HOST", "PORT", "TIMEZONE"]);
    }

    #[test]
    fn a_route_may_not_name_a_provider_that_only_a_restart_enables() {
        let folder = folder("SHOP_SERVICE_URL=http://a:1\n", "");
        let sources = Sources::read(folder.path());
        let route = "[[routes]]\npath = '/api/n'\nservice = 'shop'\nprovider_token = 'google'\n";
        write(folder.path(), "SHOP_SERVICE_URL=http://a:1\nGOOGLE_CLIENT_ID=1\nGOOGLE_CLIENT_SECRET=s\n", route);
        let said = reread(&sources).0.unwrap_err();
        assert!(said[0].starts_with("gateway.toml line 4: provider_token must be an enabled provider"), "{said:?}");
        assert!(reread(&Sources::read(folder.path())).0.is_ok());
    }

    #[test]
    fn a_file_that_is_gone_or_broken_changes_nothing() {
        let folder = folder("", "[services.shop]\n");
        let sources = Sources::read(folder.path());
        for (file, text) in [(".env", "# nothing"), ("gateway.toml", "")] {
            let path = folder.path().join(file);
            let before = fs::read_to_string(&path).unwrap();
            fs::remove_file(&path).unwrap();
            let said = reread(&sources).0.unwrap_err();
            assert!(said[0].starts_with(&format!("{file} must not be removed while the gateway runs")), "{said:?}");
            fs::write(&path, text).unwrap();
            assert!(reread(&sources).0.is_ok(), "an empty one is no mistake");
            fs::write(&path, before).unwrap();
        }
        write(folder.path(), "PORT\nSHOP_SERVICE_URL=http://a:1\nAUTH_SERVICES_URL=http://a\n", "x");
        let said = reread(&sources).0.unwrap_err();
        assert!(said[0].starts_with(".env line 2 must be NAME=value"), "{said:?}");
        assert!(
            said[1].starts_with(".env line 4 must not set AUTH_SERVICES_URL; did you mean AUTH_SERVICE_URL"),
            "{said:?}"
        );
        assert!(said[2].starts_with("gateway.toml line 1: cannot be read"), "{said:?}");
    }
}
