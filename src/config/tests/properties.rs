//! `gateway.toml` with arbitrary text in it: no panic, and every mistake names its line.

use proptest::{prelude::*, test_runner::Config};

use super::*;

/// A line of such a file, or nearly one.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "path",
        "service",
        "upstream_path",
        "access",
        "scope",
        "forward_authorization",
        "provider_token",
        "provider_token_header",
        "body_limit",
        "paht",
        "",
        "\"a b\"",
        "routes",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "\"/api/users\"",
            "\"/api\"",
            "\"/api/a/../b\"",
            "\"/tokens\"",
            "\"/api/가\"",
            "\"\"",
            "\"auth\"",
            "\"Auth\"",
            "\"token\"",
            "\"open\"",
            "[\"a\", \"b\"]",
            "[\"a b\"]",
            "[1]",
            "true",
            "1",
            "-0",
            "1e999",
            "\"10MiB\"",
            "\"99999999999999999999GiB\"",
            "\"google\"",
            "\"X-Token\"",
            "\"Authorization\"",
            "\"",
            "'",
            "[",
            "{",
            "{ a = 1 }",
            "1979-05-27",
            "\"\"\"\n\n\"\"\"",
        ])
        .prop_map(str::to_owned),
        "\"[ -~가-힣]{0,10}\"",
        any::<String>().prop_map(|text| format!("{text:?}")),
    ];
    let whole = prop::sample::select(vec![
        "[[routes]]",
        "[[routes]]",
        "[routes]",
        "[[routes.path]]",
        "[[other]]",
        "# words",
        "",
        "\u{feff}",
        "routes = [{}]",
        "\r",
        "]]",
    ]);
    prop_oneof![2 => whole.prop_map(str::to_owned), 5 => (key, value).prop_map(|(key, value)| format!("{key} = {value}"))]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::collection::vec(line(), 0..12).prop_map(|lines| lines.join("\n")), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_stands_in_the_routes_file_every_mistake_has_a_line(text in text()) {
        let sources = Sources::default().with_environment([("GATEWAY_ENV", "development")]).with_routes_file("gateway.toml", &text);
        if let Err(mistakes) = Settings::from_sources(&sources) {
            for mistake in mistakes.iter().map(ToString::to_string) {
                let number = mistake.strip_prefix("gateway.toml line ").and_then(|rest| rest.split_once(':')).map(|(number, _)| number.parse::<usize>());
                prop_assert!(matches!(number, Some(Ok(line)) if (1..=text.lines().count().max(1) + 1).contains(&line)), "{}", mistake);
                prop_assert_eq!(mistake.lines().count(), 1, "{}", mistake);
            }
        }
    }
}
