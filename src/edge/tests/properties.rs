//! Properties that hold for every input, tested with random ones: `PROPTEST_CASES=100000 cargo test --release
//! properties` tries more than a normal run does. An input that was found to violate a property becomes an ordinary
//! test beside the code.

mod framing;
mod headers;
mod paths;
mod translation;
mod wire;

use proptest::{prelude::*, test_runner::Config};

/// `PROPTEST_CASES` cases, or 256. Nothing is written into the source folder.
fn cases() -> Config {
    Config { failure_persistence: None, ..Config::default() }
}

/// A path as an attacker would write it: valid segments, and everything that is known to be read differently by two
/// servers.
fn hostile_path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/",
        "/",
        "/",
        "//",
        ".",
        "..",
        "%2e",
        "%2E",
        ".%2e",
        "%2f",
        "%5C",
        "\\",
        ";",
        "%3b",
        "%",
        "%2",
        "%zz",
        "%+f",
        "%25",
        "%2525",
        "%00",
        "%7f",
        "%c0%af",
        "%c2%85",
        "%ec%95%88",
        "%ec",
        "%61",
        "%7E",
        "%20",
        " ",
        "\t",
        "é",
        "a",
        "users",
        "~",
        "-",
        ":",
        "@",
        "'",
        "\"",
        "<",
        "{",
        "|",
        "^",
        "`",
        "\u{1}",
        "\u{7f}",
        "?",
        "#",
    ]);
    let piece = prop_oneof![9 => known.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    let pieces = prop::collection::vec(piece, 0..12);
    (prop::bool::weighted(0.9), pieces)
        .prop_map(|(rooted, pieces)| if rooted { format!("/{}", pieces.concat()) } else { pieces.concat() })
}
