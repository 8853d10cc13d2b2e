use super::*;

#[test]
fn prefixes_that_could_be_read_in_two_ways_are_refused() {
    for text in [
        "api", "/a//b", "/a/", "/a/../b", "/a/./b", "/a%2fb", "/a?b", "/a#b", "/a\\b", "/a;b", "/a\nb", "/a\u{85}",
        "/a ", "/ a", "/a /b",
    ] {
        assert_eq!(text.parse::<PathPrefix>(), Err(InvalidPrefix), "{text:?}");
    }
}

#[test]
fn a_prefix_is_written_decoded_and_kept_encoded() {
    for (text, kept) in [
        ("/api/users", "/api/users"),
        ("/a:b@c!$&'()*+,=-._~9Z", "/a:b@c!$&'()*+,=-._~9Z"),
        ("/게시판", "/%EA%B2%8C%EC%8B%9C%ED%8C%90"),
        ("/a b/\"<>[]^`{|}", "/a%20b/%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
        ("/...", "/..."),
        ("/", ""),
        ("", ""),
    ] {
        assert_eq!(text.parse::<PathPrefix>().unwrap().as_str(), kept);
    }
    let root: PathPrefix = "/".parse().unwrap();
    assert_eq!((root.to_string().as_str(), root.join("a").to_string().as_str()), ("/", "/a"));
}

#[test]
fn the_rest_below_a_prefix_begins_at_a_segment_boundary() {
    let below = |path: &str, above: &str| {
        let [path, above] = [path, above].map(|text| text.parse::<PathPrefix>().unwrap());
        path.below(&above).map(|rest| rest.as_str().to_owned())
    };
    assert_eq!(below("/api/a/b", "/api/a").as_deref(), Some("/b"));
    assert_eq!(below("/api/a", "/api/a").as_deref(), Some(""));
    assert_eq!((below("/api/ab", "/api/a"), below("/x", "/api")), (None, None));
}

#[test]
fn a_set_contains_what_was_inserted() {
    for (_, one) in Spelling::ALL {
        let set = Spellings::from_iter([one]);
        assert!(!set.is_empty() && set.first_not_in(Spellings::NONE) == Some(one) && set.first_not_in(set).is_none());
        for (_, other) in Spelling::ALL {
            assert_eq!(set.contains(other), one == other);
        }
    }
    let all: Spellings = Spelling::ALL.into_iter().map(|(_, spelling)| spelling).collect();
    assert_eq!(all.to_string(), "encoded-slash, encoded-backslash, semicolon, double-slash");
    assert_eq!(all.first_not_in(Spellings::from_iter([Spelling::EncodedSlash])), Some(Spelling::EncodedBackslash));
    assert!(Spellings::NONE.is_empty() && Spellings::NONE.first_not_in(Spellings::NONE).is_none());
    assert_eq!((Spellings::NONE, Spellings::NONE.to_string().as_str()), (Spellings::default(), ""));
}

#[test]
fn letters_of_any_script_have_one_form_without_case() {
    let fold = |text: &str| {
        let prefix: PathPrefix = text.parse().unwrap();
        prefix.without_case()
    };
    for same in [
        &["/a/b", "/A/b", "/a/B"][..],
        &["/kiss", "/\u{212a}iss", "/Ki\u{17f}S"],
        &["/info", "/İnfo", "/ınfo", "/INFO", "/i\u{307}nfo", "/I\u{307}nfo"],
        &["/ábi\u{307}", "/ÁBİ", "/ÁBI", "/ábı"],
        &["/straße", "/STRASSE", "/STRAẞE", "/ſtraſſe"],
        &["/ﬁle", "/file", "/FILE", "/Fi\u{6c}e"],
        &["/aﬃx", "/affix", "/aﬀix", "/AFFIX"],
        &["/ﬆ", "/ﬅ", "/st", "/ST", "/ſt"],
        &["/ŉ", "/ʼn", "/ʼN"],
        &["/ǆ", "/ǅ", "/Ǆ"],
        &["/և", "/ԵՒ", "/եւ"],
        &["/ᾳ", "/ᾼ", "/ΑΙ", "/αι"],
        &["/µ", "/μ", "/Μ"],
        &["/\u{2126}", "/ω", "/Ω"],
        &["/Ꭰ", "/ꭰ"],
        &["/ångström", "/ÅNGSTRÖM"],
        &["/σς", "/ΣΣ"],
        &["/게시판 X", "/게시판 x"],
    ] {
        for other in same {
            assert_eq!(fold(same[0]), fold(other), "{other}");
        }
    }
    assert_eq!(fold("/é A"), "/é%20a");
    assert_ne!(fold("/a"), fold("/b"));
    assert_ne!(fold("/é"), fold("/e"));
    // `%2F` does not become a slash, and invalid UTF-8 ends nothing.
    assert_eq!((without_case("/a%2Fb").as_str(), without_case("/%FFa").as_str()), ("/a%2fb", "/\u{fffd}a"));
    assert_eq!((without_case("/%").as_str(), without_case("/%C3").as_str()), ("/%", "/\u{fffd}"));
}

#[test]
fn no_letter_differs_from_its_upper_or_lower_case() {
    let fold = |text: &str| {
        let mut whole = String::new();
        for byte in text.bytes() {
            if byte.is_ascii() { whole.push(char::from(byte)) } else { write!(whole, "%{byte:02X}").unwrap() }
        }
        without_case(&whole)
    };
    for letter in ('a'..=char::MAX).filter(|letter| letter.is_alphabetic()) {
        let one = letter.to_string();
        for other in [one.to_uppercase(), one.to_lowercase(), one.to_lowercase().to_uppercase()] {
            assert_eq!(fold(&one), fold(&other), "{letter:?}");
        }
    }
}

#[test]
fn servers_read_the_same_path_in_these_ways() {
    let all: Spellings = Spelling::ALL.into_iter().map(|(_, spelling)| spelling).collect();
    let readings = |path: &str, spellings| other_readings(path, spellings).into_iter().collect::<Vec<_>>();
    for (path, expected) in [
        ("/a/b", &[][..]),
        ("/a%2Fb", &["/a/b"]),
        ("/a%5Cb", &["/a/b"]),
        ("/a//b", &["/a/b"]),
        ("/a///b//", &["/a/b/"]),
        ("/a;x/b", &["/a/b"]),
        ("/a%3Bx/b", &["/a/b", "/a;x/b"]),
        ("/a;x%2Fb", &["/a", "/a/b", "/a;x/b"]),
        ("/a%2F%5Cb", &["/a%2F/b", "/a/%5Cb", "/a//b", "/a/b"]),
        ("/;/b", &["//b", "/b"]),
    ] {
        assert_eq!(readings(path, all), expected, "{path}");
    }
    for (spelling, alone, with_one_slash) in [
        (Spelling::EncodedSlash, "/a/%5C;x//b", "/a/%5C;x/b"),
        (Spelling::EncodedBackslash, "/a%2F/;x//b", "/a%2F/;x/b"),
        (Spelling::Semicolon, "/a%2F%5C//b", "/a%2F%5C/b"),
    ] {
        let expected = BTreeSet::from([alone, with_one_slash, "/a%2F%5C;x/b"].map(str::to_owned));
        assert_eq!(other_readings("/a%2F%5C;x//b", Spellings::from_iter([spelling])), expected);
    }
    let double_slash = Spellings::from_iter([Spelling::DoubleSlash]);
    assert_eq!(readings("/a%2F%5C;x//b", double_slash), ["/a%2F%5C;x/b"]);
    assert_eq!(readings("/a%2F%5C;x//b", Spellings::NONE), [""; 0]);
}
