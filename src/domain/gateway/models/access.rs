//! Who may use a route: which credentials count there, and what whoever shows one has to be.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{identity::Identity, oauth::ProviderName, scope::Scope};

/// Who may use a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Anybody. A token that is sent along is still verified, so that the service learns who calls.
    Open,
    /// Whoever shows a credential and meets these demands.
    Callers(Demands),
}

/// What is demanded of a caller. By default: any valid token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demands {
    /// Which credentials count.
    pub credentials: Accepted,
    /// Words of scope that a token has to have, all of them.
    pub scope: Scope,
    /// Words of scope of which a token has to have one; none means that nothing is demanded.
    pub any_scope: Scope,
    /// What a caller's claims have to say, each of them.
    pub claims: Vec<ClaimDemand>,
    /// Where a caller has to have an identity.
    pub provider: Option<ProviderName>,
}

/// Which credentials count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Accepted {
    /// A bearer token.
    #[default]
    Token,
    /// The session of a browser.
    Session,
    /// Either. A token counts first.
    TokenOrSession,
}

/// What one claim has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimDemand {
    /// The claim.
    pub name: String,
    /// It has to be one of these, or a list with one of them in it.
    pub one_of: Vec<ClaimValue>,
}

/// What a claim may be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimValue {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
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
    /// Who was let through, if known.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }
}

/// Why a request may not be forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// There was no credential, or none that counts here.
    CredentialMissing(Accepted),
    /// The token lacks words of this scope (RFC 6750 §3.1, `insufficient_scope`).
    ScopeMissing(Scope),
    /// The token has none of the words of this scope.
    AnyScopeMissing(Scope),
    /// A claim does not say what it has to.
    ClaimMissing(ClaimDemand),
    /// The caller has no identity at this provider.
    ProviderMissing(ProviderName),
}

impl Access {
    /// For holders of a token with all of these words of scope.
    pub fn with_scope(scope: Scope) -> Self {
        Self::Callers(Demands { scope, ..Demands::default() })
    }

    /// Which credentials are looked at. On an open route a session is not: it comes along by itself, so it says nothing
    /// about what its holder means to do.
    pub fn accepted(&self) -> Accepted {
        match self {
            Self::Open => Accepted::Token,
            Self::Callers(demands) => demands.credentials,
        }
    }

    /// Where a caller has to have an identity.
    pub fn provider(&self) -> Option<&ProviderName> {
        match self {
            Self::Open => None,
            Self::Callers(demands) => demands.provider.as_ref(),
        }
    }

    /// Whether everybody who may pass by this rule may pass by `other`.
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
    /// Whether whoever meets these meets `others`.
    fn imply(&self, others: &Self) -> bool {
        let credentials = others.credentials == Accepted::TokenOrSession || others.credentials == self.credentials;
        // Each caller here has a word of `any_scope`, or has all of `scope`.
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

/// In words, for people.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Callers(Demands { credentials, scope, any_scope, claims, provider }) = self else {
            return f.write_str("anybody");
        };
        f.write_str(match credentials {
            Accepted::Token => "callers with a valid token",
            Accepted::Session => "browsers that are signed in",
            Accepted::TokenOrSession => "callers with a valid token and browsers that are signed in",
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
    /// For holders of any valid token.
    fn default() -> Self {
        Self::Callers(Demands::default())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::domain::gateway::models::id::{FamilyId, TokenId};

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
    fn the_credentials_that_count_are_those_of_the_rule_and_on_an_open_route_tokens() {
        assert_eq!(Access::Open.accepted(), Accepted::Token);
        for credentials in [Accepted::Token, Accepted::Session, Accepted::TokenOrSession] {
            let access = Access::Callers(Demands { credentials, ..Demands::default() });
            assert_eq!(access.accepted(), credentials);
            assert_eq!(access.authorise(None, None), Err(Denied::CredentialMissing(credentials)));
        }
    }

    #[test]
    fn one_word_of_any_scope_is_enough() {
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
    fn claims_have_to_say_what_is_demanded() {
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
    fn a_rule_says_in_words_who_may_pass() {
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
            "callers with a valid token and browsers that are signed in, if they have scope a b and one of the scopes c d \
             and claim team = \"blue\" and claim level = 2 or true and an identity at google"
        );
        let session = Access::Callers(Demands { credentials: Accepted::Session, ..Demands::default() });
        assert_eq!(
            (Access::Open.to_string().as_str(), session.to_string().as_str()),
            ("anybody", "browsers that are signed in")
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

    /// Compares what is said of two rules with whom they let pass, over callers of all kinds.
    #[test]
    fn one_rule_implies_another_if_whoever_passes_the_one_passes_the_other() {
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
        // Every two that do so by what they say are found: a rule that is never found to imply another would be safe, too.
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
    fn a_provider_has_to_be_the_one_that_is_demanded() {
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
