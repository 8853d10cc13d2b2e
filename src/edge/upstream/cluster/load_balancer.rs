//! Chooses among the endpoints of a service that get requests. Pure: it knows endpoints by their position alone.

use std::cell::Cell;

/// The positions of the endpoints that get requests.
pub(crate) type Positions = Vec<u32>;

/// The most turns of an endpoint in one round of a weighted round robin: finer weights are rounded.
const MAX_TURNS: u32 = 16;

/// The points of an endpoint of weight 1 on the ring of a consistent hash. With this many, shares differ by about a
/// tenth.
const POINTS: usize = 100;

/// The most points of a ring. It is built again when the list of instances changes.
const MAX_POINTS: usize = 100_000;

/// A fast source of numbers that nobody has to be unable to guess (xorshift64*).
#[derive(Debug)]
pub(crate) struct Dice(Cell<u64>);

impl Dice {
    /// `seed` should differ from core to core.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed | 1))
    }

    /// A number from 0 to just below 1.
    fn fraction(&self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "it has 24 bits")]
        let number = (self.next() >> 8) as f32;
        number / 16_777_216.0
    }

    /// A number below `end`.
    fn below(&self, end: usize) -> usize {
        // Lists are short of 2³² entries by far.
        let product = u64::from(self.next()) * u64::try_from(end).unwrap_or(1);
        usize::try_from(product >> 32).unwrap_or(0)
    }

    fn next(&self) -> u32 {
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        u32::try_from(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32).unwrap_or_default()
    }
}

/// Of two random candidates, the one with the lower load; of equal ones, the first. A list of two is a choice of the
/// better one; a long list needs no look at all of it.
///
/// The first is one of `round`, where a candidate is as often as its weight says: without load, that decides. A cold one
/// is the first only as often as its `warmth` says.
pub(crate) fn least_of_two(
    candidates: &[u32],
    round: &[u32],
    dice: &Dice,
    warmth: impl Fn(u32) -> f32,
    load: impl Fn(u32) -> f32,
) -> Option<u32> {
    if let [only] = candidates {
        return Some(*only);
    }
    let first = *round.get(dice.below(round.len()))?;
    let place = candidates.binary_search(&first).unwrap_or_default();
    let step = 1 + dice.below(candidates.len().checked_sub(1)?);
    let second = candidates[(place + step) % candidates.len()];
    let warmth = warmth(first);
    let is_cold = warmth < 1.0 && dice.fraction() >= warmth;
    let (one, other) = if is_cold { (second, first) } else { (first, second) };
    Some(if load(other) < load(one) { other } else { one })
}

/// The candidate with the lowest load; of several, a random one of `round`, where a candidate is as often as its weight
/// says.
pub(crate) fn least(candidates: &[u32], round: &[u32], dice: &Dice, load: impl Fn(u32) -> f32) -> Option<u32> {
    let first = *round.get(dice.below(round.len()))?;
    let begin = candidates.binary_search(&first).unwrap_or_default();
    let (before, after) = candidates.split_at_checked(begin)?;
    let mut best: Option<(u32, f32)> = None;
    for &candidate in after.iter().chain(before) {
        let its_load = load(candidate);
        if best.is_none_or(|(_, lowest)| its_load < lowest) {
            best = Some((candidate, its_load));
        }
    }
    best.map(|(candidate, _)| candidate)
}

/// The next of `turns`, by the cursor.
pub(crate) fn round_robin(turns: &[u32], cursor: &Cell<usize>) -> Option<u32> {
    let chosen = cursor.get().checked_rem(turns.len())?;
    cursor.set(cursor.get().wrapping_add(1));
    turns.get(chosen).copied()
}

/// One round: each candidate has turns by its weight, spread over the round.
pub(crate) fn turns(candidates: &[u32], weight: impl Fn(u32) -> u16) -> Positions {
    let weights = candidates.iter().map(|&candidate| u32::from(weight(candidate)).max(1));
    let heaviest = weights.clone().max().unwrap_or(1);
    let lightest = weights.clone().min().unwrap_or(1);
    if heaviest == lightest {
        return candidates.to_vec();
    }
    let count = |weight: u32| {
        if lightest * MAX_TURNS >= heaviest && heaviest <= MAX_TURNS {
            weight
        } else {
            (weight * MAX_TURNS).div_ceil(heaviest)
        }
    };
    let mut slots: Vec<(u64, u32)> = Vec::new();
    for (&candidate, weight) in candidates.iter().zip(weights) {
        let count = u64::from(count(weight));
        // In the middle of its part of the round, in millionths of it.
        slots.extend((0..count).map(|turn| ((2 * turn + 1) * 500_000 / count, candidate)));
    }
    slots.sort_unstable();
    slots.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Maps keys to endpoints so that few keys move when an endpoint comes or goes.
#[derive(Debug, Default)]
pub(crate) struct Ring(Vec<(u64, u32)>);

impl Ring {
    /// The ring of endpoints with these identities and weights.
    pub(crate) fn of<'e>(endpoints: impl ExactSizeIterator<Item = (&'e [u8], u16)>) -> Self {
        let most = (MAX_POINTS / endpoints.len().max(1)).max(1);
        let mut points = Vec::new();
        for (position, (identity, weight)) in (0_u32..).zip(endpoints) {
            let count = (POINTS * usize::from(weight.max(1))).min(most);
            let of_endpoint = stable_hash(identity);
            points.extend((0_u64..).take(count).map(|point| (mixed(of_endpoint.wrapping_add(mixed(point))), position)));
        }
        points.sort_unstable();
        Self(points)
    }

    /// The endpoint for a key: the first at or after it that gets requests.
    pub(crate) fn find(&self, key: u64, is_available: impl Fn(u32) -> bool) -> Option<u32> {
        let (before, after) = self.0.split_at(self.0.partition_point(|&(point, _)| point < key));
        let mut refused = Vec::new();
        for &(_, position) in after.iter().chain(before) {
            if refused.contains(&position) {
                continue;
            }
            if is_available(position) {
                return Some(position);
            }
            refused.push(position);
        }
        None
    }
}

/// A hash that is the same on every core and replica, and in every version (FNV-1a, then mixed).
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mixed(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The finalizer of `MurmurHash3`: every bit of the result depends on every bit of the argument.
fn mixed(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn shares(choose: impl Fn() -> Option<u32>) -> HashMap<u32, usize> {
        let mut shares = HashMap::new();
        (0..30_000).for_each(|_| *shares.entry(choose().unwrap()).or_default() += 1);
        shares
    }

    #[test]
    fn of_two_the_one_with_less_load_is_chosen() {
        let dice = Dice::new(7);
        let all = [0, 1, 2];
        let chosen = |load: &dyn Fn(u32) -> f32| shares(|| least_of_two(&all, &all, &dice, |_| 1.0, load));
        let even = chosen(&|_| 1.0);
        assert!(even.values().all(|&share| (9_500..10_500).contains(&share)), "{even:?}");
        let loads = [1.0, 5.0, 2.0];
        let uneven = chosen(&|at| loads[at as usize]);
        assert!(!uneven.contains_key(&1) && (19_000..21_000).contains(&uneven[&0]), "{uneven:?}");
        assert_eq!(least_of_two(&[4], &[4], &dice, |_| 1.0, |_| 0.0), Some(4));
        assert_eq!(least_of_two(&[], &[], &dice, |_| 1.0, |_| 0.0), None);
    }

    #[test]
    fn without_load_weights_and_warmth_decide() {
        let (dice, round) = (Dice::new(7), [3, 3, 5, 3]);
        let by_weight = shares(|| least_of_two(&[3, 5], &round, &dice, |_| 1.0, |_| 0.0));
        assert!((7_000..8_000).contains(&by_weight[&5]), "{by_weight:?}");
        let by_weight = shares(|| least(&[3, 5], &round, &dice, |_| 0.0));
        assert!((7_000..8_000).contains(&by_weight[&5]), "{by_weight:?}");
        let warmth = |at| if at == 5 { 0.1 } else { 1.0 };
        let cold = shares(|| least_of_two(&[3, 5], &[3, 5], &dice, warmth, |_| 0.0));
        assert!((1_000..2_000).contains(&cold[&5]), "{cold:?}");
    }

    #[test]
    fn the_least_load_wins_and_equals_share() {
        let dice = Dice::new(7);
        let loads = [1.0, 0.5, 0.5];
        let found = shares(|| least(&[0, 1, 2], &[0, 1, 2], &dice, |at| loads[at as usize]));
        assert!(!found.contains_key(&0) && found.values().all(|&share| share > 8_000), "{found:?}");
        assert_eq!(least(&[], &[], &dice, |_| 0.0), None);
    }

    #[test]
    fn turns_follow_the_weights_and_are_spread() {
        assert_eq!(turns(&[3, 5], |_| 7), [3, 5]);
        assert_eq!(turns(&[0, 1], |at| if at == 0 { 3 } else { 1 }), [0, 0, 1, 0]);
        let round = turns(&[0, 1], |at| if at == 0 { 1000 } else { 1 });
        assert_eq!((round.len(), round.iter().filter(|&&at| at == 1).count()), (17, 1));
        let cursor = Cell::new(usize::MAX);
        let chosen: Vec<_> = (0..5).filter_map(|_| round_robin(&[7, 8, 9], &cursor)).collect();
        assert_eq!(chosen.len(), 5);
        assert_eq!(round_robin(&[], &cursor), None);
    }

    #[test]
    fn few_keys_move_when_an_endpoint_leaves() {
        let names: Vec<String> = (0..10).map(|number| format!("10.0.0.{number}:80")).collect();
        let ring = |names: &[String]| Ring::of(names.iter().map(|name| (name.as_bytes(), 1)));
        let (all, fewer) = (ring(&names), ring(&names[..9]));
        let keys = (0..10_000_u64).map(|key| stable_hash(&key.to_be_bytes()));
        let mut moved = 0;
        let mut counts = [0_usize; 10];
        for key in keys {
            let (before, after) = (all.find(key, |_| true).unwrap(), fewer.find(key, |_| true).unwrap());
            counts[before as usize] += 1;
            assert_eq!(all.find(key, |at| at != 9), Some(after), "an endpoint that is out has left");
            if before != 9 {
                moved += usize::from(before != after);
            }
        }
        assert_eq!(moved, 0);
        assert!(counts.iter().all(|count| (600..1500).contains(count)), "{counts:?}");
        assert_eq!(all.find(1, |_| false), None);
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(stable_hash(b""), 0xefd0_1f60_ba99_2926);
    }
}
