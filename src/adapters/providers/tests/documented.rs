//! The providers as documented: a table of provider × operation, one case for each documented response, with its
//! source. Each provider's cases are in a file of its own below.
//!
//! A new operation needs a new [`Operation`], an arm in [`Case::endpoint`] and [`ask`], and cases at each provider: the
//! last test fails until each has some.

mod apple;
mod discord;
mod facebook;
mod generic;
mod github;
mod google;
mod kakao;
mod line;
mod naver;
mod x;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use super::{
    authorizing::{PKCE, usual},
    fake::Reply,
    open_id::id_tokens::{Signer, claims, signed_with_secret},
};
use crate::domain::gateway::{
    models::signing_key::SigningAlgorithm,
    services::ports::{NoticeBody, NoticeRefusal, UnverifiedNotice},
};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    /// Exchange a code for tokens.
    Token,
    /// Identify the person.
    Person,
    /// Refresh a grant.
    Refresh,
    /// Revoke a grant.
    Revoke,
}

const OPERATIONS: [Operation; 4] = [Operation::Token, Operation::Person, Operation::Refresh, Operation::Revoke];

/// The outcome of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// Success, or nothing to do.
    Done,
    /// The grant, or the code, is invalid: the person must sign in again.
    GrantEnds(&'static str),
    /// The operator must correct something.
    OurFault(&'static str),
    /// The provider is down, or its rate limit is reached.
    TheirFault(&'static str),
    /// The cause is unknown, so nothing ends.
    Unknown(&'static str),
}

impl From<Outcome> for Result<(), ProviderError> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::GrantEnds(code) => Err(invalid_grant(code)),
            Outcome::OurFault(code) => Err(misconfigured(code)),
            Outcome::TheirFault(name @ ("http_403" | "http_429")) => Err(ProviderError::Throttled(name.to_owned())),
            Outcome::TheirFault(name) => Err(ProviderError::Unavailable(name.to_owned())),
            Outcome::Unknown(code) => Err(refused(code)),
        }
    }
}

/// A response to an operation.
struct Case {
    operation: Operation,
    response: Reply,
    outcome: Outcome,
    /// The documentation of the response, or where it was seen.
    source: &'static str,
}

/// Makes a notice without proof.
type Unproven = fn() -> NoticeBody;

/// A row of the table.
struct Provided {
    /// The prefix of its variables.
    prefix: &'static str,
    /// Other variables.
    settings: Vec<(&'static str, &'static str)>,
    /// The issuer of its id tokens; without one it is the fake's.
    issuer: Option<&'static str>,
    /// The subject of its id tokens.
    subject: &'static str,
    /// The audience of its id tokens.
    audience: &'static str,
    /// Whether the client secret signs its id tokens.
    by_secret: bool,
    /// The authorization query besides the common parameters, and its documentation.
    authorization: Option<(&'static str, &'static str)>,
    /// A notice without proof, and its documentation; none if the provider documents no notices.
    notice: Option<(Unproven, &'static str)>,
    /// How a revocation names the grant.
    revokes_by: &'static str,
    /// Whether the id token alone identifies the person, without another request.
    only_by_id_token: bool,
    /// Successful responses of all other requests: `GET /userinfo` and the like.
    on_the_way: Vec<(&'static str, Value)>,
    cases: Vec<Case>,
}

impl Provided {
    fn new(prefix: &'static str, revokes_by: &'static str) -> Self {
        Self {
            prefix,
            settings: Vec::new(),
            issuer: None,
            subject: "u-1",
            audience: "client:1",
            by_secret: false,
            authorization: None,
            notice: None,
            revokes_by,
            only_by_id_token: false,
            on_the_way: Vec::new(),
            cases: Vec::new(),
        }
    }

    fn only_by_id_token(self) -> Self {
        Self { only_by_id_token: true, ..self }
    }

    fn set(mut self, name: &'static str, value: &'static str) -> Self {
        self.settings.push((name, value));
        self
    }

    fn id_tokens(self, issuer: &'static str, subject: &'static str) -> Self {
        Self { issuer: Some(issuer), subject, ..self }
    }

    fn audience(self, audience: &'static str) -> Self {
        Self { audience, ..self }
    }

    fn id_tokens_by_secret(self, issuer: &'static str, subject: &'static str) -> Self {
        Self { by_secret: true, ..self.id_tokens(issuer, subject) }
    }

    fn authorization(self, query: &'static str, source: &'static str) -> Self {
        Self { authorization: Some((query, source)), ..self }
    }

    fn notice(self, body: Unproven, source: &'static str) -> Self {
        Self { notice: Some((body, source)), ..self }
    }

    fn on_the_way(mut self, what: &'static str, response: Value) -> Self {
        self.on_the_way.push((what, response));
        self
    }

    fn case(
        mut self,
        operation: Operation,
        response: impl Into<Reply>,
        outcome: Outcome,
        source: &'static str,
    ) -> Self {
        self.cases.push(Case { operation, response: response.into(), outcome, source });
        self
    }
}

impl Case {
    fn endpoint(&self, row: &Provided) -> &'static str {
        match self.operation {
            Operation::Token | Operation::Refresh => "POST /token",
            Operation::Person => "GET /userinfo",
            Operation::Revoke => row.revokes_by,
        }
    }
}

fn table() -> Vec<Provided> {
    vec![
        google::row(),
        github::row(),
        facebook::row(),
        naver::row(),
        naver::plain_row(),
        kakao::row(),
        kakao::plain_row(),
        apple::row(),
        line::row(),
        discord::row(),
        x::row(),
        generic::row(),
    ]
}

/// Makes the gateway carry out an operation.
async fn ask(provider: &dyn Provider, operation: Operation) -> Result<(), ProviderError> {
    let kept = tokens(Some("s3cret-refresh"));
    match operation {
        Operation::Token | Operation::Person => provider.exchange(&code()).await.map(drop),
        Operation::Refresh => provider.refresh(&kept).await.map(drop),
        Operation::Revoke => provider.revoke(&kept).await,
    }
}

/// `ID_TOKEN` in a response is replaced with a valid one.
const ID_TOKEN: &str = "ID_TOKEN";

/// The provider of a row, and its stand-in.
async fn set_up(row: &Provided, signer: &Signer) -> (Arc<dyn Provider>, Fake) {
    let fake = Fake::start().await;
    let issuer = row.issuer.map_or_else(|| fake.url(""), str::to_owned);
    let discovery = json!({
        "issuer": issuer, "authorization_endpoint": fake.url("/authorize"), "token_endpoint": fake.url("/token"),
        "userinfo_endpoint": fake.url("/userinfo"), "revocation_endpoint": fake.url("/revoke"), "jwks_uri": fake.url("/jwks"),
    });
    fake.on("GET /.well-known/openid-configuration", discovery).on("GET /jwks", signer.jwks());
    for (what, response) in &row.on_the_way {
        fake.on(what, response.clone());
    }
    (provider_with(row.prefix, &fake.url(""), &TestClock::at(NOW), &row.settings), fake)
}

impl Provided {
    /// A response with a valid id token inserted.
    fn signed(&self, response: &Reply, fake: &Fake, signer: &Signer) -> Reply {
        let mut claims = claims(&self.issuer.map_or_else(|| fake.url(""), str::to_owned));
        claims["sub"] = json!(self.subject);
        (claims["aud"], claims["azp"]) = (json!(self.audience), json!(self.audience));
        claims.as_object_mut().unwrap().remove("at_hash");
        let id_token = if self.by_secret { signed_with_secret(&claims) } else { signer.sign(&claims) };
        response.clone().with(ID_TOKEN, &id_token)
    }
}

async fn outcome_of(row: &Provided, case: &Case, signer: &Signer) -> Result<(), ProviderError> {
    let (provider, fake) = set_up(row, signer).await;
    if case.operation == Operation::Person {
        let is_good = |case: &&Case| case.operation == Operation::Token && case.outcome == Outcome::Done;
        let tokens = row.cases.iter().find(is_good).unwrap();
        fake.on("POST /token", row.signed(&tokens.response, &fake, signer));
    }
    fake.on(case.endpoint(row), row.signed(&case.response, &fake, signer));
    ask(&*provider, case.operation).await
}

#[tokio::test]
async fn the_browser_is_sent_with_what_the_documentation_names() {
    let signer = Signer::new(SigningAlgorithm::Es256);
    for row in table() {
        let (query, source) = row.authorization.unwrap_or_else(|| panic!("{}: nothing for the browser", row.prefix));
        let (provider, _fake) = set_up(&row, &signer).await;
        assert_eq!(usual(&*provider).await, query.replace("PKCE", PKCE), "{}: {source}", row.prefix);
        assert!(source.starts_with("https://"), "{}: {source}", row.prefix);
    }
}

/// The effects of valid notices are tested in `notices`, `security_events` and `apple`.
#[tokio::test]
async fn notices_need_a_provider_that_documents_them_and_its_proof() {
    let signer = Signer::new(SigningAlgorithm::Es256);
    for row in table() {
        let (provider, _fake) = set_up(&row, &signer).await;
        let refusal = async |body| {
            let notice = UnverifiedNotice { authorization: None, headers: BTreeMap::new(), body };
            provider.verify_notice(&notice).await.unwrap_err()
        };
        if let Some((body, source)) = row.notice {
            let refused = refusal(body()).await;
            assert!(
                matches!(refused, NoticeRefusal::Unverified | NoticeRefusal::Malformed),
                "{}: {refused}",
                row.prefix
            );
            assert!(source.starts_with("https://"), "{}: {source}", row.prefix);
            continue;
        }
        for body in [
            NoticeBody::Parameters(BTreeMap::new()),
            NoticeBody::Json(b"{}".to_vec()),
            NoticeBody::DeletionRequest(BTreeMap::new()),
            NoticeBody::SecurityEvent(Secret::new("a.b.c")),
        ] {
            assert_eq!(refusal(body).await, NoticeRefusal::Unsupported, "{}", row.prefix);
        }
    }
}

#[tokio::test]
async fn each_response_means_what_the_documentation_says() {
    let signer = Signer::new(SigningAlgorithm::Es256);
    let mut wrong = Vec::new();
    for row in table() {
        for case in &row.cases {
            let outcome = outcome_of(&row, case, &signer).await;
            if let Err(error) = &outcome {
                is_discreet(error);
            }
            let expected = Result::from(case.outcome.clone());
            if outcome != expected {
                let Case { operation, response, source, .. } = case;
                wrong.push(format!("{} {operation:?} {response:?}\n  {source}\n  {outcome:?}", row.prefix));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn no_cell_is_empty_and_each_case_names_its_source() {
    for Provided { prefix, only_by_id_token, on_the_way, cases, .. } in table() {
        let with = |is_meant: &dyn Fn(&Outcome) -> bool| -> BTreeSet<Operation> {
            cases.iter().filter(|case| is_meant(&case.outcome)).map(|case| case.operation).collect()
        };
        let all_but = |spared: bool| -> BTreeSet<Operation> {
            OPERATIONS.into_iter().filter(|operation| !(spared && *operation == Operation::Person)).collect()
        };
        let good = with(&|outcome| *outcome == Outcome::Done);
        assert_eq!(good, all_but(only_by_id_token), "{prefix}: nothing that is good");
        let bad = with(&|outcome| *outcome != Outcome::Done);
        // Requests that only complete the id token may fail.
        assert_eq!(bad, all_but(on_the_way.is_empty()), "{prefix}: nothing that is not");
        let ended = with(&|outcome| matches!(outcome, Outcome::GrantEnds(_)));
        assert!(ended.contains(&Operation::Refresh), "{prefix}: nothing ends a grant");
        let ours = with(&|outcome| matches!(outcome, Outcome::OurFault(_)));
        assert!(ours.contains(&Operation::Refresh), "{prefix}: nothing is our fault");
        for Case { source, .. } in &cases {
            assert!(source.starts_with("https://") || source.starts_with("RFC "), "{prefix}: {source}");
        }
    }
}
