//! The operating system's random bytes.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::ports::Entropy;

/// Randomness of this machine.
#[derive(Default)]
pub struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    #[expect(clippy::panic, reason = "without random bytes every token would be guessable; nothing can be served")]
    fn fill(&self, bytes: &mut [u8]) {
        let Ok(()) = self.0.fill(bytes) else { panic!("the operating system gives no random bytes") };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let entropy: &dyn Entropy = &SystemEntropy::default();
        assert_ne!(entropy.bytes::<32>(), entropy.bytes::<32>());
    }
}
