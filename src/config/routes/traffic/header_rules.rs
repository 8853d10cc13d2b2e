//! Parses the header rules of a route.

use std::sync::Arc;

use toml::Spanned;

use super::tables::{HeaderRulesEntry, Headers};
use crate::{
    config::routes::Parser,
    domain::gateway::models::http::header_rules::{
        Change, Direction, HeaderRules, InvalidRule, RuledHeader, header_value,
    },
};

impl Parser<'_, '_> {
    pub(super) fn request_headers(&mut self, given: Option<&Spanned<HeaderRulesEntry>>) -> Option<HeaderRules> {
        self.header_rules("request_headers", given, Direction::Request)
    }

    pub(super) fn response_headers(&mut self, given: Option<&Spanned<HeaderRulesEntry>>) -> Option<HeaderRules> {
        self.header_rules("response_headers", given, Direction::Response)
    }

    fn header_rules(
        &mut self,
        field: &str,
        given: Option<&Spanned<HeaderRulesEntry>>,
        direction: Direction,
    ) -> Option<HeaderRules> {
        let Some(given) = given else { return Some(HeaderRules::default()) };
        let HeaderRulesEntry { set, add, remove } = given.get_ref();
        let set = self.values(&format!("{field}.set"), set.as_ref(), direction);
        let add = self.values(&format!("{field}.add"), add.as_ref(), direction);
        let removed = format!("{field}.remove");
        let remove: Vec<_> =
            remove.iter().flatten().map(|header| self.ruled(&removed, header, direction, Change::Remove)).collect();
        Some(HeaderRules { set: set?, add: add?, remove: remove.into_iter().collect::<Option<_>>()? })
    }

    fn values(
        &mut self,
        name: &str,
        given: Option<&Headers>,
        direction: Direction,
    ) -> Option<Vec<(RuledHeader, Arc<str>)>> {
        let rules: Vec<_> = given
            .into_iter()
            .flatten()
            .map(|(header, value)| {
                let ruled = self.ruled(name, header, direction, Change::Write);
                let value = self.header_value(name, header.get_ref(), value);
                Some((ruled?, value?))
            })
            .collect();
        rules.into_iter().collect()
    }

    fn ruled(
        &mut self,
        name: &str,
        header: &Spanned<String>,
        direction: Direction,
        change: Change,
    ) -> Option<RuledHeader> {
        let ruled = RuledHeader::new(header.get_ref(), direction, change);
        ruled.map_err(|invalid| self.note(header, refusal(name, header.get_ref(), invalid))).ok()
    }

    /// The value may be a secret: no message repeats it.
    fn header_value(&mut self, name: &str, header: &str, value: &Spanned<toml::Value>) -> Option<Arc<str>> {
        let Some(text) = value.get_ref().as_str() else {
            self.note(value, format!("{name}.{header} must be a text in quotes"));
            return None;
        };
        header_value(text)
            .map_err(|invalid| self.note(value, format!("{name}.{header} is no header's value; {invalid}")))
            .ok()
    }
}

fn refusal(name: &str, header: &str, why: InvalidRule) -> String {
    let hint = match why {
        InvalidRule::Reserved if header.eq_ignore_ascii_case("authorization") => {
            "; forward_authorization and provider_token say which token a service gets"
        }
        InvalidRule::Reserved if header.eq_ignore_ascii_case("host") => "; see preserve_host",
        InvalidRule::Name | InvalidRule::Reserved | InvalidRule::Cors | InvalidRule::Cookie | InvalidRule::Value => "",
    };
    format!("{name} must not have {header:?}; {why}{hint}")
}
