//! Detects RSA moduli that are no product of two large primes, as far as cheap checks can (NIST SP 800-89 §5.3.3
//! requires the check when a key is accepted). Primes, cubes and close factors are not detected: that needs arithmetic
//! with large numbers.

use std::ops::Range;

/// NIST SP 800-89 §5.3.3: "no factors smaller than 752".
const SMALL: Range<u32> = 2..752;

/// The 133 primes in this range test whether the modulus is a square.
const WITNESSES: Range<u32> = 752..1700;

/// Whether a number, the most significant byte first, has a factor below 752. Even numbers have.
pub(super) fn has_small_factor(number: &[u8]) -> bool {
    primes(SMALL).any(|prime| remainder(number, prime) == 0)
}

/// Whether a number is a square, like p times p, whose root is easy to compute. A square is one modulo every prime; any
/// other number passes each prime with a chance of one half (Euler's criterion), so one in 2^133 is mistaken for a
/// square.
pub(super) fn is_square(number: &[u8]) -> bool {
    primes(WITNESSES).all(|prime| power(remainder(number, prime), (prime - 1) / 2, prime) <= 1)
}

fn primes(range: Range<u32>) -> impl Iterator<Item = u32> {
    range.filter(|number| {
        (2..*number).take_while(|factor| factor * factor <= *number).all(|factor| number % factor != 0)
    })
}

fn remainder(number: &[u8], divisor: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % divisor)
}

fn power(base: u32, exponent: u32, modulus: u32) -> u32 {
    (0..32).rev().fold(1, |power, bit| {
        let square = power * power % modulus;
        if exponent >> bit & 1 == 1 { square * base % modulus } else { square }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_factors_are_found_up_to_751() {
        for (number, has) in
            [(2_u64, true), (751 * 757, true), (757 * 761, false), (3 * 1_000_003, true), (1_000_003, false)]
        {
            assert_eq!(has_small_factor(&number.to_be_bytes()), has, "{number}");
        }
    }

    #[test]
    fn squares_are_told_from_what_is_beside_them() {
        for root in [1_u64, 1_000_003, 4_294_967_291, 4_294_967_295] {
            let square = u128::from(root) * u128::from(root);
            assert!(is_square(&square.to_be_bytes()), "{root}");
            for other in [square + 2, square * 3, square * 1_000_003] {
                assert!(!is_square(&other.to_be_bytes()), "{other}");
            }
        }
        assert_eq!(primes(WITNESSES).count(), 133);
    }
}
