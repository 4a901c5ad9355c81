//! A time as people and JSON see it: RFC 3339, UTC, milliseconds.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Time};

/// A [`Time`] that reads and writes as `2026-11-24T03:22:25.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub Time);

impl From<Time> for Timestamp {
    fn from(time: Time) -> Timestamp {
        Timestamp(time)
    }
}

/// Civil date of a day number since 1970-01-01 (proleptic Gregorian; H. Hinnant's algorithm).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days.saturating_add(719_468);
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, day)
}

/// Day number of a civil date, if it is one and not before 1970.
fn day_number(year: u64, month: u64, day: u64) -> Option<u64> {
    let y = year.checked_sub(u64::from(month <= 2))?;
    let (era, yoe) = (y / 400, y % 400);
    let mp = (month + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day.checked_sub(1)?;
    let days = (era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.0;
        let (year, month, day) = civil(ms / DAY_MS);
        let (hour, minute) = (ms % DAY_MS / HOUR_MS, ms % HOUR_MS / MINUTE_MS);
        let (second, milli) = (ms % MINUTE_MS / SECOND_MS, ms % SECOND_MS);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// The text is not an RFC 3339 time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time like 2026-11-24T03:22:25Z")]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Timestamp, TimestampError> {
        parse(text).map(|ms| Timestamp(Time(ms))).ok_or(TimestampError)
    }
}

fn parse(text: &str) -> Option<u64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = fields(date, '-', YEAR_DIGITS_MAX)?;
    let (clock, milli) = match clock.split_once('.') {
        None => (clock, 0),
        Some((clock, fraction)) => {
            if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (clock, format!("{fraction:0<3}").get(..3)?.parse().ok()?)
        }
    };
    let [hour, minute, second] = fields(clock, ':', 4)?;
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let of_day = hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + milli;
    day_number(year, month, day)?.checked_mul(DAY_MS)?.checked_add(of_day)
}

/// Three numbers; the first may have as many digits as said, the others four.
fn fields(text: &str, separator: char, first_digits_max: usize) -> Option<[u64; 3]> {
    let mut digits_max = first_digits_max;
    let mut number = |part: &str| {
        let plain = (1..=digits_max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        digits_max = 4;
        plain.then(|| part.parse().ok()).flatten()
    };
    let parts: Option<Vec<u64>> = text.split(separator).map(&mut number).collect();
    parts?.try_into().ok()
}

/// The year of [`Time::MAX`] has nine: whatever is written can be read.
const YEAR_DIGITS_MAX: usize = 9;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time", "description": "RFC 3339 in UTC."})
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_read_and_write_the_same() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_490_545_123, "2026-11-24T03:22:25.123Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "10000-01-01T00:00:00.000Z"),
            (u64::MAX, "584556019-04-03T14:25:51.615Z"),
        ] {
            assert_eq!(Timestamp(Time(ms)).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp(Time(ms))));
        }
        assert_eq!("2026-11-24T03:22:25Z".parse(), Ok(Timestamp(Time(1_795_490_545_000))));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T03:22:25",
            "2026-11-24T03:22:25.Z",
            "1969-12-31T23:59:59Z",
            "é026-11-24T03:22:25Z",
            "584556019-04-03T14:25:51.616Z",
            "999999999-01-01T00:00:00Z",
            "1000000000-01-01T00:00:00Z",
            "2026-00011-24T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text}");
        }
    }

    proptest::proptest! {
        /// Events are kept as JSON: one that was written and cannot be read would be a damaged database.
        #[test]
        fn whatever_is_written_can_be_read(ms in proptest::num::u64::ANY) {
            proptest::prop_assert_eq!(Timestamp(Time(ms)).to_string().parse(), Ok(Timestamp(Time(ms))));
        }
    }
}
