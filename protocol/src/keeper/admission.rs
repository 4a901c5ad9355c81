//! How much may be deposited from where: a budget per network prefix and hour (SPEC §8.6).
//!
//! Deliberately knows nothing of capabilities and stamps yet: until then anybody may deposit, within
//! quotas.

use std::collections::BTreeMap;

use super::Denied;
use crate::limits::{DEPOSIT_BYTES_PER_PREFIX_HOUR_MAX, DEPOSIT_PREFIXES_MAX};
use crate::time::{HOUR_MS, Time};
use crate::wire::frame::Refusal;

/// Bytes deposited this hour, by prefix.
#[derive(Debug, Default)]
pub(super) struct Rates {
    spent: BTreeMap<[u8; 6], Spent>,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    since: Time,
    bytes: u64,
}

impl Rates {
    /// Charges a deposit, or refuses it with the time until the hour is over. Loopback and private
    /// ranges have no prefix and are not charged.
    pub(super) fn charge(&mut self, now: Time, prefix: Option<[u8; 6]>, bytes: u64) -> Result<(), Denied> {
        let Some(prefix) = prefix else { return Ok(()) };
        if !self.spent.contains_key(&prefix) && self.spent.len() >= DEPOSIT_PREFIXES_MAX {
            let oldest = self.spent.iter().min_by_key(|(_, spent)| spent.since).map(|(prefix, _)| *prefix);
            oldest.map(|prefix| self.spent.remove(&prefix));
        }
        let spent = self.spent.entry(prefix).or_insert(Spent { since: now, bytes: 0 });
        if now.since(spent.since) >= HOUR_MS {
            *spent = Spent { since: now, bytes: 0 };
        }
        if spent.bytes.saturating_add(bytes) > DEPOSIT_BYTES_PER_PREFIX_HOUR_MAX {
            let wait = HOUR_MS.saturating_sub(now.since(spent.since));
            return Err(Denied::Refused(Refusal::Rate, wait));
        }
        spent.bytes += bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_may_spend_its_hour_and_not_a_byte_more() {
        let mut rates = Rates::default();
        let prefix = Some([1; 6]);
        let start = Time(5);
        assert!(rates.charge(start, prefix, DEPOSIT_BYTES_PER_PREFIX_HOUR_MAX - 1).is_ok());
        assert!(rates.charge(start, prefix, 1).is_ok());
        let refused = rates.charge(start.plus(HOUR_MS - 1), prefix, 1);
        assert!(matches!(refused, Err(Denied::Refused(Refusal::Rate, 1))));
        assert!(rates.charge(start, Some([2; 6]), 1).is_ok(), "others are not touched");
        assert!(rates.charge(start, None, u64::MAX).is_ok(), "loopback is not counted");
        assert!(rates.charge(start.plus(HOUR_MS), prefix, 1).is_ok(), "a new hour");
    }

    #[test]
    fn the_prefix_counted_longest_ago_is_forgotten_at_the_bound() {
        let mut rates = Rates::default();
        let prefix = |i: usize| {
            u32::try_from(i).unwrap().to_be_bytes()[..]
                .try_into()
                .map(|[a, b, c, d]: [u8; 4]| [0, 0, a, b, c, d])
                .ok()
        };
        for i in 0..=DEPOSIT_PREFIXES_MAX {
            assert!(rates.charge(Time(u64::try_from(i).unwrap()), prefix(i), 1).is_ok());
        }
        assert_eq!(rates.spent.len(), DEPOSIT_PREFIXES_MAX);
        assert!(!rates.spent.contains_key(&prefix(0).unwrap()));
    }
}
