//! Parses who may use a route.

use std::collections::BTreeMap;

use toml::Spanned;

use super::{Parser, RouteEntry, broken_by_source, fields::words, provider_name, reader::one_of};
use crate::domain::gateway::models::{
    access::{Accepted, Access, ClaimDemand, ClaimValue, Demands},
    token::is_reserved_claim,
    values::scope::Scope,
};

/// The only claim of a session.
const OF_SESSION: &str = "email";

/// The words of `access`.
const WORDS: [(&str, Option<Accepted>); 4] = [
    ("open", None),
    ("token", Some(Accepted::Token)),
    ("session", Some(Accepted::Session)),
    ("token-or-session", Some(Accepted::TokenOrSession)),
];

pub(super) fn access_words() -> Vec<&'static str> {
    words(&WORDS)
}

/// Claims by name.
pub(super) type Claims = BTreeMap<Spanned<String>, Spanned<toml::Value>>;

impl Parser<'_, '_> {
    /// Safe by default: a route without `access` needs a token.
    pub(super) fn access(&mut self, entry: &RouteEntry) -> Option<Access> {
        let accepted = match &entry.access {
            None => Some(Some(Accepted::Token)),
            Some(access) => self.field("access", access, |text| one_of(text, &WORDS)),
        };
        let scope = self.scope("scope", entry.scope.as_ref());
        let any_scope = match &entry.any_scope {
            Some(none) if none.get_ref().is_empty() => {
                self.field("any_scope", none, |_| Err("must have at least one word".to_owned()))
            }
            given => self.scope("any_scope", given.as_ref()),
        };
        let claims = self.claims(entry.claims.as_ref());
        let known = self.known.providers;
        let provider = match &entry.provider {
            None => Some(None),
            Some(given) => self.field("provider", given, |text| provider_name(text, known)).map(Some),
        };
        let is_consistent = match accepted? {
            None => self.demands_nothing(entry),
            Some(accepted) => self.can_be_met(entry, accepted),
        };
        let demands = |credentials| {
            Some(Demands { credentials, scope: scope?, any_scope: any_scope?, claims: claims?, provider: provider? })
        };
        match accepted? {
            _ if !is_consistent => None,
            None => Some(Access::Open),
            Some(credentials) => demands(credentials).map(Access::Callers),
        }
    }

    /// An open route demands nothing of callers.
    fn demands_nothing(&mut self, entry: &RouteEntry) -> bool {
        const RULE: &str = "must not be set on an open route; it needs access = \"token\" or \"session\"";
        let mut is_consistent = true;
        let mut note = |parser: &mut Self, at: Option<Spanned<()>>, name: &str| {
            if let Some(at) = at {
                parser.note(&at, format!("{name} {RULE}"));
                is_consistent = false;
            }
        };
        note(self, entry.scope.as_ref().map(place), "scope");
        note(self, entry.any_scope.as_ref().map(place), "any_scope");
        note(self, entry.claims.as_ref().map(place), "claims");
        note(self, entry.provider.as_ref().map(place), "provider");
        is_consistent
    }

    /// A session has no scope and one claim only: it could never satisfy further demands.
    fn can_be_met(&mut self, entry: &RouteEntry, accepted: Accepted) -> bool {
        if accepted == Accepted::Token {
            return true;
        }
        let scope = entry.scope.as_ref().or(entry.any_scope.as_ref());
        if let Some(scope) = scope {
            let rule = "must not be set where a session is enough; a session has no scope: it needs access = \"token\"";
            self.note(scope, format!("scope {rule}"));
        }
        let claims = entry.claims.iter().flat_map(|claims| claims.get_ref().keys());
        let mut can_be_met = scope.is_none();
        for claim in claims.filter(|claim| claim.get_ref() != OF_SESSION) {
            let rule = format!("a session has only the claim {OF_SESSION}: all others need access = \"token\"");
            let name = claim.get_ref();
            self.note(claim, format!("the claim {name} must not be demanded where a session is enough; {rule}"));
            can_be_met = false;
        }
        can_be_met
    }

    fn scope(&mut self, name: &str, given: Option<&Spanned<Vec<String>>>) -> Option<Scope> {
        match given {
            None => Some(Scope::default()),
            Some(words) => self.field(name, words, |words| scope_of(words)),
        }
    }

    fn claims(&mut self, given: Option<&Spanned<Claims>>) -> Option<Vec<ClaimDemand>> {
        let Some(given) = given else { return Some(Vec::new()) };
        let mut demands = Some(Vec::new());
        for (name, value) in given.get_ref() {
            let demand = self.claim(name, value);
            demands = demands.and_then(|mut demands: Vec<ClaimDemand>| {
                demands.push(demand?);
                Some(demands)
            });
        }
        demands
    }

    fn claim(&mut self, name: &Spanned<String>, value: &Spanned<toml::Value>) -> Option<ClaimDemand> {
        let text = name.get_ref();
        // Of these claims, the client is the only one that identifies the caller and is not in a header anyway.
        if is_reserved_claim(text) && text != "client_id" {
            let rule = "claims must have only claims of your own and client_id; the gateway always checks the others";
            self.note(name, broken_by_source(rule, &format!("{text:?}")));
            return None;
        }
        let one_of = values(value.get_ref());
        if let Err(rule) = &one_of {
            let problem = broken_by_source(rule, &self.source(value));
            self.note(value, format!("claims.{text} {problem}"));
        }
        Some(ClaimDemand { name: text.clone(), one_of: one_of.ok()? })
    }
}

fn place<T>(of: &Spanned<T>) -> Spanned<()> {
    Spanned::new(of.span(), ())
}

fn scope_of(words: &[String]) -> Result<Scope, String> {
    let each_is_one_word = words.iter().all(|word| !word.is_empty() && !word.contains(' '));
    let scope = words.join(" ").parse().ok().filter(|_| each_is_one_word);
    scope.ok_or_else(|| "must be a list of words, such as [\"read\", \"write\"]".to_owned())
}

/// The allowed values of a claim.
fn values(value: &toml::Value) -> Result<Vec<ClaimValue>, String> {
    let one = |value: &toml::Value| match value {
        toml::Value::String(text) => Some(ClaimValue::Text(text.clone())),
        toml::Value::Integer(number) => Some(ClaimValue::Number(*number)),
        toml::Value::Boolean(yes) => Some(ClaimValue::Flag(*yes)),
        _ => None,
    };
    let values: Option<Vec<ClaimValue>> = match value {
        toml::Value::Array(values) => values.iter().map(one).collect(),
        value => one(value).map(|value| vec![value]),
    };
    let rule = || {
        "must be a text, a whole number, true or false, or a list of these; one match in a list is enough".to_owned()
    };
    values.filter(|values| !values.is_empty()).ok_or_else(rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, reading::reader::Reader, routes};

    fn access(lines: &str) -> Result<Access, Vec<String>> {
        let text = format!("[[routes]]\npath = '/api/x'\nservice = 'x'\n{lines}\n");
        let sources = Sources::default().with_routes_file("gateway.toml", &text);
        let mut reader = Reader::new(&sources);
        let known = routes::Known { providers: Some(&["google"]), algorithm: None, services: None, redis: None };
        let found = routes::read(&mut reader, known);
        let found = reader.finish(Some(found.of_file()));
        let found = found.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Ok(found[0].access.clone())
    }

    #[test]
    fn everything_can_be_demanded_at_once() {
        let lines = "
access = 'token'
scope = ['read', 'reports:see']
any_scope = ['admin', 'audit']
claims = { team = 'blue', level = [2, 3], staff = true, client_id = 'reporter' }
provider = 'google'";
        let demand = |name: &str, one_of: &[ClaimValue]| ClaimDemand { name: name.to_owned(), one_of: one_of.to_vec() };
        let whole = Demands {
            credentials: Accepted::Token,
            scope: "read reports:see".parse().unwrap(),
            any_scope: "admin audit".parse().unwrap(),
            claims: vec![
                demand("client_id", &[ClaimValue::Text("reporter".into())]),
                demand("level", &[ClaimValue::Number(2), ClaimValue::Number(3)]),
                demand("staff", &[ClaimValue::Flag(true)]),
                demand("team", &[ClaimValue::Text("blue".into())]),
            ],
            provider: Some("google".parse().unwrap()),
        };
        assert_eq!(access(lines), Ok(Access::Callers(whole)));
    }

    #[test]
    fn a_route_says_which_credentials_count() {
        let with = |credentials| Ok(Access::Callers(Demands { credentials, ..Demands::default() }));
        assert_eq!(access(""), with(Accepted::Token));
        assert_eq!(access("access = 'token'"), with(Accepted::Token));
        assert_eq!(access("scope = []"), with(Accepted::Token));
        assert_eq!(access("access = 'session'"), with(Accepted::Session));
        assert_eq!(access("access = 'token-or-session'"), with(Accepted::TokenOrSession));
        assert_eq!(access("access = 'open'"), Ok(Access::Open));
        assert!(access("access = 'session'\nclaims = { email = 'mina@example.com' }\nprovider = 'google'").is_ok());
    }

    #[test]
    fn nonsense_is_reported_with_its_line() {
        for (lines, begin) in [
            ("access = 'both'", "4: access must be open, token, session or token-or-session, not \"both\""),
            (
                "access = 'session'\nscope = ['a']",
                "5: scope must not be set where a session is enough; a session has no",
            ),
            ("access = 'token-or-session'\nany_scope = ['a']", "5: scope must not be set where a session is enough; a"),
            (
                "access = 'session'\nclaims = { team = 'a' }",
                "5: the claim team must not be demanded where a session is enough; a",
            ),
            (
                "access = 'token-or-session'\nclaims = { email = 'a', client_id = 'b' }",
                "5: the claim client_id must not be demanded where a session is enough; a session has only the claim email",
            ),
            ("access = 'open'\nany_scope = ['a']", "5: any_scope must not be set on an open route; it needs access"),
            ("access = 'open'\nclaims = { a = 1 }", "5: claims must not be set on an open route; it needs access"),
            ("access = 'open'\nprovider = 'google'", "5: provider must not be set on an open route; it needs access"),
            ("provider = 'github'", "4: provider must be an enabled provider (google), not \"github\""),
            ("any_scope = []", "4: any_scope must have at least one word, not []"),
            ("claims = { exp = 1 }", "4: claims must have only claims of your own and client_id, not \"exp\""),
            ("claims = { sub = 'a' }", "4: claims must have only claims of your own and client_id, not \"sub\""),
            (
                "claims = { a = [] }",
                "4: claims.a must be a text, a whole number, true or false, or a list of these, not []",
            ),
            (
                "claims = { a = 1.5 }",
                "4: claims.a must be a text, a whole number, true or false, or a list of these, not 1.5",
            ),
            (
                "claims = { a = { b = 1 } }",
                "4: claims.a must be a text, a whole number, true or false, or a list of these, not { b = 1 }",
            ),
            ("claims = 'a'", "4: claims must be a table, such as { team = \"blue\" }, not 'a'"),
        ] {
            let said = access(lines).unwrap_err();
            assert_eq!(said.len(), 1, "{said:#?}");
            assert!(said[0].starts_with(&format!("gateway.toml line {begin}")), "{said:?}\n{begin}");
        }
    }
}
