//! The texts of the pages, in Korean and English, one text per row.

use std::borrow::Cow;

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Korean.
    pub ko: Cow<'static, str>,
    /// English.
    pub en: Cow<'static, str>,
}

impl Text {
    const fn new(ko: &'static str, en: &'static str) -> Self {
        Self { ko: Cow::Borrowed(ko), en: Cow::Borrowed(en) }
    }

    /// Both languages, for the title of a page.
    pub fn both(&self) -> String {
        format!("{} · {}", self.ko, self.en)
    }
}

/// A row of a table, as it was written.
#[cfg(test)]
struct Row {
    name: &'static str,
    arguments: &'static [&'static str],
    ko: &'static str,
    en: &'static str,
}

/// Declares a table of texts. `NAME: "한국어", "English";` is a constant. `fn name(argument): "… {argument} …",
/// "… {argument} …";` is a text with arguments, each of type `&str`.
macro_rules! texts {
    (@rows [$($row:tt)*]) => {
        #[cfg(test)]
        pub(super) const ROWS: &[$crate::texts::Row] = &[$($row)*];
    };
    (@rows [$($row:tt)*] fn $name:ident($($argument:ident),+): $ko:literal, $en:literal; $($rest:tt)*) => {
        #[doc = concat!("`", $en, "`")]
        pub fn $name($($argument: &str),+) -> $crate::texts::Text {
            $crate::texts::Text { ko: format!($ko).into(), en: format!($en).into() }
        }

        texts! {
            @rows [
                $($row)*
                $crate::texts::Row {
                    name: stringify!($name),
                    arguments: &[$(stringify!($argument)),+],
                    ko: $ko,
                    en: $en,
                },
            ]
            $($rest)*
        }
    };
    (@rows [$($row:tt)*] $name:ident: $ko:literal, $en:literal; $($rest:tt)*) => {
        #[doc = concat!("`", $en, "`")]
        pub const $name: $crate::texts::Text = $crate::texts::Text::new($ko, $en);

        texts! {
            @rows [$($row)* $crate::texts::Row { name: stringify!($name), arguments: &[], ko: $ko, en: $en },]
            $($rest)*
        }
    };
    ($($rows:tt)+) => {
        texts! { @rows [] $($rows)+ }
    };
}

// They use the macro, so they come after it.
pub mod codes;
pub mod pages;
pub mod sign_in;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_of_a_row_say_something_and_mention_every_argument() {
        for Row { name, arguments, ko, en } in pages::ROWS.iter().chain(sign_in::ROWS) {
            for text in [ko, en] {
                assert!(!text.trim().is_empty(), "{name}");
                for argument in *arguments {
                    assert!(text.contains(&format!("{{{argument}}}")), "{name}: {argument} is missing: {text}");
                }
            }
        }
    }

    #[test]
    fn arguments_are_filled_in_and_a_title_has_both_languages() {
        let text = pages::sign_in_with("Google");
        assert_eq!((&*text.ko, &*text.en), ("Google(으)로 로그인", "Sign in with Google"));
        assert_eq!(pages::SIGN_IN.both(), "로그인 · Sign in");
    }
}
