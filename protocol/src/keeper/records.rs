//! Keeping records: signed, replaceable, the highest sequence number wins (SPEC §4.2, §8.3).

use super::custody::day_within;
use super::{Denied, Keeper, Step};
use crate::id::{Address, PeerId};
use crate::limits::{GRACE_MS, RECORD_LIFE_MS_MAX};
use crate::messenger::io::{PeerFacts, PeerFault};
use crate::wire::frame::{Frame, Refusal};
use crate::wire::record::{RecordIn, Slot};

impl Keeper {
    /// Own records are kept whatever the role and quota: an inviter always serves its own invites.
    pub(super) fn on_put_record(
        &mut self,
        step: &mut Step<'_>,
        from: &PeerFacts,
        bytes: &[u8],
    ) -> Result<(), Denied> {
        let record = RecordIn::parse(bytes).map_err(|_| PeerFault::Malformed)?;
        let (address, head) = (record.address(), record.head());
        let own = from.peer == self.config.own_peer;
        if self.config.held_bytes_max == 0 && !own {
            return Err(Refusal::NotACustodian.into());
        }
        if head.slot != Slot::Invite && !day_within(step.now, head.day, 1, 9) {
            return Err(Refusal::WrongDay.into());
        }
        let expired = head.expires.plus(GRACE_MS) < step.now;
        let too_long = head.expires > step.now.plus(RECORD_LIFE_MS_MAX + GRACE_MS);
        if expired || too_long || head.seq > step.now.plus(GRACE_MS).0 {
            return Err(Refusal::BadExpiry.into());
        }
        let slot = head.slot as u8;
        let held = step.store.record_held(&address, slot)?;
        if held.is_some_and(|(seq, _)| seq > head.seq) {
            return Err(Refusal::Older.into());
        }
        if held.is_none_or(|(seq, _)| seq != head.seq) {
            let record = record.verify().map_err(|_| PeerFault::BadSignature)?;
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            // The one that it replaces makes room for it.
            let others = self.totals.bytes.saturating_sub(held.map_or(0, |(_, bytes)| bytes));
            if !own {
                self.rates.charge(step.now, from.prefix, size)?;
                if others.saturating_add(size) > self.config.held_bytes_max {
                    return Err(Denied::Refused(Refusal::Disk, crate::time::HOUR_MS));
                }
            }
            step.store.put_record(
                &address,
                slot,
                head.seq,
                head.expires.plus(GRACE_MS),
                record.as_bytes(),
            )?;
            self.totals.bytes = others.saturating_add(size);
            self.totals.records += u64::from(held.is_none());
        }
        self.send(from.peer, Frame::RecordHeld { address, slot, seq: head.seq });
        Ok(())
    }

    pub(super) fn on_get_records(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        address: Address,
    ) -> Result<(), Denied> {
        let records = step.store.records(&address)?;
        self.send(peer, Frame::Records { address, records });
        Ok(())
    }
}
