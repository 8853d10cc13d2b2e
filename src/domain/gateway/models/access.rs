//! Verified callers, and the access rules of routes: which credentials count, and what their holders must have.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{
    oauth::ProviderName,
    session::Session,
    values::{identity::Identity, scope::Scope},
};

/// A caller of the gateway's own API whose credential was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedCaller {
    /// The holder of a token. Services see tokens, so they may do less than a session.
    Token(Identity),
    /// The person who is signed in in a browser.
    Session(Session),
}

impl VerifiedCaller {
    /// The identity of either.
    pub fn into_identity(self) -> Identity {
        match self {
            Self::Token(identity) => identity,
            Self::Session(session) => session.identity(),
        }
    }
}

/// The access rule of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everybody. A token that is sent along is still verified, so that the service learns the caller.
    Open,
    /// Callers with a credential that meets these demands.
    Callers(Demands),
}

/// The demands on a caller. By default: any valid token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demands {
    /// The credentials that count.
    pub credentials: Accepted,
    /// Scopes that a token must have, all of them.
    pub scope: Scope,
    /// Scopes of which a token must have at least one; empty: nothing is demanded.
    pub any_scope: Scope,
    /// Demands on the caller's claims; each must be met.
    pub claims: Vec<ClaimDemand>,
    /// The provider at which a caller must have an identity.
    pub provider: Option<ProviderName>,
}

/// The credentials that count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Accepted {
    /// A bearer token.
    #[default]
    Token,
    /// The session of a browser.
    Session,
    /// Either. If both are sent, the token counts.
    TokenOrSession,
}

/// A demand on one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimDemand {
    /// The claim.
    pub name: String,
    /// The claim must be one of these, or a list that contains one of them.
    pub one_of: Vec<ClaimValue>,
}

/// A value that a claim can be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimValue {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A boolean.
    Flag(bool),
}

impl ClaimValue {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Text(text) => value.as_str() == Some(text),
            Self::Number(number) => value.as_i64() == Some(*number),
            Self::Flag(flag) => value.as_bool() == Some(*flag),
        }
    }
}

impl fmt::Display for ClaimValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

impl ClaimDemand {
    fn is_met_by(&self, identity: &Identity) -> bool {
        let is_wanted = |value: &Value| self.one_of.iter().any(|wanted| wanted.is(value));
        match identity.claims.get(&self.name) {
            None => false,
            Some(Value::Array(values)) => values.iter().any(is_wanted),
            Some(value) => is_wanted(value),
        }
    }
}

impl fmt::Display for ClaimDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = ", self.name)?;
        for (i, value) in self.one_of.iter().enumerate() {
            write!(f, "{}{value}", if i > 0 { " or " } else { "" })?;
        }
        Ok(())
    }
}

/// Permission to forward one request. Only [`Access::authorise`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    identity: Option<Arc<Identity>>,
}

impl Permit {
    /// The caller that was let through, if known.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }
}

/// The reason why a request may not be forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// There was no credential, or none that counts on this route.
    CredentialMissing(Accepted),
    /// The token lacks some of these scopes (RFC 6750 §3.1, `insufficient_scope`).
    ScopeMissing(Scope),
    /// The token has none of these scopes.
    AnyScopeMissing(Scope),
    /// A claim does not meet its demand.
    ClaimMissing(ClaimDemand),
    /// The caller has no identity at this provider.
    ProviderMissing(ProviderName),
}

impl Access {
    /// Access for holders of a token with all of these scopes.
    pub fn with_scope(scope: Scope) -> Self {
        Self::Callers(Demands { scope, ..Demands::default() })
    }

    /// The credentials that are checked. An open route ignores sessions: the browser sends the cookie by itself, so it
    /// says nothing about the user's intent.
    pub fn accepted(&self) -> Accepted {
        match self {
            Self::Open => Accepted::Token,
            Self::Callers(demands) => demands.credentials,
        }
    }

    /// The provider at which a caller must have an identity.
    pub fn provider(&self) -> Option<&ProviderName> {
        match self {
            Self::Open => None,
            Self::Callers(demands) => demands.provider.as_ref(),
        }
    }

    /// Whether every caller that passes this rule also passes `other`.
    pub fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Open) => true,
            (Self::Open, Self::Callers(_)) => false,
            (Self::Callers(demands), Self::Callers(others)) => demands.imply(others),
        }
    }

    /// Decides whether the caller may pass. `linked_at` is the [provider](Self::provider), if the caller is known there.
    pub fn authorise(
        &self,
        identity: Option<Arc<Identity>>,
        linked_at: Option<&ProviderName>,
    ) -> Result<Permit, Denied> {
        let (Self::Callers(demands), caller) = (self, &identity) else { return Ok(Permit { identity }) };
        let caller = caller.as_ref().ok_or(Denied::CredentialMissing(demands.credentials))?;
        if !caller.scope.covers(&demands.scope) {
            return Err(Denied::ScopeMissing(demands.scope.clone()));
        }
        if !demands.any_scope.is_empty() && !caller.scope.has_any_of(&demands.any_scope) {
            return Err(Denied::AnyScopeMissing(demands.any_scope.clone()));
        }
        if let Some(unmet) = demands.claims.iter().find(|demand| !demand.is_met_by(caller)) {
            return Err(Denied::ClaimMissing(unmet.clone()));
        }
        match &demands.provider {
            Some(provider) if linked_at != Some(provider) => Err(Denied::ProviderMissing(provider.clone())),
            Some(_) | None => Ok(Permit { identity }),
        }
    }
}

impl Demands {
    /// Whether every caller that meets these demands also meets `others`.
    fn imply(&self, others: &Self) -> bool {
        let credentials = others.credentials == Accepted::TokenOrSession || others.credentials == self.credentials;
        // Each caller here has one of the scopes in `any_scope`, or all of `scope`.
        let any_scope = others.any_scope.is_empty()
            || self.scope.has_any_of(&others.any_scope)
            || (!self.any_scope.is_empty() && others.any_scope.covers(&self.any_scope));
        let implies = |other: &ClaimDemand| {
            let is_enough = |this: &ClaimDemand| {
                this.name == other.name && this.one_of.iter().all(|value| other.one_of.contains(value))
            };
            self.claims.iter().any(is_enough)
        };
        credentials
            && any_scope
            && self.scope.covers(&others.scope)
            && others.claims.iter().all(implies)
            && (others.provider.is_none() || others.provider == self.provider)
    }
}

/// The rule in words, for people.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Callers(Demands { credentials, scope, any_scope, claims, provider }) = self else {
            return f.write_str("everyone");
        };
        f.write_str(match credentials {
            Accepted::Token => "callers with a valid token",
            Accepted::Session => "signed-in browsers",
            Accepted::TokenOrSession => "callers with a valid token and signed-in browsers",
        })?;
        let mut demands = Vec::new();
        if !scope.is_empty() {
            demands.push(format!("scope {scope}"));
        }
        if !any_scope.is_empty() {
            demands.push(format!("one of the scopes {any_scope}"));
        }
        demands.extend(claims.iter().map(|claim| format!("claim {claim}")));
        demands.extend(provider.iter().map(|provider| format!("an identity at {provider}")));
        if demands.is_empty() { Ok(()) } else { write!(f, ", if they have {}", demands.join(" and ")) }
    }
}

impl Default for Access {
    /// Access for holders of any valid token.
    fn default() -> Self {
        Self::Callers(Demands::default())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::super::values::id::{FamilyId, TokenId};
    use super::*;

    fn caller(scope: &str, claims: &Value) -> Arc<Identity> {
        Arc::new(Identity {
            subject: "u1".into(),
            scope: scope.parse().unwrap(),
            token_id: TokenId::from_random([1; 16]),
            family: FamilyId::from_random([2; 16]),
            expires_at: DateTime::UNIX_EPOCH,
            claims: claims.as_object().unwrap().clone(),
        })
    }

    fn reader() -> Arc<Identity> {
        caller("read", &json!({}))
    }

    #[test]
    fn only_a_caller_with_the_scope_gets_a_permit() {
        let needs = |scope: &str| Access::with_scope(scope.parse().unwrap());
        assert_eq!(needs("").authorise(None, None), Err(Denied::CredentialMissing(Accepted::Token)));
        assert!(needs("").authorise(Some(reader()), None).unwrap().identity() == Some(&reader()));
        assert!(needs("read").authorise(Some(reader()), None).is_ok());
        assert_eq!(
            needs("read write").authorise(Some(reader()), None),
            Err(Denied::ScopeMissing("read write".parse().unwrap()))
        );
        assert!(Access::Open.authorise(None, None).unwrap().identity().is_none());
        assert!(Access::Open.authorise(Some(reader()), None).unwrap().identity().is_some());
    }

    #[test]
    fn the_rule_says_which_credentials_count_and_an_open_route_takes_tokens() {
        assert_eq!(Access::Open.accepted(), Accepted::Token);
        for credentials in [Accepted::Token, Accepted::Session, Accepted::TokenOrSession] {
            let access = Access::Callers(Demands { credentials, ..Demands::default() });
            assert_eq!(access.accepted(), credentials);
            assert_eq!(access.authorise(None, None), Err(Denied::CredentialMissing(credentials)));
        }
    }

    #[test]
    fn one_of_the_scopes_in_any_scope_is_enough() {
        let any = |scope: &str| {
            Access::Callers(Demands { any_scope: scope.parse().unwrap(), ..Demands::default() })
                .authorise(Some(reader()), None)
        };
        assert!(any("").is_ok() && any("read").is_ok() && any("write read").is_ok());
        assert_eq!(any("write admin"), Err(Denied::AnyScopeMissing("admin write".parse().unwrap())));
        let both = Demands { scope: "read".parse().unwrap(), any_scope: "a b".parse().unwrap(), ..Demands::default() };
        let both = |scope: &str| Access::Callers(both.clone()).authorise(Some(caller(scope, &json!({}))), None);
        assert!(both("read a").is_ok() && both("a b").is_err() && both("read").is_err());
    }

    #[test]
    fn claims_have_to_meet_the_demands() {
        let demand = |name: &str, one_of: &[ClaimValue]| ClaimDemand { name: name.to_owned(), one_of: one_of.to_vec() };
        let passes = |claims: Value, demands: &[ClaimDemand]| {
            Access::Callers(Demands { claims: demands.to_vec(), ..Demands::default() })
                .authorise(Some(caller("", &claims)), None)
                .is_ok()
        };
        let admin = [demand("role", &[ClaimValue::Text("admin".into())])];
        assert!(passes(json!({"role": "admin"}), &admin) && passes(json!({"role": ["user", "admin"]}), &admin));
        for claims in [
            json!({}),
            json!({"role": "Admin"}),
            json!({"role": "administrator"}),
            json!({"role": ["user"]}),
            json!({"role": []}),
            json!({"role": {"admin": true}}),
            json!({"role": [["admin"]]}),
            json!({"Role": "admin"}),
        ] {
            assert!(!passes(claims.clone(), &admin), "{claims}");
        }
        let two = [
            demand("level", &[ClaimValue::Number(2), ClaimValue::Number(3)]),
            demand("staff", &[ClaimValue::Flag(true)]),
        ];
        assert!(passes(json!({"level": 3, "staff": true}), &two));
        assert!(!passes(json!({"level": "3", "staff": true}), &two) && !passes(json!({"level": 3}), &two));
        assert_eq!(two[0].to_string(), "level = 2 or 3");
    }

    #[test]
    fn a_rule_describes_in_words_which_callers_may_pass() {
        let all = Demands {
            credentials: Accepted::TokenOrSession,
            scope: "a b".parse().unwrap(),
            any_scope: "c d".parse().unwrap(),
            claims: vec![
                ClaimDemand { name: "team".into(), one_of: vec![ClaimValue::Text("blue".into())] },
                ClaimDemand { name: "level".into(), one_of: vec![ClaimValue::Number(2), ClaimValue::Flag(true)] },
            ],
            provider: Some("google".parse().unwrap()),
        };
        assert_eq!(
            Access::Callers(all).to_string(),
            "callers with a valid token and signed-in browsers, if they have scope a b and one of the scopes c d \
             and claim team = \"blue\" and claim level = 2 or true and an identity at google"
        );
        let session = Access::Callers(Demands { credentials: Accepted::Session, ..Demands::default() });
        assert_eq!(
            (Access::Open.to_string().as_str(), session.to_string().as_str()),
            ("everyone", "signed-in browsers")
        );
        assert_eq!(Access::default().to_string(), "callers with a valid token");
    }

    /// Rules of all kinds.
    fn rules() -> Vec<Access> {
        let text = |values: &[&str]| values.iter().map(|&value| ClaimValue::Text(value.into())).collect::<Vec<_>>();
        let team = |values: &[&str]| ClaimDemand { name: "team".into(), one_of: text(values) };
        let staff = ClaimDemand { name: "staff".into(), one_of: vec![ClaimValue::Flag(true)] };
        let mut rules = vec![Access::Open];
        for credentials in [Accepted::Token, Accepted::Session, Accepted::TokenOrSession] {
            for scope in ["", "a", "a b"] {
                for any_scope in ["", "a", "b c"] {
                    for claims in [vec![], vec![team(&["x"])], vec![team(&["x", "y"]), staff.clone()]] {
                        for provider in [None, Some("google"), Some("kakao")] {
                            rules.push(Access::Callers(Demands {
                                credentials,
                                scope: scope.parse().unwrap(),
                                any_scope: any_scope.parse().unwrap(),
                                claims: claims.clone(),
                                provider: provider.map(|name| name.parse().unwrap()),
                            }));
                        }
                    }
                }
            }
        }
        rules
    }

    /// Compares the claim that one rule implies another with the callers that each lets pass, over callers of all
    /// kinds.
    #[test]
    fn one_rule_implies_another_if_every_caller_that_passes_it_passes_the_other() {
        let mut callers: Vec<(Accepted, Option<Arc<Identity>>, Option<ProviderName>)> =
            vec![(Accepted::Token, None, None)];
        for credential in [Accepted::Token, Accepted::Session] {
            for scope in ["", "a", "b", "c", "a b", "a c", "a b c"] {
                for claims in [
                    json!({}),
                    json!({"team": "x"}),
                    json!({"team": "y"}),
                    json!({"staff": true, "team": "x"}),
                    json!({"staff": true, "team": "y"}),
                    json!({"staff": true}),
                ] {
                    for provider in [None, Some("google"), Some("kakao")] {
                        let provider = provider.map(|name| name.parse().unwrap());
                        callers.push((credential, Some(caller(scope, &claims)), provider));
                    }
                }
            }
        }
        let passed_by = |rule: &Access| -> Vec<bool> {
            let passes =
                |(credential, identity, provider): &(Accepted, Option<Arc<Identity>>, Option<ProviderName>)| {
                    let counts = rule.accepted() == Accepted::TokenOrSession || rule.accepted() == *credential;
                    rule.authorise(identity.clone().filter(|_| counts), provider.as_ref()).is_ok()
                };
            callers.iter().map(passes).collect()
        };
        let rules: Vec<(Access, Vec<bool>)> =
            rules().into_iter().map(|rule| (rule.clone(), passed_by(&rule))).collect();
        let mut implied = 0;
        for (one, passes_one) in &rules {
            for (other, passes_other) in &rules {
                let truly = passes_one.iter().zip(passes_other).all(|(one, other)| !one || *other);
                assert!(!one.implies(other) || truly, "{one}\ndoes not imply\n{other}");
                implied += usize::from(one.implies(other));
            }
            assert!(one.implies(one) && one.implies(&Access::Open), "{one}");
        }
        // Every implication that follows from the rules' texts is found: an `implies` that always said no would be
        // safe, too.
        let by_hand = |one: &str, other: &str| {
            let any = |scope: &str, any_scope: &str| {
                Access::Callers(Demands {
                    scope: scope.parse().unwrap(),
                    any_scope: any_scope.parse().unwrap(),
                    ..Demands::default()
                })
            };
            let [one, other] = [one, other].map(|text| text.split_once('|').unwrap());
            any(one.0, one.1).implies(&any(other.0, other.1))
        };
        assert!(by_hand("a b|", "a|") && by_hand("a|", "|") && by_hand("a|", "|a b") && by_hand("|a", "|a b"));
        assert!(!by_hand("|", "|a") && !by_hand("|a b", "|a") && !by_hand("a|", "b|") && !by_hand("|a", "a|"));
        assert!(implied > rules.len() * 10, "{implied}");
    }

    #[test]
    fn the_provider_has_to_be_the_demanded_one() {
        let [google, kakao] = ["google", "kakao"].map(|name| name.parse::<ProviderName>().unwrap());
        let access = Access::Callers(Demands { provider: Some(google.clone()), ..Demands::default() });
        assert_eq!(access.provider(), Some(&google));
        assert!(access.authorise(Some(reader()), Some(&google)).is_ok());
        for linked_at in [None, Some(&kakao)] {
            let denied = Err(Denied::ProviderMissing(google.clone()));
            assert_eq!(access.authorise(Some(reader()), linked_at), denied);
        }
    }
}
