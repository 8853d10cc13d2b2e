//! The fields of the tables in `gateway.toml`. The parser accepts what a table here declares, and `gateway schema` prints
//! the same declarations for editors, so the two cannot differ.

use std::ops::RangeInclusive;

use toml::de::DeValue;

/// A table of the file.
#[derive(Debug)]
pub struct Table {
    /// Its name in mistakes: `a route`.
    pub name: &'static str,
    /// How it is written: `[[routes]]`.
    pub written: &'static str,
    /// The page of the manual that lists its fields.
    pub page: &'static str,
    /// Its meaning.
    pub about: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
    /// The names of the fields that it must have: of each list at least one.
    pub required: &'static [&'static [&'static str]],
}

/// A field of a table.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// A valid value in words: `must be …`.
    pub wanted: &'static str,
    /// Its meaning.
    pub about: &'static str,
}

/// The type of a value.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A text.
    Text(Form),
    /// A list of texts.
    Texts(Form),
    /// A text, or a list of texts.
    TextOrTexts(Form),
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number(RangeInclusive<i64>),
    /// A table with these fields.
    Table(&'static Table),
    /// A table with these fields, or a list of such tables.
    TableOrTables(&'static Table),
    /// `true`, `false` or a table with these fields.
    FlagOrTable(&'static Table),
    /// A table of headers: their names are free, their values texts.
    Headers,
    /// A table of claims: their names are free, their values texts, numbers, flags or lists of these.
    Claims,
}

/// The form of a text.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// Any text. Further rules are not in the schema.
    Any,
    /// One of these words.
    OneOf(fn() -> Vec<&'static str>),
    /// A text that matches this regular expression. The parser may be stricter.
    Pattern(&'static str),
    /// A duration such as `500ms`.
    Duration,
    /// A size such as `64KiB`.
    Size,
}

/// A field, in the order of its parts.
pub(in crate::config) const fn field(
    name: &'static str,
    kind: Kind,
    wanted: &'static str,
    about: &'static str,
) -> Field {
    Field { name, kind, wanted, about }
}

/// The words of a table of words and meanings.
pub(in crate::config) fn words<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(word, _)| *word).collect()
}

impl Kind {
    /// Whether a value is of this type. Its form and its bounds are checked by the code that reads the field, which
    /// knows more about them.
    pub(super) fn fits(&self, value: &DeValue<'_>) -> bool {
        match self {
            Self::Text(_) => is_text(value),
            Self::Texts(_) => is_texts(value),
            Self::TextOrTexts(_) => is_text(value) || is_texts(value),
            Self::Flag => matches!(value, DeValue::Boolean(_)),
            Self::Number(_) => matches!(value, DeValue::Integer(_)),
            Self::Table(_) | Self::Claims | Self::Headers => is_table(value),
            Self::TableOrTables(_) => is_table(value) || is_tables(value),
            Self::FlagOrTable(_) => is_table(value) || matches!(value, DeValue::Boolean(_)),
        }
    }

    /// The fields of a table of this type, if they are known.
    pub(super) fn table(&self) -> Option<&'static Table> {
        match self {
            Self::Table(table) | Self::TableOrTables(table) | Self::FlagOrTable(table) => Some(table),
            Self::Text(_)
            | Self::Texts(_)
            | Self::TextOrTexts(_)
            | Self::Flag
            | Self::Number(_)
            | Self::Claims
            | Self::Headers => None,
        }
    }
}

fn is_table(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(_))
}

fn is_tables(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Array(values) if values.iter().all(|value| is_table(value.get_ref())))
}

fn is_text(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::String(_))
}

fn is_texts(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Array(values) if values.iter().all(|value| is_text(value.get_ref())))
}
