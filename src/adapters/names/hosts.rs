//! The hosts file (hosts(5)): names with fixed addresses, such as `localhost` and Compose's `extra_hosts`.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The names in a hosts file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Reads the text of a hosts file. A line that is none is skipped, as the system does.
    pub(super) fn parse(text: &str) -> Self {
        let mut hosts = HashMap::<String, Vec<IpAddr>>::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse) else { continue };
            for name in words {
                let addresses = hosts.entry(normalized(name)).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Self(hosts)
    }

    /// The addresses of a name. The file alone decides about a name that it contains, even if it has only one kind of
    /// address, as with the system's resolver.
    pub(super) fn addresses(&self, host: &str) -> Option<Vec<IpAddr>> {
        let name = normalized(host);
        let known = self.0.get(&name).cloned();
        // Never asked from a name server (RFC 6761 §6.3); an image without the file has it, too.
        let is_localhost = || name == "localhost" || name.ends_with(".localhost");
        known.or_else(|| is_localhost().then(|| vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]))
    }
}

fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_addresses_of_all_their_lines() {
        let hosts = Hosts::parse(
            "\u{feff}10.0.0.1 a A.example # b\n\n# 10.0.0.9 a\n::1\ta\nnot-an-address a\n10.0.0.1 a\n10.0.0.3\n",
        );
        let both: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(hosts.addresses("a"), Some(both));
        assert_eq!(hosts.addresses("a.EXAMPLE."), Some(vec!["10.0.0.1".parse().unwrap()]));
        assert_eq!(hosts.addresses("b"), None);
    }

    #[test]
    fn localhost_needs_no_file_but_obeys_it() {
        let usual: Vec<IpAddr> = vec!["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        assert_eq!(Hosts::default().addresses("localhost"), Some(usual.clone()));
        assert_eq!(Hosts::default().addresses("a.localhost"), Some(usual));
        assert_eq!(Hosts::default().addresses("notlocalhost"), None);
        assert_eq!(Hosts::parse("127.0.0.1 localhost").addresses("localhost").map(|all| all.len()), Some(1));
    }
}
