//! The browser and network of a sign-in: enough for a person to distinguish their own browser from a stranger's in a
//! list, and no more.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The stored summary of a sign-in's `User-Agent` and address, kept as long as the session lasts. Neither the header
/// nor the whole address is stored: fixed words name the kind of browser, and the address is cut to its network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visitor {
    /// `Firefox on Windows`: no version, and no words of the client.
    pub browser: Option<String>,
    /// `203.0.113.0/24`, or a `/48` of IPv6.
    pub network: Option<String>,
}

/// The first match counts: most browsers name others beside themselves.
const BROWSERS: &[(&str, &str)] = &[
    ("KAKAOTALK", "KakaoTalk"),
    ("NAVER(", "Naver"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Whale/", "Whale"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];

/// The first match counts, as above: Android says Linux, and an iPhone says Mac OS X.
const SYSTEMS: &[(&str, &str)] = &[
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

impl Visitor {
    /// The summary of this header and this address.
    pub fn of(user_agent: Option<&str>, address: Option<IpAddr>) -> Self {
        Self { browser: user_agent.and_then(described), network: address.map(network) }
    }
}

fn described(user_agent: &str) -> Option<String> {
    let first = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (first(BROWSERS), first(SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => None,
    }
}

fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_by_fixed_words() {
        for (user_agent, words) in [
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36",
                "Chrome on macOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; SM-S928N) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 \
                 Chrome/130.0.0.0 Mobile Safari/537.36",
                "Samsung Internet on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("Something (Linux)", "Linux"),
        ] {
            assert_eq!(Visitor::of(Some(user_agent), None).browser.as_deref(), Some(words), "{user_agent}");
        }
        for nothing in ["", "<script>alert(1)</script>", "한국어"] {
            assert_eq!(Visitor::of(Some(nothing), None), Visitor::default(), "{nothing}");
        }
        assert_eq!(Visitor::of(None, None), Visitor::default());
    }

    #[test]
    fn only_the_network_of_an_address_is_kept() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("127.0.0.1", "127.0.0.0/24"),
        ] {
            let kept = Visitor::of(None, Some(address.parse().unwrap()));
            assert_eq!(kept.network.as_deref(), Some(network), "{address}");
        }
    }
}
