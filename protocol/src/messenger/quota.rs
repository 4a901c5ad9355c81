//! How much one contact can make this disk take (SPEC §9.1): by whatever way it comes, a custodian may be
//! the contact's own.

use std::collections::BTreeMap;

use super::allowance::Allowance;
use crate::id::AccountId;
use crate::limits::{CONTACT_BYTES_RATE, CONTACT_BYTES_UNIT};
use crate::time::Time;

/// What is left to each contact.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    by_contact: BTreeMap<AccountId, Allowance>,
}

impl Quota {
    /// Whether more of a contact's may be opened now.
    pub(crate) fn is_left(&self, now: Time, account: &AccountId) -> bool {
        self.by_contact.get(account).is_none_or(|allowance| allowance.next(now, CONTACT_BYTES_RATE) <= now)
    }

    pub(crate) fn forget(&mut self, account: &AccountId) {
        self.by_contact.remove(account);
    }

    /// So many bytes of a contact's were opened.
    pub(crate) fn take(&mut self, now: Time, account: &AccountId, bytes: usize) {
        let allowance = self.by_contact.entry(*account).or_default();
        for _ in 0..bytes.div_ceil(CONTACT_BYTES_UNIT).max(1) {
            allowance.reserve(now, CONTACT_BYTES_RATE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_used_up_and_comes_back() {
        let (mut quota, account, now) = (Quota::default(), AccountId([1; 32]), Time(1 << 40));
        for left in (0..CONTACT_BYTES_RATE.burst).rev() {
            assert!(quota.is_left(now, &account));
            quota.take(now, &account, if left % 2 == 0 { 0 } else { CONTACT_BYTES_UNIT });
        }
        assert!(!quota.is_left(now, &account) && quota.is_left(now, &AccountId([2; 32])));
        let soon = now.plus(CONTACT_BYTES_RATE.refill_ms);
        assert!(!quota.is_left(soon.minus(1), &account) && quota.is_left(soon, &account));
        quota.take(soon, &account, 2 * CONTACT_BYTES_UNIT);
        assert!(!quota.is_left(soon.plus(CONTACT_BYTES_RATE.refill_ms), &account), "the last went beyond it");
        assert!(quota.is_left(soon.plus(2 * CONTACT_BYTES_RATE.refill_ms), &account));
    }
}
