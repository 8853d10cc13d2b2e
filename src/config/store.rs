//! The store and the keys that seal what is secret in it.

use std::collections::HashSet;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use url::Url;

use super::{
    Database, Environment, SessionStore, VaultKey,
    reader::{Reader, entries},
    variables::{DATABASE_URL, REDIS_URL, VAULT_KEY},
};

/// The key of the committed `.env`. It is public: whatever it seals is not secret, so production refuses it.
pub const DEVELOPMENT_VAULT_KEY: VaultKey = VaultKey(*b"for development only, not secret");

const HOW_TO_MAKE_A_KEY: &str = "make one with `openssl rand -base64 32` and keep it safe";

/// Either alphabet, with or without `=` at the end: keys come from many generators.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads where the store is. Production wants one that outlives the process.
pub(super) fn read_database(reader: &mut Reader<'_>, environment: Environment) -> Option<Database> {
    let database = reader.read(&DATABASE_URL, database)?;
    if database == Database::Memory && environment == Environment::Production {
        reader.wrong_in_production(
            &DATABASE_URL,
            "a store that outlives it: sqlite://data/gateway.db?mode=rwc or postgres://user:password@host/database",
        );
    }
    Some(database)
}

/// Reads where sessions are.
pub(super) fn read_session_store(reader: &mut Reader<'_>) -> Option<SessionStore> {
    reader.read(&REDIS_URL, redis)
}

/// Reads the sealing keys. Only development without a store can do without: then nothing outlives the process.
pub(super) fn read_vault_keys(reader: &mut Reader<'_>, environment: Environment) -> Option<Vec<VaultKey>> {
    let keys = reader.read(&VAULT_KEY, vault_keys)?;
    let production = environment == Environment::Production;
    if keys.is_empty() && production {
        reader.wrong_in_production(&VAULT_KEY, format!("a key to seal secrets with; {HOW_TO_MAKE_A_KEY}"));
    } else if keys.is_empty() && reader.value(&DATABASE_URL).is_some() {
        reader
            .wrong(&VAULT_KEY, format!("a store (DATABASE_URL) needs a key to seal secrets with; {HOW_TO_MAKE_A_KEY}"));
    } else if production && keys.contains(&DEVELOPMENT_VAULT_KEY) {
        reader.wrong(&VAULT_KEY, format!("it holds the development key of .env, which is public; {HOW_TO_MAKE_A_KEY}"));
    } else if let Some(nth) = keys.iter().position(is_guessable).filter(|_| production) {
        reader.wrong(
            &VAULT_KEY,
            format!(
                "number {} follows a pattern, so it can be guessed; {HOW_TO_MAKE_A_KEY}. If the store is sealed with it, write \
                 the new key before it and run `GATEWAY_ENV=development gateway keys rotate` first",
                nth + 1
            ),
        );
    }
    Some(keys)
}

fn database(text: &str) -> Result<Database, String> {
    if text.is_empty() {
        return Ok(Database::Memory);
    }
    let good = match text.split_once("://") {
        // Without a file it would forget everything, and look as if it did not.
        Some(("sqlite", file)) => {
            !file.is_empty() && !file.starts_with('?') && !file.contains(":memory:") && !file.contains("mode=memory")
        }
        Some(("postgres" | "postgresql", _)) => Url::parse(text).is_ok_and(|url| url.host().is_some()),
        _ => false,
    };
    good.then(|| Database::Url(text.to_owned())).ok_or_else(|| {
        "sqlite://data/gateway.db?mode=rwc or postgres://user:password@host/database (signs such as / @ # in the password \
         are written %2F %40 %23); unset, the store is in memory"
            .to_owned()
    })
}

fn redis(text: &str) -> Result<SessionStore, String> {
    if text.is_empty() {
        return Ok(SessionStore::Database);
    }
    let is_database = |path: &str| path.is_empty() || path == "/" || path[1..].parse::<u32>().is_ok();
    let good = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host());
    let good = good.filter(|url| is_database(url.path()) && url.query().is_none() && url.fragment().is_none());
    good.map(|_| SessionStore::Redis(text.to_owned())).ok_or_else(|| {
        "redis://:password@host:6379/0 or rediss://… (signs such as / @ # in the password are written %2F %40 %23); unset, \
         sessions are kept with everything else"
            .to_owned()
    })
}

fn vault_keys(text: &str) -> Result<Vec<VaultKey>, String> {
    let rule = |nth: usize| {
        let nth = nth + 1;
        format!("keys of 32 bytes as base64, parted by commas; number {nth} is none: {HOW_TO_MAKE_A_KEY}")
    };
    entries(text).enumerate().map(|(nth, entry)| vault_key(entry).ok_or_else(|| rule(nth))).collect()
}

/// Whether somebody typed the key instead of drawing it: all zero, a byte or a few that repeat, a count up or down, a handful of
/// different bytes. Of keys that were drawn, fewer than one in 10^30 is so.
fn is_guessable(key: &VaultKey) -> bool {
    /// A drawn key has about 30 different bytes; hexadecimal digits written as a key have 14.
    const FEWEST_DIFFERENT_BYTES: usize = 8;
    let VaultKey(bytes) = key;
    let repeats = |period: usize| bytes[period..].iter().eq(&bytes[..bytes.len() - period]);
    let mut steps = bytes.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let first_step = steps.next();
    (1..=bytes.len() / 2).any(repeats)
        || steps.all(|step| Some(step) == first_step)
        || bytes.iter().collect::<HashSet<_>>().len() < FEWEST_DIFFERENT_BYTES
}

fn vault_key(text: &str) -> Option<VaultKey> {
    let bytes = BASE64.decode(text.replace('-', "+").replace('_', "/")).ok()?;
    bytes.try_into().ok().map(VaultKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_file_of_sqlite_or_a_postgres() {
        for text in [
            "sqlite://data/gateway.db",
            "sqlite:///var/gateway.db?mode=rwc",
            "postgres://gateway:p%40ss@db:5432/gateway",
            "postgresql://db/gateway",
        ] {
            assert_eq!(database(text), Ok(Database::Url(text.to_owned())), "{text}");
        }
        for text in [
            "mysql://db/gateway",
            "data/gateway.db",
            "sqlite://",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite://a?mode=memory",
            "sqlite://?mode=rwc",
            "postgres://",
            "postgres://u:p#x@db/gateway",
        ] {
            assert!(database(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_redis_is_a_host_and_perhaps_a_database() {
        assert_eq!(redis(""), Ok(SessionStore::Database));
        for text in [
            "redis://localhost",
            "redis://redis:6379/",
            "redis://:p%40ss@redis:6379/2",
            "rediss://user:pass@redis.example:6380",
            "redis://[::1]:6379",
        ] {
            assert_eq!(redis(text), Ok(SessionStore::Redis(text.to_owned())), "{text}");
        }
        for text in [
            "redis",
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis:///2",
            "redis://h/x",
            "redis://h/-1",
            "redis://h?db=2",
            "rediss://h/#insecure",
            "redis://:p#x@h",
            "redis+unix:///run/redis.sock",
        ] {
            assert!(redis(text).is_err(), "{text}");
        }
        let shown = format!("{:?}", redis("redis://:hidden@redis"));
        assert!(!shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn a_key_is_32_bytes_in_either_alphabet_with_or_without_padding() {
        let key = VaultKey([0xfb; 32]);
        let standard = BASE64.encode(key.0);
        let url_safe = standard.replace('+', "-").replace('/', "_").replace('=', "");
        assert_eq!(vault_keys(&format!("{standard}, {url_safe},")), Ok(vec![key.clone(), key]));
        assert_eq!(vault_keys(""), Ok(vec![]));
    }

    #[test]
    fn a_key_that_follows_a_pattern_can_be_guessed() {
        let counted = |step: u8| std::array::from_fn(|at| u8::try_from(at).unwrap().wrapping_mul(step).wrapping_add(7));
        let repeated = |part: &[u8]| std::array::from_fn(|at| part[at % part.len()]);
        let mut nearly_zero = [0; 32];
        nearly_zero[31] = 1;
        for pattern in [
            [0; 32],
            [0xff; 32],
            *b"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
            nearly_zero,
            counted(1),
            counted(0xff),
            counted(3),
            repeated(b"ab"),
            repeated(b"password"),
            *b"0123456789abcdef0123456789abcdef",
            repeated(b"secret changeme"),
        ] {
            assert!(is_guessable(&VaultKey(pattern)), "{pattern:?}");
        }
        // Hexadecimal digits and text have less in them than they could, and still too much to be tried.
        for good in [
            *b"8c1f0a9d73e6b245c0d9e8f1a2b37465",
            *b"for development only, not secret",
            std::array::from_fn(|at| u8::try_from(at * at % 251).unwrap()),
        ] {
            assert!(!is_guessable(&VaultKey(good)), "{good:?}");
        }
    }

    #[test]
    fn a_bad_key_is_named_by_its_place_alone() {
        let good = BASE64.encode([1; 32]);
        for bad in ["c2hvcnQ=", "not base64!", &BASE64.encode([1; 33])] {
            let said = vault_keys(&format!("{good},{bad}")).unwrap_err();
            assert!(said.contains("number 2 is none") && said.contains("openssl rand -base64 32"), "{said}");
            assert!(!said.contains(bad) && !said.contains(&good), "{said}");
        }
    }
}
