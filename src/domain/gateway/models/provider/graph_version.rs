//! Versions of Facebook's Graph API: each is retired two years after the next one was released.
//! Source: <https://developers.facebook.com/docs/graph-api/changelog>.

use chrono::{DateTime, Months, NaiveDate, Utc};
use url::Url;

/// How long before a version's retirement the operator is warned.
const TOLD_BEFORE: Months = Months::new(2);

/// The versions whose last day is known, oldest first. Older ones are retired before, newer ones after.
const LAST_DAYS: [(Version, NaiveDate); 1] = [((25, 0), date(2028, 7, 29))];

/// Major and minor.
type Version = (u32, u32);

const fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, month, day) {
        Some(date) => date,
        None => NaiveDate::MIN,
    }
}

/// The warning about the version in an endpoint's path, if it is retired within two months or may be retired already.
pub(super) fn warning(endpoint: &Url, now: DateTime<Utc>) -> Option<String> {
    let (version, numbers) = version_in(endpoint)?;
    let &(oldest, _) = LAST_DAYS.first()?;
    if numbers < oldest {
        return Some(format!(
            "FACEBOOK_API_VERSION {version} is older than v{}.{}, and may be retired already; use a newer one from \
             https://developers.facebook.com/docs/graph-api/changelog",
            oldest.0, oldest.1
        ));
    }
    let (_, last_day) = LAST_DAYS.iter().find(|(known, _)| *known == numbers)?;
    (now.date_naive() >= *last_day - TOLD_BEFORE).then(|| {
        format!(
            "FACEBOOK_API_VERSION {version} is retired on {last_day}; use a newer one from \
             https://developers.facebook.com/docs/graph-api/changelog"
        )
    })
}

/// `https://graph.facebook.com/v26.0/oauth/access_token` → `v26.0`, (26, 0)
fn version_in(endpoint: &Url) -> Option<(&str, Version)> {
    let version = endpoint.path_segments()?.next()?;
    let (major, minor) = version.strip_prefix('v')?.split_once('.')?;
    Some((version, (major.parse().ok()?, minor.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(version: &str, day: &str) -> Option<String> {
        let endpoint = Url::parse(&format!("https://graph.facebook.com/{version}/oauth/access_token")).unwrap();
        warning(&endpoint, format!("{day}T00:00:00Z").parse().unwrap())
    }

    #[test]
    fn the_operator_is_warned_two_months_before_a_version_is_retired() {
        assert_eq!(said("v25.0", "2028-05-28"), None);
        for day in ["2028-05-29", "2028-07-29", "2030-01-01"] {
            let said = said("v25.0", day).unwrap();
            assert!(said.starts_with("FACEBOOK_API_VERSION v25.0 is retired on 2028-07-29;"), "{said}");
        }
    }

    #[test]
    fn an_older_version_may_be_retired_and_a_newer_one_is_not() {
        let old = said("v24.0", "2026-11-27").unwrap();
        assert!(old.contains("v24.0 is older than v25.0"), "{old}");
        for good in ["v26.0", "v25.1", "v100.0"] {
            assert_eq!(said(good, "2028-07-29"), None, "{good}");
        }
        assert_eq!((said("oauth", "2030-01-01"), said("v1", "2030-01-01")), (None, None), "an endpoint of a test");
    }
}
