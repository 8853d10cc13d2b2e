//! Hashes passwords with Argon2id (RFC 9106), on threads of the lowest priority.

mod workers;

use std::{sync::Arc, thread::available_parallelism, time::Duration};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{self, Output, ParamsString, Salt},
};
use async_trait::async_trait;

use self::workers::{Memory, Workers};
use crate::{
    domain::gateway::{
        models::account::{Password, PasswordHash},
        services::ports::{HashingError, PasswordHasher, Verified},
    },
    ports::Entropy,
};

/// 19 MiB, two passes, one lane: the minimum that OWASP recommends, some 20 ms of a core. Safe to change: stored hashes
/// carry their parameters and are rehashed at the next login.
const PARAMETERS: Params = match Params::new(19 * 1024, 2, 1, None) {
    Ok(parameters) => parameters,
    Err(_) => Params::DEFAULT,
};

/// 128 bits, as RFC 9106 §3.1 recommends.
const SALT_BYTES: usize = 16;

/// The most memory that a stored hash may demand, in KiB: a hash that was tampered with must not take the machine's
/// memory.
const LARGEST: u32 = 256 * 1024;

/// How long an idle thread keeps its 19 MiB before it ends.
const STAY: Duration = Duration::from_secs(10);

/// Hashes passwords.
pub struct Argon2Passwords {
    workers: Workers,
    entropy: Arc<dyn Entropy>,
    /// Stands in for the hash where an account has none: verifying takes as long, and always fails.
    dummy_hash: PasswordHash,
}

impl Argon2Passwords {
    /// Hashes one password per core of this machine at a time.
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let (m, t, p) = (PARAMETERS.m_cost(), PARAMETERS.t_cost(), PARAMETERS.p_cost());
        let dummy_hash = format!("$argon2id$v=19$m={m},t={t},p={p}${}${}", "A".repeat(22), "A".repeat(43));
        Self { workers: Workers::new(cores, STAY), entropy, dummy_hash: PasswordHash::new(dummy_hash) }
    }
}

#[async_trait]
impl PasswordHasher for Argon2Passwords {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingError> {
        let salt: [u8; SALT_BYTES] = self.entropy.bytes();
        self.workers
            .run(move |memory| {
                let way =
                    HashParams { algorithm: Algorithm::Argon2id, version: Version::V0x13, parameters: PARAMETERS };
                let output = way.output(&password, &salt, Params::DEFAULT_OUTPUT_LEN, memory)?;
                let hashed = phc::PasswordHash {
                    algorithm: way.algorithm.ident(),
                    version: Some(way.version.into()),
                    params: ParamsString::try_from(&way.parameters).map_err(broken)?,
                    salt: Some(Salt::new(&salt).map_err(broken)?),
                    hash: Some(output),
                };
                Ok(PasswordHash::new(hashed.to_string()))
            })
            .await
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<Verified, HashingError> {
        let is_somebodys = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy_hash.clone());
        self.workers
            .run(move |memory| {
                let stored = phc::PasswordHash::new(hash.expose()).map_err(broken)?;
                let way = HashParams::of(&stored)?;
                let (Some(salt), Some(wanted)) = (stored.salt, stored.hash) else {
                    return Err(broken("it has no salt or no hash"));
                };
                let output = way.output(&password, &salt, wanted.len(), memory)?;
                // `Output` compares in constant time.
                let is_right = output == wanted && is_somebodys;
                Ok(if is_right { Verified::Right { outdated: way.is_outdated() } } else { Verified::Wrong })
            })
            .await
    }
}

/// The algorithm and its parameters.
struct HashParams {
    algorithm: Algorithm,
    version: Version,
    parameters: Params,
}

impl HashParams {
    /// The parameters that a stored hash names.
    fn of(stored: &phc::PasswordHash) -> Result<Self, HashingError> {
        let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(broken)?;
        let version = stored.version.map_or(Ok(Version::default()), Version::try_from).map_err(broken)?;
        let parameters = Params::try_from(stored).map_err(broken)?;
        if parameters.m_cost() > LARGEST {
            return Err(broken("it requires too much memory"));
        }
        Ok(Self { algorithm, version, parameters })
    }

    fn output(
        &self,
        password: &Password,
        salt: &[u8],
        length: usize,
        memory: &mut Memory,
    ) -> Result<Output, HashingError> {
        memory.resize(memory.len().max(self.parameters.block_count()), Block::new());
        let mut bytes = [0; Output::MAX_LENGTH];
        let bytes = bytes.get_mut(..length).ok_or_else(|| broken("it is too long"))?;
        Argon2::new(self.algorithm, self.version, self.parameters.clone())
            .hash_password_into_with_memory(password.expose().as_bytes(), salt, bytes, &mut memory[..])
            .map_err(broken)?;
        Output::new(bytes).map_err(broken)
    }

    fn is_outdated(&self) -> bool {
        let costs = |of: &Params| (of.m_cost(), of.t_cost(), of.p_cost());
        self.algorithm != Algorithm::Argon2id
            || self.version != Version::V0x13
            || costs(&self.parameters) != costs(&PARAMETERS)
    }
}

/// The texts say what is invalid about a hash or a parameter, and contain no password.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it by value")]
fn broken(error: impl ToString) -> HashingError {
    HashingError::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use argon2::password_hash::{PasswordHasher as _, PasswordVerifier};

    use super::*;
    use crate::adapters::entropy::SystemEntropy;

    fn passwords() -> Argon2Passwords {
        Argon2Passwords::new(Arc::new(SystemEntropy::default()))
    }

    fn password(text: &str) -> Password {
        Password::presented(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_hashed_with_argon2id_and_found_again() {
        let passwords = passwords();
        let [hash, other] = [passwords.hash(password("hunter42")).await, passwords.hash(password("hunter42")).await];
        let (hash, other) = (hash.unwrap(), other.unwrap());
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        assert_ne!(hash, other, "each has a salt of its own");
        for (text, expected) in [
            ("hunter42", Verified::Right { outdated: false }),
            ("Hunter42", Verified::Wrong),
            ("hunter42 ", Verified::Wrong),
            ("", Verified::Wrong),
        ] {
            assert_eq!(passwords.verify(password(text), Some(hash.clone())).await, Ok(expected), "{text}");
        }
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_verifies_and_is_outdated() {
        let passwords = passwords();
        for (algorithm, parameters) in [
            (Algorithm::Argon2id, Params::new(8, 1, 1, None).unwrap()),
            (Algorithm::Argon2i, PARAMETERS),
            (Algorithm::Argon2id, Params::new(19 * 1024, 3, 1, None).unwrap()),
        ] {
            let hashed: phc::PasswordHash = Argon2::new(algorithm, Version::V0x13, parameters)
                .hash_password_with_salt(b"hunter42", &[7; 16])
                .unwrap();
            let hash = PasswordHash::new(hashed.to_string());
            let outcome = passwords.verify(password("hunter42"), Some(hash.clone())).await;
            assert_eq!(outcome, Ok(Verified::Right { outdated: true }), "{}", hash.expose());
            assert_eq!(passwords.verify(password("hunter43"), Some(hash)).await, Ok(Verified::Wrong));
        }
    }

    #[tokio::test]
    async fn without_a_hash_every_password_is_wrong_and_costs_as_much() {
        let passwords = passwords();
        let hash = passwords.hash(password("hunter42")).await.unwrap();
        let mut spent = [Duration::ZERO; 2];
        for _ in 0..5 {
            for (spent, hash) in spent.iter_mut().zip([Some(hash.clone()), None]) {
                let begun = Instant::now();
                assert_eq!(passwords.verify(password("hunter43"), hash).await, Ok(Verified::Wrong));
                *spent += begun.elapsed();
            }
        }
        assert!(spent[1] * 3 > spent[0], "{spent:?}");
    }

    #[tokio::test]
    async fn an_invalid_hash_is_broken() {
        for text in [
            "",
            "hunter42",
            "$argon2id$",
            "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=4000000000,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            "$scrypt$ln=16,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let outcome = passwords().verify(password("hunter42"), Some(PasswordHash::new(text))).await;
            assert!(matches!(outcome, Err(HashingError::Broken(_))), "{text}: {outcome:?}");
        }
    }

    /// The library's own function, which allocates its memory for each hash.
    #[tokio::test]
    async fn it_is_as_the_library_hashes_whatever_was_in_the_memory_before() {
        let passwords = passwords();
        for text in ["hunter42", "another", "", "비밀번호"] {
            let hash = passwords.hash(password(text)).await.unwrap();
            let parsed = phc::PasswordHash::new(hash.expose()).unwrap();
            Argon2::default().verify_password(text.as_bytes(), &parsed).unwrap();
            let theirs: phc::PasswordHash =
                Argon2::default().hash_password_with_salt(text.as_bytes(), &parsed.salt.unwrap()).unwrap();
            assert_eq!(theirs.to_string(), hash.expose(), "{text}");
        }
    }
}
