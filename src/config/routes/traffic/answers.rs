//! Parses the answers that a route gives without its service: a redirect, a fixed response, maintenance.

use std::{ops::RangeInclusive, time::Duration};

use toml::Spanned;
use url::Url;

use super::{
    STATUSES,
    tables::{MaintenanceEntry, RedirectEntry, RespondEntry},
};
use crate::{
    config::routes::{Parser, RouteEntry, shapes::FlagOrTable, units},
    domain::gateway::models::{
        http::{header_rules::header_value, path::PathPrefix},
        service::{FixedAnswer, Maintenance, Redirect, Respond, ServiceName},
    },
};

/// The default of `retry_after`: clients should notice the end of a short maintenance.
const RETRY_AFTER: Duration = Duration::from_mins(5);

/// The bounds of `retry_after`.
const RETRY_TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 30);

/// The largest fixed body: larger ones are for a service.
const MOST_BODY_BYTES: usize = 64 * 1024;

/// The longest message of a maintenance page.
const MOST_MESSAGE_CHARACTERS: usize = 500;

/// The marker for the rest of the path.
const REST: &str = "{rest}";

impl Parser<'_, '_> {
    /// The answer, if there is one; the outer `None` means that a mistake was noted.
    #[expect(clippy::option_option, reason = "the outer one means that a mistake was noted")]
    pub(super) fn answer(&mut self, entry: &RouteEntry) -> Option<Option<FixedAnswer>> {
        let place = |at: std::ops::Range<usize>| Spanned::new(at, ());
        let redirect = entry.redirect.as_ref().map(|given| (place(given.span()), self.redirect(given, entry)));
        let respond = entry.respond.as_ref().map(|given| (place(given.span()), self.respond(given)));
        let maintenance = entry.maintenance.as_ref().and_then(|given| match given.get_ref() {
            FlagOrTable::Flag(false) => None,
            FlagOrTable::Flag(true) => {
                let maintenance = Maintenance { retry_after: RETRY_AFTER, message: None };
                Some((place(given.span()), Some(FixedAnswer::Maintenance(maintenance))))
            }
            FlagOrTable::Table(table) => Some((place(given.span()), self.maintenance(table))),
        });
        let mut answers = [redirect, respond, maintenance].into_iter().flatten();
        let Some((_, answer)) = answers.next() else { return Some(None) };
        if let Some((second, _)) = answers.next() {
            self.note(&second, "a route must have only one of redirect, respond and maintenance; remove the others");
            return None;
        }
        answer.map(Some)
    }

    /// The service of a route that names none. `maintenance = false` answers nothing.
    pub(in crate::config::routes) fn no_service(&mut self, entry: &RouteEntry) -> Option<ServiceName> {
        let answers = entry.redirect.is_some() || entry.respond.is_some();
        if let Some(given) = &entry.maintenance
            && matches!(given.get_ref(), FlagOrTable::Flag(false))
            && !answers
        {
            self.note(given, "service is required in every [[routes]] that is open; maintenance is false here");
            return None;
        }
        (answers || entry.maintenance.is_some()).then(ServiceName::none)
    }

    fn redirect(&mut self, given: &Spanned<RedirectEntry>, entry: &RouteEntry) -> Option<FixedAnswer> {
        let RedirectEntry { to, status } = given.get_ref();
        let status = match status {
            None => Some(307),
            Some(given) => self.field("redirect.status", given, |&number| {
                let status = u16::try_from(number).ok().filter(|status| matches!(status, 301 | 302 | 307 | 308));
                status.ok_or_else(|| "must be 301, 302, 307 or 308".to_owned())
            }),
        };
        let to = to.as_ref()?;
        let (address, with_rest) = self.field("redirect.to", to, |text| {
            target(text).ok_or_else(|| {
                "must be an http or https URL or a path, such as https://www.example.com/new; it may end with /{rest} for \
                 the rest of the path"
                    .to_owned()
            })
        })?;
        let path = entry.path.as_ref().and_then(|path| path.get_ref().parse::<PathPrefix>().ok());
        if path.is_some_and(|path| path.rest(path_of(&address)).is_some()) {
            self.note(to, "redirect.to must not be a path of the same route; clients would be redirected for ever");
            return None;
        }
        Some(FixedAnswer::Redirect(Redirect { status: status?, to: address, with_rest }))
    }

    fn respond(&mut self, given: &Spanned<RespondEntry>) -> Option<FixedAnswer> {
        let RespondEntry { status, content_type, body } = given.get_ref();
        let status = self.field("respond.status", status.as_ref()?, |&number| {
            let status = u16::try_from(number).ok().filter(|_| STATUSES.contains(&number));
            let fixed = status.filter(|status| !matches!(status, 206 | 300..=399 | 401 | 407));
            fixed.ok_or_else(|| {
                "must be a status from 200 to 599, but not of a redirect (3xx), a part (206) or a challenge (401, 407)"
                    .to_owned()
            })
        });
        let body = match body {
            None => Some(String::new()),
            Some(given) if given.get_ref().len() <= MOST_BODY_BYTES => Some(given.get_ref().clone()),
            Some(given) => {
                self.note(given, "respond.body must be a text of up to 64KiB; a service can send larger ones");
                None
            }
        };
        let content_type = match content_type {
            None => Some("text/plain; charset=utf-8".to_owned()),
            Some(given) => self.field("respond.content_type", given, |text| {
                let value = header_value(text).ok().filter(|_| text.contains('/'));
                value
                    .map(|value| value.as_ref().to_owned())
                    .ok_or_else(|| "must be a media type, such as application/json".to_owned())
            }),
        };
        let (status, body, content_type) = (status?, body?, content_type?);
        if matches!(status, 204 | 205) && !body.is_empty() {
            self.note(given, format!("respond must not have a body with the status {status}; remove the body"));
            return None;
        }
        let content_type = (!body.is_empty()).then_some(content_type);
        Some(FixedAnswer::Respond(Respond { status, content_type, body: body.into() }))
    }

    fn maintenance(&mut self, entry: &MaintenanceEntry) -> Option<FixedAnswer> {
        let retry_after = match &entry.retry_after {
            None => Some(RETRY_AFTER),
            Some(given) => self.field("maintenance.retry_after", given, |text| {
                let time = units::duration(text).filter(|time| RETRY_TIMES.contains(time));
                time.ok_or_else(|| "must be a duration from 1s to 30d, such as 10m".to_owned())
            }),
        };
        let message = match &entry.message {
            None => Some(None),
            Some(given) => self
                .field("maintenance.message", given, |text| {
                    let fits = (1..=MOST_MESSAGE_CHARACTERS).contains(&text.trim().chars().count());
                    let rule = || format!("must be a text of 1 to {MOST_MESSAGE_CHARACTERS} characters");
                    if fits { Ok(text.as_str().into()) } else { Err(rule()) }
                })
                .map(Some),
        };
        Some(FixedAnswer::Maintenance(Maintenance { retry_after: retry_after?, message: message? }))
    }
}

/// The address of a redirect, and whether the rest of the path is appended. The host is complete before that: the rest
/// follows a slash.
fn target(text: &str) -> Option<(String, bool)> {
    let (address, with_rest) = match text.strip_suffix(REST) {
        Some(address) => (address, true),
        None => (text, false),
    };
    // Browsers skip further slashes before the host.
    let is_clean = !address.contains(['{', '}', '\\'])
        && !address.contains(":///")
        && address.bytes().all(|byte| byte.is_ascii_graphic());
    let can_be_extended = !with_rest || (address.ends_with('/') && !address.contains(['?', '#']));
    let is_path = address.starts_with('/') && !address.starts_with("//");
    let is_url = || {
        let url = Url::parse(address).ok();
        // The path must have begun, or the rest would extend the host.
        let has_path = |url: &Url| !with_rest || url.as_str() == address;
        url.filter(|_| address.contains("://")).is_some_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && has_path(&url)
        })
    };
    (is_clean && can_be_extended && (is_path || is_url())).then(|| (address.to_owned(), with_rest))
}

/// The path of an address on this host; of any other, nothing that a route could match.
fn path_of(address: &str) -> &str {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    if path.starts_with('/') { path.strip_suffix('/').unwrap_or(path) } else { "" }
}
