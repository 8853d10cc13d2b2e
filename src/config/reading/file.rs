//! `gateway.toml`: its parts, and mistakes that name their lines.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    fields::{Field, Kind, Table, field},
    report::{Mistake, broken_by_source},
    source::RoutesFile,
    spelling::is_near,
    synonyms::{Meant, folded, meant},
};

/// The names at the top of the file.
pub(in crate::config) const DEFAULT_ROUTES: Field = field(
    "default_routes",
    Kind::Flag,
    "true or false",
    "Whether the shipped routes stay in force beside those of the file. Default: true.",
);
/// So many mistakes are told. More are mostly one mistake that has many consequences.
const MOST_MISTAKES: usize = 100;

/// What the parser says of a key that is there twice. It does not say which.
const DUPLICATE_KEY: &str = "duplicate key";
pub(in crate::config) const SERVICES: &str = "services";
pub(in crate::config) const ROUTES: &str = "routes";

/// The file, or an empty one in its place.
pub(in crate::config) struct FileReader<'s> {
    name: &'s str,
    text: &'s str,
    folder: Option<&'s Path>,
    /// Where the lines begin.
    lines: Vec<usize>,
    /// Each with its place in the text.
    mistakes: Vec<(usize, Mistake)>,
    parts: Parts<'s>,
}

/// The parts that have not been read yet.
#[derive(Default)]
struct Parts<'s> {
    default_routes: Option<bool>,
    services: Vec<NamedTable<'s>>,
    routes: Vec<Spanned<DeValue<'s>>>,
}

/// A table and its name.
pub(in crate::config) type NamedTable<'s> = (Spanned<String>, Spanned<DeValue<'s>>);

impl<'s> FileReader<'s> {
    /// Opens the operator's file.
    pub(in crate::config) fn of(file: Option<&'s RoutesFile>) -> Self {
        match file {
            Some(RoutesFile { name, text, folder }) => Self::open(name, text, folder.as_deref()),
            None => Self::open("", "", None),
        }
    }

    /// Opens a text. `folder` is the folder of the files that it names; without one they are not looked for.
    pub(in crate::config) fn open(name: &'s str, text: &'s str, folder: Option<&'s Path>) -> Self {
        let starts = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        let mut file = Self { name, text, folder, lines, mistakes: Vec::new(), parts: Parts::default() };
        let (document, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            file.split(document.into_inner());
        }
        // What the parser says of the text after a broken line are guesses.
        if let Some(error) = errors.iter().min_by_key(|error| error.span().map_or(usize::MAX, |span| span.start)) {
            file.unreadable(error);
        }
        file
    }

    fn split(&mut self, document: DeTable<'s>) {
        for (key, value) in document {
            let (name, place) = (key.get_ref().clone(), Spanned::new(key.span(), ()));
            let is_table = matches!(value.get_ref(), DeValue::Table(_));
            match (name.as_ref(), value.into_inner()) {
                (ROUTES, DeValue::Array(entries)) => self.parts.routes = entries.into_iter().collect(),
                (SERVICES, DeValue::Table(tables)) => {
                    let named = |(key, table): (Spanned<_>, _)| {
                        let (span, name): (_, std::borrow::Cow<'_, str>) = (key.span(), key.into_inner());
                        (Spanned::new(span, name.into_owned()), table)
                    };
                    self.parts.services = tables.into_iter().map(named).collect();
                }
                (name, DeValue::Boolean(given)) if name == DEFAULT_ROUTES.name => {
                    self.parts.default_routes = Some(given);
                }
                (ROUTES, _) => self.note(&place, "routes must be tables, each under a line [[routes]]"),
                (SERVICES, _) => self.note(&place, "services must be tables, each under a line [services.NAME]"),
                (name, _) if name == DEFAULT_ROUTES.name => {
                    self.note(&place, format!("{name} must be {}", DEFAULT_ROUTES.wanted));
                }
                (other, _) => {
                    let known = [DEFAULT_ROUTES.name, SERVICES, ROUTES];
                    let near = known.into_iter().find(|known| is_near(other, known));
                    let hint = match (near, meant("the file", other)) {
                        (Some(SERVICES), _) if is_table => "; did you mean [services.NAME]?".to_owned(),
                        (Some(meant), _) | (None, Some(Meant::Field(meant))) => format!("; did you mean {meant}?"),
                        (None, Some(Meant::Else(hint))) => format!("; {hint}"),
                        (None, None) => String::new(),
                    };
                    let rule = format!("the file must have only default_routes, [services.NAME] and [[routes]]{hint}");
                    self.note(&place, broken_by_source(&rule, &format!("{other:?}")));
                }
            }
        }
    }

    /// Whether the shipped routes stay beside those of the file.
    pub(in crate::config) fn default_routes(&self) -> bool {
        self.parts.default_routes.unwrap_or(true)
    }

    /// The `[[routes]]`, each once.
    pub(in crate::config) fn take_routes(&mut self) -> Vec<Spanned<DeValue<'s>>> {
        std::mem::take(&mut self.parts.routes)
    }

    /// The `[services.NAME]`, each once.
    pub(in crate::config) fn take_services(&mut self) -> Vec<NamedTable<'s>> {
        std::mem::take(&mut self.parts.services)
    }

    /// Reads the fields of a table. Unknown ones, and those of another type, are noted and left out, so that all
    /// mistakes of a table are reported at once.
    pub(in crate::config) fn entry<T: DeserializeOwned>(
        &mut self,
        table: &'static Table,
        entry: Spanned<DeValue<'_>>,
    ) -> Option<T> {
        let place = Spanned::new(entry.span(), ());
        let DeValue::Table(fields) = entry.into_inner() else {
            self.note(&place, format!("{} must be a table, under a line {}", table.name, table.written));
            return None;
        };
        let kept = self.kept(table, "", &place, fields);
        let kept = Spanned::new(place.span(), DeValue::Table(kept));
        T::deserialize(ValueDeserializer::from(kept)).map_err(|error| self.unreadable(&error)).ok()
    }

    /// The fields that the table declares. `prefix` leads to an inner table: `check.`.
    fn kept<'i>(
        &mut self,
        table: &'static Table,
        prefix: &str,
        place: &Spanned<()>,
        fields: DeTable<'i>,
    ) -> DeTable<'i> {
        let has = |name: &&str| fields.keys().any(|key| key.get_ref() == name);
        for names in table.required.iter().filter(|names| !names.iter().any(has)) {
            self.note(place, format!("{prefix}{} is required in every {}", names[0], table.written));
        }
        let mut kept = DeTable::new();
        for (key, value) in fields {
            let name = key.get_ref().as_ref();
            let Some(Field { kind, wanted, .. }) = table.fields.iter().find(|known| known.name == name) else {
                let hint = hint(table, name);
                self.note(&key, format!("{} must not have the field {name:?}; {hint}", table.name));
                continue;
            };
            if !kind.fits(value.get_ref()) {
                let problem = broken_by_source(&format!("must be {wanted}"), &self.source(&value));
                self.note(&value, format!("{prefix}{name} {problem}"));
                continue;
            }
            let value = match kind.table() {
                Some(inner) => self.kept_inside(inner, &format!("{prefix}{name}."), value),
                None => value,
            };
            kept.insert(key, value);
        }
        kept
    }

    /// A value with the fields that its table declares, or each of its tables.
    fn kept_inside<'i>(
        &mut self,
        table: &'static Table,
        prefix: &str,
        value: Spanned<DeValue<'i>>,
    ) -> Spanned<DeValue<'i>> {
        let place = Spanned::new(value.span(), ());
        let kept = match value.into_inner() {
            DeValue::Table(fields) => DeValue::Table(self.kept(table, prefix, &place, fields)),
            DeValue::Array(tables) => {
                DeValue::Array(tables.into_iter().map(|one| self.kept_inside(table, prefix, one)).collect())
            }
            other => other,
        };
        Spanned::new(place.span(), kept)
    }

    /// Reads the value of a field. `parse` says what it must be.
    pub(in crate::config) fn field<V: fmt::Debug, T>(
        &mut self,
        name: &str,
        value: &Spanned<V>,
        parse: impl FnOnce(&V) -> Result<T, String>,
    ) -> Option<T> {
        let outcome = parse(value.get_ref());
        let problem = |rule: String| format!("{name} {}", broken_by_source(&rule, &format!("{:?}", value.get_ref())));
        outcome.map_err(|rule| self.note(value, problem(rule))).ok()
    }

    /// Notes a mistake; `problem` begins with its subject, the field.
    pub(in crate::config) fn note<V>(&mut self, at: &Spanned<V>, problem: impl Into<String>) {
        let place = format!("{} line {}:", self.name, self.line(at));
        self.mistakes.push((at.span().start, Mistake::new(place, problem)));
    }

    /// Notes an error of the TOML parser: bad syntax, an unknown key, a missing one, a value of another type.
    fn unreadable(&mut self, error: &toml::de::Error) {
        let at = Spanned::new(error.span().unwrap_or_default(), ());
        let what = if error.message() == DUPLICATE_KEY { format!(" {}", self.source(&at)) } else { String::new() };
        self.note(&at, format!("cannot be read: {}{what}", error.message()));
    }

    /// The value as the file has it, on one line.
    pub(in crate::config) fn source<V>(&self, value: &Spanned<V>) -> String {
        let text = self.text.get(value.span()).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The number of a line, from 1.
    pub(in crate::config) fn line<V>(&self, at: &Spanned<V>) -> usize {
        self.lines.partition_point(|&start| start <= at.span().start)
    }

    /// The name of the file.
    pub(in crate::config) fn name(&self) -> &'s str {
        self.name
    }

    /// The path of a file that this one names: relative to its folder. `None` if files are not looked for.
    pub(in crate::config) fn beside(&self, path: &str) -> Option<PathBuf> {
        self.folder.map(|folder| folder.join(path))
    }

    /// The first mistakes, in the order of the file.
    pub(in crate::config) fn into_mistakes(mut self) -> impl Iterator<Item = Mistake> {
        self.mistakes.sort_by_key(|(at, _)| *at);
        self.mistakes.into_iter().map(|(_, mistake)| mistake).take(MOST_MISTAKES)
    }
}

/// What may be meant by a field that the table does not have. Another way to write a field comes first, then what other
/// proxies call it, and a misspelling last: some of their names are near to another field of ours.
fn hint(table: &Table, name: &str) -> String {
    let find = |is_it: &dyn Fn(&str) -> bool| table.fields.iter().map(|field| field.name).find(|known| is_it(known));
    let as_written = find(&|known| folded(known) == folded(name)).map(Meant::Field);
    let meant = as_written
        .or_else(|| meant(table.name, name))
        .or_else(|| find(&|known| is_near(name, known)).map(Meant::Field));
    match meant {
        Some(Meant::Field(field)) => format!("did you mean {field}?"),
        Some(Meant::Else(hint)) => hint.to_owned(),
        None if name == DEFAULT_ROUTES.name => "it must stand at the top of the file, before all tables".to_owned(),
        None => format!("{} lists the fields", table.page),
    }
}
