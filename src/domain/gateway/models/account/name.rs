//! Names that come in parts and are not signed.

/// The longest stored name, in characters.
const LONGEST_NAME: usize = 200;

/// The display name made of the parts that a person gave: the family name first if both parts are written in Chinese,
/// Japanese or Korean. The name is only for display, so characters that change how a page looks are dropped, and the
/// rest is cut to length.
pub fn reported_name(given: &str, family: &str) -> Option<String> {
    let (given, family) = (plain(given), plain(family));
    let both = match (given.is_empty(), family.is_empty()) {
        (false, false) if is_east_asian(&given) && is_east_asian(&family) => format!("{family}{given}"),
        (false, false) => format!("{given} {family}"),
        (_, _) => format!("{given}{family}"),
    };
    let name: String = both.chars().take(LONGEST_NAME).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

fn plain(part: &str) -> String {
    // Marks and overrides of the writing direction (UAX #9).
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String = part.chars().filter(|c| !c.is_control() && !turns(*c)).take(LONGEST_NAME).collect();
    plain.trim().to_owned()
}

/// Hangul, Kana and Han.
fn is_east_asian(part: &str) -> bool {
    part.chars().all(|c| {
        matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3040}'..='\u{30ff}' | '\u{3130}'..='\u{318f}' | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{3005}' | '\u{20000}'..='\u{3ffff}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_name_follows_its_script() {
        for (given, family, name) in [
            ("Mina", "Kim", Some("Mina Kim")),
            ("길동", "홍", Some("홍길동")),
            ("花子", "山田", Some("山田花子")),
            ("길동", "Hong", Some("길동 Hong")),
            (" Mina ", "", Some("Mina")),
            ("", "홍", Some("홍")),
            ("", " ", None),
        ] {
            assert_eq!(reported_name(given, family).as_deref(), name, "{given} {family}");
        }
    }

    #[test]
    fn any_input_becomes_short_and_plain() {
        assert_eq!(reported_name("Mi\u{0}na\n", "\u{202e}miK\u{2069}").as_deref(), Some("Mina miK"));
        assert_eq!(reported_name("\u{200f}", "\u{7}"), None);
        let long = reported_name(&"가".repeat(9000), &"나".repeat(9000)).unwrap();
        assert_eq!(long.chars().count(), 200);
    }
}
