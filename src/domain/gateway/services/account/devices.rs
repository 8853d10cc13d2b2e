//! The device cookie (OWASP, "Device Cookies"): it shows that an account was signed in to with a password from this
//! browser before. Failures of others do not delay such a browser; its own failures are counted separately. The cookie
//! proves nothing else, and a thief of it may guess as often as the owner may mistype.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    domain::gateway::{
        models::{
            account::Email,
            values::{digest::Sha256Digest, id::DeviceId},
        },
        services::ports::Sealer,
    },
    ports::Entropy,
};

/// How long a browser is remembered after a sign-in.
pub const TRUSTED_FOR: TimeDelta = TimeDelta::days(180);

/// The most accounts that one browser is remembered at: the latest sign-ins stay. It limits the cookie to some 500
/// bytes.
const MOST_ACCOUNTS: usize = 4;

const SEALING_CONTEXT: &str = "device";

/// Reads and writes device cookies.
pub(super) struct Devices<'p> {
    pub(super) sealer: &'p dyn Sealer,
    pub(super) entropy: &'p dyn Entropy,
}

/// A record that a browser signed in to an account.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// The digest of the e-mail: the cookie reveals no e-mail address.
    account: [u8; 32],
    device: String,
    until: i64,
}

impl Devices<'_> {
    /// The id of the browser at this account, if it is known there.
    pub(super) fn known(&self, cookie: &[u8], email: &Email, now: DateTime<Utc>) -> Option<DeviceId> {
        let digest = digest(email);
        self.entries(cookie, now).into_iter().find(|entry| entry.account == digest)?.device.parse().ok()
    }

    /// The cookie of a browser that has just signed in to this account; `cookie` is its earlier one.
    pub(super) fn remember(&self, cookie: Option<&[u8]>, email: &Email, now: DateTime<Utc>) -> Vec<u8> {
        let known = cookie.and_then(|cookie| self.known(cookie, email, now));
        let device = known.unwrap_or_else(|| DeviceId::from_random(self.entropy.bytes()));
        let account = digest(email);
        let newest = Entry { account, device: device.to_string(), until: (now + TRUSTED_FOR).timestamp() };
        let others = cookie.map(|cookie| self.entries(cookie, now)).unwrap_or_default();
        let others = others.into_iter().filter(|entry| entry.account != account);
        let entries: Vec<_> = [newest].into_iter().chain(others).take(MOST_ACCOUNTS).collect();
        // Numbers and texts can always be written as JSON.
        self.sealer.seal(SEALING_CONTEXT, &serde_json::to_vec(&entries).unwrap_or_default())
    }

    fn entries(&self, cookie: &[u8], now: DateTime<Utc>) -> Vec<Entry> {
        let opened = self.sealer.open(SEALING_CONTEXT, cookie).ok();
        let entries: Option<Vec<Entry>> = opened.and_then(|clear| serde_json::from_slice(&clear).ok());
        let mut entries = entries.unwrap_or_default();
        entries.retain(|entry| now.timestamp() < entry.until);
        entries
    }
}

fn digest(email: &Email) -> [u8; 32] {
    *Sha256Digest::of(format!("device:{}", email.key()).as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapters::sealing::Vault, ports::testing::CountingEntropy};

    fn email(name: &str) -> Email {
        Email::parse(&format!("{name}@example.com")).unwrap()
    }

    fn at(days: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(days)
    }

    #[test]
    fn a_browser_is_known_at_the_accounts_that_it_signed_in_to() {
        let (vault, entropy) = (Vault::new(&[[1; 32]]).unwrap(), CountingEntropy::default());
        let devices = Devices { sealer: &vault, entropy: &entropy };
        let cookie = devices.remember(None, &email("jane"), at(0));
        let device = devices.known(&cookie, &email("JANE"), at(179)).unwrap();
        assert_eq!(devices.known(&cookie, &email("jane"), at(180)), None);
        assert_eq!(devices.known(&cookie, &email("john"), at(0)), None);
        let again = devices.remember(Some(&cookie), &email("jane"), at(100));
        assert_eq!(devices.known(&again, &email("jane"), at(279)), Some(device), "the same, for longer");
        let stranger = Vault::new(&[[2; 32]]).unwrap();
        assert_eq!(Devices { sealer: &stranger, entropy: &entropy }.known(&cookie, &email("jane"), at(0)), None);
        for nonsense in [&b""[..], b"x", &cookie[1..]] {
            assert_eq!(devices.known(nonsense, &email("jane"), at(0)), None);
            devices.remember(Some(nonsense), &email("jane"), at(0));
        }
    }

    #[test]
    fn of_many_accounts_the_latest_sign_ins_are_known() {
        let (vault, entropy) = (Vault::new(&[[1; 32]]).unwrap(), CountingEntropy::default());
        let devices = Devices { sealer: &vault, entropy: &entropy };
        let mut cookie = devices.remember(None, &email("a"), at(0));
        for name in ["b", "c", "d", "a", "e", "f"] {
            cookie = devices.remember(Some(&cookie), &email(name), at(0));
        }
        let known = |name: &str| devices.known(&cookie, &email(name), at(0)).is_some();
        assert!(["a", "d", "e", "f"].into_iter().all(known) && !known("b") && !known("c"));
        assert!(cookie.len() < 1200, "{} bytes", cookie.len());
    }
}
