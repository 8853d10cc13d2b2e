//! Durations (`500ms`, `10s`, `5m`, `12h`, `30d`) and sizes (`512B`, `64KiB`, `10MiB`, `1GiB`): a whole number and its
//! unit. A number without a unit is refused, because its meaning would be unclear.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a duration.
pub(in crate::config) fn duration(text: &str) -> Option<Duration> {
    quantity(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads a size, in bytes.
pub(in crate::config) fn size_bytes(text: &str) -> Option<u64> {
    quantity(text, &SIZE_UNITS)
}

/// Formats a duration as a setting.
pub(in crate::config) fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (unit, factor) = DURATION_UNITS
        .into_iter()
        .find(|(_, factor)| millis >= u128::from(*factor) && millis.is_multiple_of(u128::from(*factor)))
        .unwrap_or(("s", 1000));
    format!("{}{unit}", millis / u128::from(factor))
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        for (text, millis) in
            [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("12h", 43_200_000), ("30d", 2_592_000_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
            assert_eq!(show(Duration::from_millis(millis)), text);
        }
        for text in ["", "10", "s", "-1s", "+1s", "1.5h", "10 s", "10S", "1h30m", "10sec", "18446744073709551615d"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in
            [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("10MiB", 10_485_760), ("1GiB", 1_073_741_824)]
        {
            assert_eq!(size_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "10", "10MB", "10mib", "1.5MiB", "-1B", "99999999999999999999B"] {
            assert_eq!(size_bytes(text), None, "{text}");
        }
    }
}
