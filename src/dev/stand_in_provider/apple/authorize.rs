//! `/apple/authorize`: the same page, and the response by form.

use std::sync::Arc;

use poem::{
    Body, Response, handler,
    http::{HeaderMap, Uri},
    web::Data,
};
use serde_json::json;

use super::{
    super::{
        StandIn,
        authorize::{Choice, ReturnAddress, Wish},
        dialect::Dialect,
        ledger::Authorization,
        page,
        people::Person,
        wire::{Parameters, Refusal},
    },
    CLIENT_ID, address_of,
};

#[handler]
pub(super) fn ask(Data(provider): Data<&Arc<StandIn>>, uri: &Uri) -> Response {
    match Parameters::parse(uri.query().unwrap_or_default().as_bytes()) {
        Ok(parameters) => respond(provider, &parameters, &Choice::None),
        Err(refusal) => page::fault(&refusal.description),
    }
}

#[handler]
pub(super) async fn decide(Data(provider): Data<&Arc<StandIn>>, headers: &HeaderMap, body: Body) -> Response {
    match Parameters::of_form(headers, body).await {
        Ok(parameters) => respond(provider, &parameters, &Choice::of(&parameters)),
        Err(refusal) => page::fault(&refusal.description),
    }
}

/// Errors of a request are shown here, not redirected: Apple shows a page, too.
fn respond(provider: &StandIn, parameters: &Parameters, choice: &Choice<'_>) -> Response {
    let read = || -> Result<(ReturnAddress, Wish), Refusal> {
        Ok((ReturnAddress::of(CLIENT_ID, None, parameters)?, Wish::of(Dialect::Standard, parameters, "form_post")?))
    };
    let (address, wish) = match read() {
        Ok(read) => read,
        Err(refusal) => return page::fault(&refusal.description),
    };
    let show = |notice| page::choose("authorize", CLIENT_ID, parameters, notice);
    let state = address.state.clone().map(|state| ("state", state));
    let person = match choice {
        Choice::None => return show(false),
        Choice::Cancel => {
            let fields: Vec<_> = state.into_iter().chain([("error", "user_cancelled_authorize".to_owned())]).collect();
            return page::post_back(address.url.as_str(), &fields);
        }
        Choice::Person(name) => match Person::called(name) {
            Some(person) => person,
            None => return show(true),
        },
    };
    let Wish { scope, code_challenge, nonce, consent } = wish;
    let mut remembered = provider.apple.state();
    let is_first = remembered.told.insert(person.subject.clone());
    let user = (is_first && scope.has("name")).then(|| ("user", user_of(&person)));
    let redirect_uri = address.text.clone();
    let authorization = Authorization { person, scope, redirect_uri, code_challenge, nonce, consent };
    let code = remembered.ledger.authorize(provider.clock.now(), authorization);
    let fields: Vec<_> = state.into_iter().chain([("code", code)]).chain(user).collect();
    page::post_back(address.url.as_str(), &fields)
}

/// The name and the address, which are sent once. A Hangul name of three syllables begins with the family name.
fn user_of(person: &Person) -> String {
    let name = person.name.as_str();
    let is_hangul = name.chars().count() == 3 && name.chars().all(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c));
    let (first, last) = match name.split_once(' ') {
        _ if is_hangul => {
            let (family, given) = name.split_at(name.chars().next().map_or(0, char::len_utf8));
            (given, family)
        }
        Some(both) => both,
        None => (name, ""),
    };
    json!({"name": {"firstName": first, "lastName": last}, "email": address_of(person).0}).to_string()
}
