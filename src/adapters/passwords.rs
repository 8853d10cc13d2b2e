//! Hashes passwords with Argon2id (RFC 9106), each on a thread of its own that gives way to whatever else wants the
//! processor, and no more at once than there are cores.

use std::{
    sync::Arc,
    thread::{self, available_parallelism},
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher as _, PasswordVerifier, phc},
};
use async_trait::async_trait;
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use crate::{
    domain::gateway::{
        models::account::{Password, PasswordHash},
        services::ports::{HashingError, PasswordHasher, Verified},
    },
    ports::Entropy,
};

/// 19 MiB, two passes, one lane: the least that OWASP recommends, some 20 ms of a core. Whoever changes this need not care for
/// what is stored: it says how it was hashed, and is hashed anew when its owner signs in.
const PARAMETERS: Params = match Params::new(19 * 1024, 2, 1, None) {
    Ok(parameters) => parameters,
    Err(_) => Params::DEFAULT,
};

/// Of 128 bits, as RFC 9106 §3.1 recommends.
const SALT_BYTES: usize = 16;

/// How long a password waits for its turn before its owner is told to come back.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Hashes passwords.
pub struct Argon2Passwords {
    turns: Arc<Semaphore>,
    entropy: Arc<dyn Entropy>,
    /// What a password is compared with where there is none: hashed like any other, and like none of them.
    nobodys: PasswordHash,
}

impl Argon2Passwords {
    /// One at a time for each core of this machine.
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let (m, t, p) = (PARAMETERS.m_cost(), PARAMETERS.t_cost(), PARAMETERS.p_cost());
        let nobodys = format!("$argon2id$v=19$m={m},t={t},p={p}${}${}", "A".repeat(22), "A".repeat(43));
        Self { turns: Arc::new(Semaphore::new(cores)), entropy, nobodys: PasswordHash::new(nobodys) }
    }

    /// Does work when its turn has come. It is not begun if nobody waits for it any more by then.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let Ok(Ok(turn)) = timeout(LONGEST_WAIT, self.turns.clone().acquire_owned()).await else {
            return Err(HashingError::Overloaded);
        };
        let (done, outcome) = oneshot::channel();
        let working = thread::Builder::new().name("password".into()).spawn(move || {
            give_way();
            // Nobody may be waiting any more.
            let _ = done.send(work());
            drop(turn);
        });
        working.map_err(|error| HashingError::Broken(error.to_string()))?;
        outcome.await.unwrap_or_else(|_| Err(HashingError::Broken("the thread ended early".into())))
    }
}

#[async_trait]
impl PasswordHasher for Argon2Passwords {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingError> {
        let salt: [u8; SALT_BYTES] = self.entropy.bytes();
        self.in_turn(move || {
            let hashed: phc::PasswordHash =
                argon2().hash_password_with_salt(password.expose().as_bytes(), &salt).map_err(broken)?;
            Ok(PasswordHash::new(hashed.to_string()))
        })
        .await
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<Verified, HashingError> {
        let is_somebodys = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys.clone());
        self.in_turn(move || {
            let stored =
                phc::PasswordHash::new(hash.expose()).map_err(|error| HashingError::Broken(error.to_string()))?;
            match argon2().verify_password(password.expose().as_bytes(), &stored) {
                Ok(()) if is_somebodys => Ok(Verified::Right { outdated: is_outdated(&stored) }),
                Ok(()) | Err(password_hash::Error::PasswordInvalid) => Ok(Verified::Wrong),
                Err(error) => Err(broken(error)),
            }
        })
        .await
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMETERS)
}

/// Its texts name what is wrong with a parameter, and no password.
fn broken(error: password_hash::Error) -> HashingError {
    HashingError::Broken(error.to_string())
}

fn is_outdated(stored: &phc::PasswordHash) -> bool {
    let costs = |of: &Params| (of.m_cost(), of.t_cost(), of.p_cost());
    let is_same_way = stored.algorithm.as_str() == Algorithm::Argon2id.as_str()
        && stored.version == Some(u32::from(Version::V0x13))
        && Params::try_from(stored).is_ok_and(|parameters| costs(&parameters) == costs(&PARAMETERS));
    !is_same_way
}

/// A password takes a core for longer than a hundred requests. This thread has a tenth of the weight of those that serve
/// requests, so with all cores busy it is passwords that get slower. Elsewhere than on Linux a thread has no weight of its own.
#[cfg(target_os = "linux")]
fn give_way() {
    // For Linux this is the thread. That it is refused changes nothing but the weight.
    let _ = rustix::process::setpriority_process(None, 10);
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use std::time::Instant;

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
    async fn what_was_hashed_otherwise_is_still_found_and_is_outdated() {
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
    async fn what_is_no_hash_is_broken() {
        for text in
            ["", "hunter42", "$argon2id$", "$scrypt$ln=16,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"]
        {
            let outcome = passwords().verify(password("hunter42"), Some(PasswordHash::new(text))).await;
            assert!(matches!(outcome, Err(HashingError::Broken(_))), "{text}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_a_turn_is_not_hashed_before_it_comes() {
        let passwords = Arc::new(passwords());
        let cores = u32::try_from(passwords.turns.available_permits()).unwrap();
        let all = passwords.turns.clone().acquire_many_owned(cores).await.unwrap();
        let waiting = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.hash(password("hunter42")).await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished());
        drop(all);
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_too_long_is_told_so() {
        let passwords = passwords();
        passwords.turns.forget_permits(usize::MAX >> 4);
        assert_eq!(passwords.hash(password("hunter42")).await, Err(HashingError::Overloaded));
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn hashing_gives_way_and_nothing_else_does() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        assert!(passwords().in_turn(move || Ok(priority())).await.unwrap() >= 10);
        assert_eq!(priority(), before);
    }
}
