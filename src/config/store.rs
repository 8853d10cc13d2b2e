//! The store, and the keys that seal its secrets.

use std::{collections::HashSet, fmt, iter};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use url::Url;

use super::{
    Environment,
    reading::reader::{Reader, entries},
    variables::{DATABASE_SCHEMA, DATABASE_URL, REDIS_URL, VAULT_KEY},
};

/// `DATABASE_URL`
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// Unset: all data is lost when the process ends.
    Memory,
    /// `sqlite://…` or `postgres://…`
    Url {
        /// Contains the password: never printed.
        url: String,
        /// `DATABASE_SCHEMA`: the schema of the tables in PostgreSQL.
        schema: String,
    },
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "Memory",
            Self::Url { .. } => "Url(…)",
        })
    }
}

/// `REDIS_URL`
#[derive(Clone, PartialEq, Eq)]
pub enum SessionStore {
    /// Unset: sessions are in the main store.
    Database,
    /// `redis://…` or `rediss://…`, with its password: never printed.
    Redis(String),
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "Database",
            Self::Redis(_) => "Redis(…)",
        })
    }
}

/// One key of `VAULT_KEY`: 32 bytes, written as base64. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultKey(pub [u8; 32]);

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKey(…)")
    }
}

/// The key of the committed `.env`. It is public, so it protects nothing: production refuses it.
pub const DEVELOPMENT_VAULT_KEY: VaultKey = VaultKey(*b"for development only, not secret");

const HOW_TO_MAKE_A_KEY: &str = "make one with `openssl rand -base64 32` and keep it safe";

/// Accepts either alphabet, with or without padding: keys come from many generators.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads the address of the store. Production requires a durable one.
pub(super) fn read_database(reader: &mut Reader<'_>, environment: Environment) -> Option<Database> {
    let schema = reader.read(&DATABASE_SCHEMA, schema);
    let url = reader.read(&DATABASE_URL, database)?;
    let database = url.map_or(Some(Database::Memory), |url| Some(Database::Url { url, schema: schema? }))?;
    if database == Database::Memory && environment == Environment::Production {
        reader.wrong_in_production(
            &DATABASE_URL,
            "sqlite://data/gateway.db?mode=rwc or postgres://user:password@host/database",
            "without it all data is lost when the gateway stops",
        );
    }
    Some(database)
}

/// Reads the address of the store for sessions.
pub(super) fn read_session_store(reader: &mut Reader<'_>) -> Option<SessionStore> {
    reader.read(&REDIS_URL, redis)
}

/// Reads the sealing keys. Only development without a durable store needs none: nothing outlives the process.
pub(super) fn read_vault_keys(reader: &mut Reader<'_>, environment: Environment) -> Option<Vec<VaultKey>> {
    let keys = reader.read(&VAULT_KEY, vault_keys)?;
    let production = environment == Environment::Production;
    if keys.is_empty() && production {
        reader.wrong_in_production(&VAULT_KEY, "a key to seal secrets with", HOW_TO_MAKE_A_KEY);
    } else if keys.is_empty() && reader.value(&DATABASE_URL).is_some() {
        let why = format!("with a store (DATABASE_URL): a key to seal secrets with; {HOW_TO_MAKE_A_KEY}");
        reader.required(&VAULT_KEY, why);
    } else if production && keys.contains(&DEVELOPMENT_VAULT_KEY) {
        let rule = format!("must not hold the development key of .env, which is public; {HOW_TO_MAKE_A_KEY}");
        reader.wrong(&VAULT_KEY, rule);
    } else if let Some(nth) = keys.iter().position(is_guessable).filter(|_| production) {
        reader.wrong(
            &VAULT_KEY,
            format!(
                "must hold random keys; key {} is text or follows a pattern, so it can be guessed; {HOW_TO_MAKE_A_KEY}. If the \
                 store is sealed with it, write the new key before it and run `GATEWAY_ENV=development gateway keys rotate` first",
                nth + 1
            ),
        );
    }
    Some(keys)
}

/// A name that needs no quotes in SQL, and that PostgreSQL does not reserve.
fn schema(text: &str) -> Result<String, String> {
    let good = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.starts_with("pg_")
        && text != "information_schema";
    good.then(|| text.to_owned()).ok_or_else(|| {
        "must be the name of a schema, such as gateway; it has 1 to 63 lower-case letters, digits and _, and begins with \
         neither a digit nor pg_"
            .to_owned()
    })
}

/// `None`: in memory.
fn database(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let good = match text.split_once("://") {
        // Without a file it would lose all data, although it looks durable.
        Some(("sqlite", file)) => {
            !file.is_empty() && !file.starts_with('?') && !file.contains(":memory:") && !file.contains("mode=memory")
        }
        Some(("postgres" | "postgresql", _)) => Url::parse(text).is_ok_and(|url| url.host().is_some()),
        _ => false,
    };
    good.then(|| Some(text.to_owned())).ok_or_else(|| {
        "must be sqlite://data/gateway.db?mode=rwc or postgres://user:password@host/database; write / @ # in the password \
         as %2F %40 %23; unset, the store is in memory"
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
        "must be redis://:password@host:6379/0 or rediss://…; write / @ # in the password as %2F %40 %23; unset, sessions \
         are stored with everything else"
            .to_owned()
    })
}

fn vault_keys(text: &str) -> Result<Vec<VaultKey>, String> {
    let rule = |nth: usize| {
        let nth = nth + 1;
        format!("must be keys of 32 bytes as base64, separated by commas; key {nth} is not; {HOW_TO_MAKE_A_KEY}")
    };
    entries(text).enumerate().map(|(nth, entry)| vault_key(entry).ok_or_else(|| rule(nth))).collect()
}

/// Whether the key looks written or counted instead of random: if it is text, or if its bytes, their differences,
/// second differences or third differences have little variety. That is so of repeated bytes, of a key that is half
/// zero or half counted, and of n, n² and n³. The odds that a key of 32 random bytes is refused: 1.8 in 10^10 for its
/// variety (all but a tenth of it for the third differences, of which there are only 29), 1 in 10^11 for being text.
fn is_guessable(VaultKey(bytes): &VaultKey) -> bool {
    /// 32 random bytes have 30 different ones, and fewer than this once in 10^13.
    const FEWEST_DIFFERENT: usize = 18;
    /// The bytes, and their first, second and third differences.
    const ORDERS: usize = 4;
    let steps = |of: &Vec<u8>| Some(of.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect());
    let has_little_variety = |of: Vec<u8>| of.into_iter().collect::<HashSet<_>>().len() < FEWEST_DIFFERENT;
    let is_text = str::from_utf8(bytes).is_ok_and(|text| !text.contains(char::is_control));
    is_text || iter::successors(Some(bytes.to_vec()), steps).take(ORDERS).any(has_little_variety)
}

fn vault_key(text: &str) -> Option<VaultKey> {
    let bytes = BASE64.decode(text.replace('-', "+").replace('_', "/")).ok()?;
    bytes.try_into().ok().map(VaultKey)
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    #[test]
    fn a_database_is_a_file_of_sqlite_or_a_postgres() {
        for text in [
            "sqlite://data/gateway.db",
            "sqlite:///var/gateway.db?mode=rwc",
            "postgres://gateway:p%40ss@db:5432/gateway",
            "postgresql://db/gateway",
        ] {
            assert_eq!(database(text), Ok(Some(text.to_owned())), "{text}");
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
    fn a_schema_needs_no_quotes() {
        for text in ["gateway", "_a1", "public", &"a".repeat(63)] {
            assert_eq!(schema(text).as_deref(), Ok(text));
        }
        for text in
            ["", "1a", "Gateway", "a-b", "a\"b", "a'b", "a b", "é", "pg_x", "information_schema", &"a".repeat(64)]
        {
            assert!(schema(text).unwrap_err().contains("such as gateway"), "{text}");
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
    fn a_key_that_is_text_or_follows_a_pattern_can_be_guessed() {
        let drawn =
            VaultKey(BASE64.decode("dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=").unwrap().try_into().unwrap());
        let counted =
            |rule: fn(u32) -> u32| std::array::from_fn(|at| rule(u32::try_from(at).unwrap()).to_le_bytes()[0]);
        let repeated = |part: &[u8]| std::array::from_fn(|at| part[at % part.len()]);
        let with = |written: fn(usize) -> Option<u8>| std::array::from_fn(|at| written(at).unwrap_or(drawn.0[at]));
        for guessable in [
            [0; 32],
            [0xff; 32],
            counted(|n| n),
            counted(|n| 7 - n.min(7)),
            counted(|n| 255 - 3 * n),
            counted(|n| n * n),
            counted(|n| n * n % 251),
            counted(|n| 5 * n * n + 3 * n + 17),
            counted(|n| n * n * n),
            repeated(b"ab"),
            repeated(b"abcd"),
            repeated(&drawn.0[..16]),
            // Half of it is random.
            with(|at| (at < 16).then_some(0)),
            with(|at| (at >= 16).then_some(0)),
            with(|at| (at % 2 == 0).then_some(0)),
            with(|at| (8..24).contains(&at).then_some(b'x')),
            with(|at| (at < 16).then_some(u8::try_from(at).unwrap())),
            // The key is text.
            *b"correct horse battery staple !!!",
            *b"for development only, not secret",
            *b"8c1f0a9d73e6b245c0d9e8f1a2b37465",
            *b"Zx9#kQ!2vB7$mN4@pL8%rT1^wY6&hJ3*",
            *"우리만 아는 비밀번호 12".as_bytes().first_chunk().unwrap(),
        ] {
            assert!(is_guessable(&VaultKey(guessable)), "{guessable:?}");
        }
        assert!(!is_guessable(&drawn));
    }

    /// Random-looking keys: digests of numbers, so that the test is deterministic.
    #[test]
    fn no_key_that_was_drawn_is_taken_for_another() {
        for n in 0..20_000_u32 {
            assert!(!is_guessable(&VaultKey(sha2::Sha256::digest(n.to_be_bytes()).into())), "{n}");
        }
    }

    #[test]
    fn a_bad_key_is_named_by_its_place_alone() {
        let good = BASE64.encode([1; 32]);
        for bad in ["c2hvcnQ=", "not base64!", &BASE64.encode([1; 33])] {
            let said = vault_keys(&format!("{good},{bad}")).unwrap_err();
            assert!(said.contains("key 2 is not") && said.contains("openssl rand -base64 32"), "{said}");
            assert!(!said.contains(bad) && !said.contains(&good), "{said}");
        }
    }
}
