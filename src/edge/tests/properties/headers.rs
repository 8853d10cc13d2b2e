use std::net::IpAddr;

use http::{
    HeaderName, HeaderValue,
    header::{CONNECTION, COOKIE},
};
use proptest::prelude::*;

use super::cases;
use crate::edge::http::{
    authority::is_authority, cookies::remove_ours_from_request, forwarded::forwarded, header_list::HeaderList,
    sanitize::sanitise_request,
};

/// The prefixes of gateway headers, whatever sign a server reads as a hyphen.
const OURS: [&str; 4] = ["x-user-", "x-gateway-", "x-auth-", "x-forwarded-"];
const OURS_WHOLE: [&str; 6] =
    ["forwarded", "x-real-ip", "x-request-id", "x-middleware-subrequest", "x-original-url", "x-rewrite-url"];
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];
const OF_ONE_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "upgrade",
    "http2-settings",
    "expect",
];
const HARMLESS: [&str; 5] = ["accept", "x-users", "x-custom", "user-id", "host"];

/// A header's name in any case, with hyphens replaced at random by other signs that some server reads as one.
pub(crate) fn name() -> impl Strategy<Value = String> {
    let whole = prop::sample::select([&OURS_WHOLE[..], &FRAMING, &OF_ONE_CONNECTION, &HARMLESS].concat())
        .prop_map(str::to_owned);
    let begun =
        (prop::sample::select(OURS.to_vec()), "[a-z0-9_.-]{0,8}").prop_map(|(ours, end)| format!("{ours}{end}"));
    let other = "[a-z0-9!#$%&'*+.^_`|~-]{1,20}";
    let folded = (prop_oneof![2 => whole, 3 => begun, 1 => other], prop::collection::vec(0..3_u8, 32), any::<u32>());
    folded.prop_map(|(name, signs, upper)| {
        let fold = |(at, byte): (usize, char)| match (byte, signs[at % 32]) {
            ('-', 1) => '_',
            ('-', 2) => '.',
            _ if upper >> (at % 32) & 1 == 1 => byte.to_ascii_uppercase(),
            _ => byte,
        };
        name.chars().enumerate().map(fold).collect()
    })
}

fn unfolded(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

/// `Cookie`, with names that are ours or nearly so.
fn cookies() -> impl Strategy<Value = Vec<String>> {
    let name = prop::sample::select(vec![
        "gateway_session",
        "__Host-gateway_session",
        "__Secure-gateway_x",
        "__HOST-Gateway_",
        "GATEWAY_",
        "gateway",
        "a",
        "my_gateway_session",
        "__Host-theirs",
        "__Host-__Secure-gateway_x",
        "",
        "gateway-session",
    ]);
    let pair = (name, prop::sample::select(vec!["=", " =", "", "= "]), "[a-z0-9=\" ]{0,6}")
        .prop_map(|(name, equals, value)| format!("{name}{equals}{value}"));
    let sign = prop::sample::select(vec![";", "; ", " ;\t", ";;"]);
    let header = prop::collection::vec((pair, sign), 0..5)
        .prop_map(|pairs| pairs.into_iter().map(|(pair, sign)| pair + sign).collect::<String>());
    prop::collection::vec(header, 0..3)
}

fn pairs(header: &str) -> impl Iterator<Item = &str> {
    header.split(';').map(str::trim).filter(|pair| !pair.is_empty())
}

fn is_our_cookie(pair: &str) -> bool {
    // Without a name the value reads as one.
    let nameless = pair.trim_start_matches(|sign: char| sign == '=' || sign.is_ascii_whitespace());
    let name = nameless.split('=').next().unwrap().trim().to_ascii_lowercase();
    let bare = name.strip_prefix("__host-").or(name.strip_prefix("__secure-")).unwrap_or(&name);
    bare.starts_with("gateway_")
}

fn authority() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        "[a-zA-Z0-9._-]{1,20}",
        any::<[u8; 4]>().prop_map(|v4| IpAddr::from(v4).to_string()),
        any::<[u8; 16]>().prop_map(|v6| format!("[{}]", IpAddr::from(v6)))
    ];
    (host, prop::option::of(any::<u16>()))
        .prop_map(|(host, port)| port.map_or(host.clone(), |port| format!("{host}:{port}")))
}

/// One element of `Forwarded`, parsed by RFC 7239 §4: `token=value` separated by `;`, the value a token or quoted.
fn read_element(element: &str) -> Vec<(String, String)> {
    let (mut rest, mut read) = (element, Vec::new());
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').unwrap();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => after.split_at(
                after
                    .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)))
                    .unwrap_or(after.len()),
            ),
        };
        read.push((name.to_owned(), value.to_owned()));
        rest = if after.is_empty() { after } else { after.strip_prefix(';').unwrap() };
    }
    read
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_gateway_header_and_no_hop_by_hop_header_passes(
        sent in prop::collection::vec(name(), 0..12),
        named in prop::collection::vec(name(), 0..4),
        sign in prop::sample::select(vec![",", ", ", " ,,\t"]),
    ) {
        let mut headers: HeaderList = sent.iter().map(|name| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("sent"))).collect();
        headers.append(CONNECTION, named.join(sign));
        sanitise_request(&mut headers);
        for name in headers.iter().map(|(name, _)| name.as_str()) {
            let unfolded = unfolded(name);
            prop_assert!(!OURS.iter().any(|ours| unfolded.starts_with(ours)), "{}", name);
            prop_assert!(!OURS_WHOLE.contains(&&*unfolded) && !OF_ONE_CONNECTION.contains(&name), "{}", name);
            prop_assert!(!FRAMING.contains(&&*unfolded), "{}", name);
            prop_assert!(name == "host" || !named.iter().any(|named| named.eq_ignore_ascii_case(name)), "Connection names {}", name);
        }
        for name in sent.iter().map(|name| name.to_ascii_lowercase()).filter(|name| HARMLESS.contains(&&**name)) {
            let named = named.iter().any(|named| named.eq_ignore_ascii_case(&name));
            prop_assert!(named || headers.contains(&name.parse().unwrap()), "{} is lost", name);
        }
    }

    #[test]
    fn our_cookies_go_to_no_service_and_the_others_stay(sent in cookies()) {
        let mut headers: HeaderList = sent.iter().map(|value| (COOKIE, value)).collect();
        remove_ours_from_request(&mut headers);
        let left: Vec<&str> = headers.all(COOKIE).map(|value| std::str::from_utf8(value).unwrap()).collect();
        let expected: Vec<&str> = sent.iter().flat_map(|header| pairs(header)).filter(|pair| !is_our_cookie(pair)).collect();
        prop_assert_eq!(left.iter().flat_map(|header| pairs(header)).collect::<Vec<_>>(), expected);
        if !sent.iter().flat_map(|header| pairs(header)).any(is_our_cookie) {
            prop_assert_eq!(left, sent, "nothing was touched");
        }
    }

    #[test]
    fn forwarded_round_trips(address in any::<IpAddr>(), host in authority()) {
        prop_assert!(is_authority(&host), "{}", host);
        let element = forwarded(&address.to_string(), Some(&host), "https").concat();
        let client = match address { IpAddr::V4(v4) => v4.to_string(), IpAddr::V6(v6) => format!("[{v6}]") };
        let expected = [("for", client.as_str()), ("host", &host), ("proto", "https")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        prop_assert_eq!(read_element(&element), expected);
    }

    #[test]
    fn no_authority_breaks_out_of_its_quotes(text in "[ -~]{0,12}|\\[[0-9a-f:.%]{0,20}\\]:?[0-9]{0,6}|.{0,6}") {
        if is_authority(&text) {
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)), "{}", text);
            prop_assert!(text.parse::<http::uri::Authority>().is_ok(), "{}", text);
        }
    }
}
