//! The sources of settings: the process environment, `.env` and `gateway.toml`. Only this module reads them; nothing is
//! ever written into the process environment. The certificate's files are only validated here, to report their mistakes
//! together with all others.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    certificate::{TlsFiles, Unfit},
    regular_file,
    report::{Mistake, broken},
};
use crate::config::variables::{GATEWAY_CONFIG, TLS_CERTIFICATE, TLS_KEY};

/// The file with the routes, unless `GATEWAY_CONFIG` names another.
const DEFAULT_ROUTES_FILE: &str = "gateway.toml";

/// The unparsed sources. Has no `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct Sources {
    environment: BTreeMap<String, String>,
    dotenv: BTreeMap<String, DotenvValue>,
    routes: Option<RoutesFile>,
    unfit_tls_files: Vec<Unfit>,
    mistakes: Vec<Mistake>,
    /// The folder of the files, if they were read from one.
    folder: Option<PathBuf>,
    has_dotenv: bool,
}

#[derive(Clone)]
struct DotenvValue {
    value: String,
    line: usize,
}

/// The text of `gateway.toml`, or of the file in its place.
#[derive(Clone)]
pub(in crate::config) struct RoutesFile {
    /// Its name, for mistakes.
    pub(in crate::config) name: String,
    /// Its content.
    pub(in crate::config) text: String,
    /// The folder of the files that it names, if they are to be looked for.
    pub(in crate::config) folder: Option<PathBuf>,
}

/// The texts of `.env` and of the routes file at one moment. Has no `Debug`: they hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct FileTexts {
    dotenv: FileText,
    routes: FileText,
}

/// `None` if the file does not exist; the error if it cannot be read.
type FileText = Result<Option<String>, String>;

impl Sources {
    /// Reads the process environment, and `.env` and `gateway.toml` in `directory` if they exist. Unreadable files are
    /// mistakes that [`Settings::from_sources`](crate::config::Settings::from_sources) reports with all the others.
    #[expect(clippy::disallowed_methods, reason = "this is the only place that reads the environment")]
    pub fn read(directory: &Path) -> Self {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            // A value that is not UTF-8 gets replacement characters here, which no variable of ours may contain.
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        let mut sources = Self::default().with_environment(environment);
        sources.folder = Some(directory.to_owned());
        let sources = sources.with_dotenv_file(&text_of(&directory.join(".env")));
        let routes = sources.routes_file_text();
        sources.with_routes_text(&routes)
    }

    /// The texts of the files as they are now; `None` if these sources were not read from files.
    pub fn file_texts(&self) -> Option<FileTexts> {
        let dotenv = text_of(&self.folder.as_ref()?.join(".env"));
        Some(FileTexts { dotenv, routes: self.routes_file_text() })
    }

    /// The same sources with other files. Of the variables in `.env` that `is_pinned` names, the old values stay;
    /// returns those that differ. A file that is gone is a mistake: editors and deployments replace a file in two
    /// steps, and between them nothing must change.
    pub(in crate::config) fn with_file_texts(
        &self,
        texts: &FileTexts,
        is_pinned: impl Fn(&str) -> bool,
    ) -> (Self, Vec<String>) {
        let environment = self.environment.clone();
        let mut sources = Self { environment, folder: self.folder.clone(), ..Self::default() };
        sources = sources.with_dotenv_file(&texts.dotenv);
        if self.has_dotenv && matches!(texts.dotenv, Ok(None)) {
            sources = sources.with_mistake(".env", GONE.to_owned());
        }
        let names: BTreeSet<&String> = self.dotenv.keys().chain(sources.dotenv.keys()).collect();
        let pinned: Vec<String> = names.into_iter().filter(|name| is_pinned(name)).cloned().collect();
        let differs = |name: &&String| self.value(name) != sources.value(name);
        let differing = pinned.iter().filter(differs).cloned().collect();
        for name in pinned {
            match self.dotenv.get(&name) {
                Some(value) => sources.dotenv.insert(name, value.clone()),
                None => sources.dotenv.remove(&name),
            };
        }
        if let (Some(known), Ok(None)) = (&self.routes, &texts.routes) {
            sources.routes = Some(known.clone());
            let name = known.name.clone();
            return (sources.with_mistake(&name, GONE.to_owned()), differing);
        }
        (sources.with_routes_text(&texts.routes), differing)
    }

    fn with_dotenv_file(mut self, text: &FileText) -> Self {
        match text {
            Ok(Some(text)) => {
                self.has_dotenv = true;
                self.with_dotenv(text)
            }
            Ok(None) => self,
            Err(why) => self.with_mistake(".env", format!("cannot be read: {why}")),
        }
    }

    fn routes_file_text(&self) -> FileText {
        let folder = self.folder.as_deref().unwrap_or(Path::new(""));
        text_of(&folder.join(self.value(GATEWAY_CONFIG.name).unwrap_or(DEFAULT_ROUTES_FILE)))
    }

    fn with_routes_text(mut self, text: &FileText) -> Self {
        let named = self.value(GATEWAY_CONFIG.name).map(str::to_owned);
        let name = named.clone().unwrap_or_else(|| DEFAULT_ROUTES_FILE.to_owned());
        match text {
            Ok(Some(text)) => {
                let file = self.folder.as_ref().map(|folder| folder.join(&name));
                let folder = file.and_then(|file| file.parent().map(Path::to_owned));
                self.routes = Some(RoutesFile { name, text: text.clone(), folder });
                self
            }
            Ok(None) if named.is_none() => self,
            Ok(None) => self.with_mistake(GATEWAY_CONFIG.name, broken("must name an existing file", &name)),
            Err(why) => self.with_mistake(&name, format!("cannot be read: {why}")),
        }
    }

    /// Adds variables of the process environment.
    #[must_use]
    pub fn with_environment(
        mut self,
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Adds the text of a `.env` file. Variables of the process environment take precedence.
    #[must_use]
    pub fn with_dotenv(mut self, text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}');
        // dotenvy takes a blank at the very end of the file for an unfinished line.
        let text = format!("{text}\n");
        let lines_read = Cell::new(0);
        for entry in dotenvy::from_read_iter(LineByLine { rest: text.as_bytes(), lines_read: &lines_read }) {
            let line = lines_read.get();
            match entry {
                Ok((name, value)) => self.add_dotenv_value(name, value, line),
                Err(dotenvy::Error::LineParse(unread, _)) => {
                    // An unclosed quote swallows the rest of the file: point at its beginning.
                    let begins = line + 1 - unread.lines().count().clamp(1, line);
                    let rule =
                        "must be NAME=value or # and a comment; put a value with blanks into quotes, and close them";
                    self.mistakes.push(Mistake::new(format!(".env line {begins}"), rule));
                }
                Err(other) => self.mistakes.push(Mistake::new(".env", format!("cannot be read: {other}"))),
            }
        }
        self
    }

    /// Sets the routes file: its text, and its name in mistakes.
    #[must_use]
    pub fn with_routes_file(mut self, name: &str, text: &str) -> Self {
        self.routes = Some(RoutesFile { name: name.to_owned(), text: text.to_owned(), folder: None });
        self
    }

    /// Validates the certificate's files, too. Only serving needs this: a running gateway keeps its certificate while
    /// the files do not match, and other commands do not use them.
    #[must_use]
    pub fn with_tls_files(mut self) -> Self {
        if let (Some(certificate), Some(key)) = (self.value(TLS_CERTIFICATE.name), self.value(TLS_KEY.name)) {
            let files = TlsFiles { certificate: certificate.into(), key: key.into() };
            self.unfit_tls_files = files.load().err().unwrap_or_default();
        }
        self
    }

    fn add_dotenv_value(&mut self, name: String, value: String, line: usize) {
        let place = format!(".env line {line}");
        match self.dotenv.get(&name) {
            Some(first) => {
                let problem = format!("must not set {name} again; line {} sets it already", first.line);
                self.mistakes.push(Mistake::new(place, problem));
            }
            None => {
                self.dotenv.insert(name, DotenvValue { value, line });
            }
        }
    }

    fn with_mistake(mut self, place: &str, problem: String) -> Self {
        self.mistakes.push(Mistake::new(place, problem));
        self
    }

    /// The value of a variable. An empty value counts as unset; in the process environment it hides that of `.env`.
    pub(in crate::config) fn value(&self, name: &str) -> Option<&str> {
        let of_dotenv = || self.dotenv.get(name).map(|found| &found.value);
        self.environment.get(name).or_else(of_dotenv).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A variable's name and, if its value comes from `.env`, the line: for mistakes.
    pub(in crate::config) fn place(&self, name: &str) -> String {
        match self.dotenv.get(name) {
            Some(DotenvValue { line, .. }) if !self.environment.contains_key(name) => {
                format!("{name} (.env line {line})")
            }
            _ => name.to_owned(),
        }
    }

    /// The names of all variables, ours and others'.
    pub(in crate::config) fn names(&self) -> BTreeSet<&str> {
        self.environment.keys().chain(self.dotenv.keys()).map(String::as_str).collect()
    }

    /// The routes file, if there is one.
    pub(in crate::config) fn routes(&self) -> Option<&RoutesFile> {
        self.routes.as_ref()
    }

    /// The names in the process environment.
    pub(in crate::config) fn environment_names(&self) -> impl Iterator<Item = &String> {
        self.environment.keys()
    }

    /// The names in `.env`, each with the line that sets it first.
    pub(in crate::config) fn dotenv_names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.dotenv.iter().map(|(name, DotenvValue { line, .. })| (name.as_str(), *line))
    }

    /// The mistakes in the certificate's files.
    pub(in crate::config) fn unfit_tls_files(&self) -> &[Unfit] {
        &self.unfit_tls_files
    }

    /// The mistakes found while reading.
    pub(in crate::config) fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

/// The problem of a file that existed before.
const GONE: &str = "must not be removed while the gateway runs; a start without it uses the defaults";

fn text_of(path: &Path) -> FileText {
    match regular_file::read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why.to_string()),
    }
}

/// Yields a text line by line and counts: dotenvy does not report the lines of entries.
struct LineByLine<'t> {
    rest: &'t [u8],
    lines_read: &'t Cell<usize>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.iter().position(|&byte| byte == b'\n').map_or(self.rest.len(), |at| at + 1);
        let taken = line.min(buffer.len());
        let (now, later) = self.rest.split_at(taken);
        buffer[..taken].copy_from_slice(now);
        self.rest = later;
        if now.ends_with(b"\n") {
            self.lines_read.set(self.lines_read.get() + 1);
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn said(sources: &Sources) -> Vec<String> {
        sources.mistakes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_environment_wins_and_an_empty_value_is_unset() {
        let sources = Sources::default()
            .with_dotenv("HOST=::1\nPORT=1\nTIMEZONE=\nAPI_PREFIX=' '\n")
            .with_environment([("PORT", "2"), ("HOST", "")]);
        assert_eq!(sources.value("PORT"), Some("2"));
        assert_eq!((sources.value("HOST"), sources.value("TIMEZONE"), sources.value("API_PREFIX")), (None, None, None));
        assert_eq!(
            (sources.place("PORT").as_str(), sources.place("TIMEZONE").as_str()),
            ("PORT", "TIMEZONE (.env line 3)")
        );
    }

    #[test]
    fn comments_quotes_and_line_ends_are_those_of_every_env_file() {
        let text = "\u{feff}# said\r\n\r\nexport PORT=1 # why\r\nTIMEZONE=\"Asia/Seoul\"\r\nHOST='::1' ";
        let sources = Sources::default().with_dotenv(text);
        assert_eq!(said(&sources), Vec::<String>::new());
        assert_eq!(
            (sources.value("PORT"), sources.value("TIMEZONE"), sources.value("HOST")),
            (Some("1"), Some("Asia/Seoul"), Some("::1"))
        );
    }

    #[test]
    fn an_unreadable_line_is_named_by_its_number_and_never_shown() {
        let sources = Sources::default().with_dotenv("# one\nPORT=1\nVAULT KEY=hunter2\n\nHOST=\"::1\nTIMEZONE=UTC\n");
        let said = said(&sources);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with(".env line 3 must be NAME=value or # and a comment"), "{said:?}");
        assert!(said[1].starts_with(".env line 5 must be NAME=value or # and a comment"), "{said:?}");
        assert!(!said.concat().contains("hunter2"));
        assert_eq!(sources.value("PORT"), Some("1"));
    }

    #[test]
    fn a_second_value_is_a_mistake_in_env_files_only() {
        let sources = Sources::default()
            .with_environment([("PROT", "1"), ("HOSTS", "a")])
            .with_dotenv("PORT=1\nPORT=2\nTIMEZONES=UTC\nNODE_ENV=test\n");
        assert_eq!(said(&sources), [".env line 2 must not set PORT again; line 1 sets it already"]);
    }

    #[test]
    fn files_are_read_from_a_directory_and_missing_ones_are_no_mistake() {
        let directory = tempfile::tempdir().unwrap();
        let nothing = Sources::read(directory.path());
        assert!(nothing.routes().is_none() && nothing.mistakes().is_empty());

        fs::write(directory.path().join("gateway.toml"), "# mine").unwrap();
        let own = Sources::read(directory.path());
        assert_eq!(own.routes().map(|file| (file.name.as_str(), file.text.as_str())), Some(("gateway.toml", "# mine")));

        fs::write(directory.path().join(".env"), "GATEWAY_CONFIG=other.toml\n").unwrap();
        assert_eq!(
            said(&Sources::read(directory.path())),
            ["GATEWAY_CONFIG must name an existing file, not \"other.toml\""]
        );
        fs::write(directory.path().join("other.toml"), "# theirs").unwrap();
        assert_eq!(Sources::read(directory.path()).routes().unwrap().name, "other.toml");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_mistake() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(".env")).unwrap();
        fs::write(directory.path().join("gateway.toml"), [0xff]).unwrap();
        let said = said(&Sources::read(directory.path()));
        assert!(
            said[0].starts_with(".env cannot be read") && said[1].starts_with("gateway.toml cannot be read"),
            "{said:?}"
        );
    }
}
