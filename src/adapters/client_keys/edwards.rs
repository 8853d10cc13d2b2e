//! Tells whether 32 bytes are a point of Ed25519 (RFC 8032 §5.1.3). aws-lc accepts any 32 bytes as a key, and refuses
//! each signature if they are no point: here such a key is refused when it is added.

/// A number modulo p = 2^255 - 19, the least significant limb first; any value below 2^256 stands for its remainder.
type Element = [u64; 4];

const P: Element = [0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff];
const P_MINUS_ONE: Element = [P[0] - 1, P[1], P[2], P[3]];
/// (p - 1) / 2: the exponent of Euler's criterion, which tells squares from other numbers.
const HALF: Element = [0xffff_ffff_ffff_fff6, u64::MAX, u64::MAX, 0x3fff_ffff_ffff_ffff];
const ONE: Element = [1, 0, 0, 0];
/// The `d` of the curve -x² + y² = 1 + d x² y².
const D: Element = [0x75eb_4dca_1359_78a3, 0x0070_0a4d_4141_d8ab, 0x8cc7_4079_7779_e898, 0x5203_6cee_2b6f_fe73];

/// Whether the bytes encode a point: y is below p, and has an x. An x of 0 with its sign set is no valid encoding
/// either; the caller refuses both points with that x, for their small order.
pub(super) fn is_point(encoded: &[u8; 32]) -> bool {
    let mut y = ONE;
    for (limb, bytes) in y.iter_mut().zip(encoded.chunks_exact(8)) {
        *limb = bytes.iter().rev().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
    }
    y[3] &= u64::MAX >> 1;
    if !is_below_p(&y) {
        return false;
    }
    // x² = (y² - 1) / (d y² + 1). The divisor is never 0, and u / v is a square if and only if u v is: they differ by
    // the factor v².
    let y2 = times(&y, &y);
    let product = times(&plus(&y2, &P_MINUS_ONE), &plus(&times(&D, &y2), &ONE));
    let root = power(&product, &HALF);
    root == ONE || root == [0; 4]
}

fn is_below_p(number: &Element) -> bool {
    number.iter().rev().lt(P.iter().rev())
}

fn plus(a: &Element, b: &Element) -> Element {
    let mut sum = [0; 5];
    for at in 0..4 {
        accumulate(&mut sum[at..], u128::from(a[at]) + u128::from(b[at]));
    }
    reduced(&[sum[0], sum[1], sum[2], sum[3], sum[4], 0, 0, 0])
}

fn times(a: &Element, b: &Element) -> Element {
    let mut product = [0; 8];
    for (at, x) in a.iter().enumerate() {
        for (behind, y) in b.iter().enumerate() {
            accumulate(&mut product[at + behind..], u128::from(*x) * u128::from(*y));
        }
    }
    reduced(&product)
}

fn power(base: &Element, exponent: &Element) -> Element {
    (0..256).rev().fold(ONE, |power, bit| {
        let square = times(&power, &power);
        if exponent[bit / 64] >> (bit % 64) & 1 == 1 { times(&square, base) } else { square }
    })
}

/// The remainder modulo p, where 2^256 is 38.
fn reduced(wide: &[u64; 8]) -> Element {
    let mut sum = [wide[0], wide[1], wide[2], wide[3], 0];
    for at in 0..4 {
        accumulate(&mut sum[at..], u128::from(wide[4 + at]) * 38);
    }
    while sum[4] != 0 {
        let over = u128::from(std::mem::take(&mut sum[4]));
        accumulate(&mut sum, over * 38);
    }
    let mut element = [sum[0], sum[1], sum[2], sum[3]];
    while !is_below_p(&element) {
        let mut borrows = false;
        for (limb, p) in element.iter_mut().zip(P) {
            let (less, once) = limb.overflowing_sub(p);
            let (less, twice) = less.overflowing_sub(u64::from(borrows));
            (*limb, borrows) = (less, once || twice);
        }
    }
    element
}

/// Adds to a number; its limbs must have room for the sum.
fn accumulate(limbs: &mut [u64], summand: u128) {
    let mut carry = summand;
    for limb in limbs {
        carry += u128::from(*limb);
        #[expect(clippy::cast_possible_truncation, reason = "the low half; the high half is the carry")]
        let low = carry as u64;
        *limb = low;
        carry >>= 64;
        if carry == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    /// The y below 32 that have an x, computed with Python: those for which (y² - 1)(d y² + 1) is a square.
    const SMALL: [u8; 22] = [0, 1, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 19, 21, 23, 24, 25, 26, 27, 28, 29, 30];

    fn y(first: u8, last: u8) -> [u8; 32] {
        std::array::from_fn(|at| match at {
            0 => first,
            31 => last,
            _ => 0,
        })
    }

    #[test]
    fn the_public_half_of_every_key_is_a_point() {
        for seed in 0..32 {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            let point = pair.public_key().as_ref().try_into().unwrap();
            assert!(is_point(&point), "{seed}");
        }
        // The base point has y = 4/5.
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(is_point(&base));
    }

    #[test]
    fn a_y_without_an_x_is_no_point() {
        let points: Vec<u8> = (0..32).filter(|&first| is_point(&y(first, 0))).collect();
        assert_eq!(points, SMALL);
        let negative: Vec<u8> = (0..32).filter(|&first| is_point(&y(first, 0x80))).collect();
        assert_eq!(negative, SMALL, "the sign is that of x");
    }

    #[test]
    fn a_y_of_p_or_more_is_no_point() {
        for first in 0xed..=0xff {
            for sign in [0x7f, 0xff] {
                let encoded = std::array::from_fn(|at| {
                    if at == 0 {
                        first
                    } else if at == 31 {
                        sign
                    } else {
                        0xff
                    }
                });
                assert!(!is_point(&encoded), "{first:x}");
            }
        }
    }
}
