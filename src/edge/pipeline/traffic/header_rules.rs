//! Applies the header rules of a route. The gateway writes its own headers afterwards, and no rule can name one of
//! those: the configuration refuses that.

use http::HeaderName;

use crate::{
    domain::gateway::models::http::{
        header::are_alike,
        header_rules::{HeaderRules, RuledHeader},
    },
    edge::http::header_list::HeaderList,
};

/// Changes the headers of a message.
pub(crate) fn apply(rules: &HeaderRules, headers: &mut HeaderList) {
    if rules.is_empty() {
        return;
    }
    // Many frameworks take `X_Team` for `X-Team`: what a rule removes or replaces must not come in another spelling.
    let replaced = || rules.remove.iter().chain(rules.set.iter().map(|(header, _)| header));
    headers.retain(|name, _| {
        !replaced().any(|header| header.as_str() != name && are_alike(header.as_str(), name.as_str()))
    });
    let named = |header: &RuledHeader| HeaderName::from_bytes(header.as_str().as_bytes()).ok();
    for name in rules.remove.iter().filter_map(named) {
        headers.remove(&name);
    }
    for (header, value) in &rules.set {
        if let Some(name) = named(header) {
            headers.insert(name, value.as_bytes());
        }
    }
    for (header, value) in &rules.add {
        if let Some(name) = named(header) {
            headers.append(name, value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gateway::models::http::header_rules::{Change, Direction};

    #[test]
    fn headers_are_removed_set_and_added_in_this_order() {
        let header = |name: &str| RuledHeader::new(name, Direction::Request, Change::Write).unwrap();
        let rules = HeaderRules {
            remove: vec![header("x-a"), header("x-none")],
            set: vec![(header("x-b"), "new".into()), (header("x-c"), "1".into())],
            add: vec![(header("x-a"), "later".into()), (header("x-c"), "2".into())],
        };
        let list = |lines: &[(&'static str, &'static str)]| -> HeaderList {
            lines.iter().map(|(name, value)| (HeaderName::from_static(name), value)).collect()
        };
        let mut headers =
            list(&[("x-a", "old"), ("x-b", "old"), ("x_a", "old"), ("x.b", "old"), ("x-a", "old"), ("x-d", "kept")]);
        apply(&rules, &mut headers);
        let after = list(&[("x-d", "kept"), ("x-b", "new"), ("x-c", "1"), ("x-a", "later"), ("x-c", "2")]);
        assert_eq!(headers, after);
    }
}
