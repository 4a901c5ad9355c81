//! Durations as people type them: `500ms`, `30s`, `10m`, `24h`, `1d`, `2w`.

use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// Units, largest first.
const UNITS: [(&str, u64); 6] =
    [("w", 7 * DAY_MS), ("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", SECOND_MS), ("ms", 1)];

/// Milliseconds of a text like `90s` or `1d`; one number, one unit.
pub(crate) fn parse_ms(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms);
    let value = number.parse::<u64>().ok().zip(unit_ms).and_then(|(n, ms)| n.checked_mul(ms));
    value.ok_or_else(|| "a duration is a number and a unit: 500ms, 30s, 10m, 24h, 1d, 2w".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_people_type() {
        for (text, ms) in [
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("10m", 600_000),
            ("24h", DAY_MS),
            ("1d", DAY_MS),
            ("2w", 14 * DAY_MS),
        ] {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1.5h", "1 d", "1d2h", "99999999999999999d", "1é"] {
            assert!(parse_ms(text).is_err(), "{text}");
        }
    }
}
