//! Publishing one's own records: manifest and bundle for today and a week ahead, whereabouts, invites
//! (SPEC §4.2, §8.5).
//!
//! A record is made once, written, and placed at the custodians of its address until each said that
//! it is synced; a region that changed gets it again. One's own Keeper always has all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::rows::{self, PrekeyRow, Record};
use super::store::Table;
use super::timers::Timer;
use super::{Messenger, Query, Step};
use crate::blind::{AddressSigner, BlindedSigner};
use crate::id::{AccountId, Address, InviteToken, PeerId};
use crate::limits::{BUNDLE_MS, GRACE_MS, PUBLISH_DAYS_AHEAD, PUT_MS, REPLICAS, RETRY_MS_MAX};
use crate::store::StoreError;
use crate::time::{DAY_MS, Day, Time};
use crate::wire::codec;
use crate::wire::frame::Frame;
use crate::wire::record::{RecordHead, Slot, seal_record};

/// Where and until when a record stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) slot: Slot,
    pub(crate) day: Day,
    pub(crate) expires: Time,
}

/// What a record's content is sealed under.
#[derive(Clone, Debug)]
pub(crate) enum Root {
    /// Anybody who knows the account.
    Account(AccountId),
    /// Contacts.
    Secret([u8; 32]),
    /// The holder of a ticket.
    Token(InviteToken),
}

impl Root {
    fn bytes(&self) -> &[u8] {
        match self {
            Root::Account(account) => &account.0,
            Root::Secret(secret) => secret,
            Root::Token(token) => &token.0,
        }
    }
}

/// A record of ours, as it is on disk.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RecordRow {
    pub(crate) address: Address,
    pub(crate) slot: u8,
    pub(crate) day: Day,
    pub(crate) seq: u64,
    pub(crate) expires: Time,
    pub(crate) bytes: Vec<u8>,
    /// Hash of the content: the same content is not sealed again.
    pub(crate) content: [u8; 32],
}

impl Record for RecordRow {
    const TABLE: Table = Table::Records;
    fn key(&self) -> Vec<u8> {
        record_key(&self.address, self.slot)
    }
}

fn record_key(address: &Address, slot: u8) -> Vec<u8> {
    [address.0.as_slice(), &[slot]].concat()
}

/// Where our records have got to.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    records: BTreeMap<(Address, u8), Published>,
}

struct Published {
    seq: u64,
    expires: Time,
    bytes: Vec<u8>,
    synced: BTreeSet<PeerId>,
    put: BTreeMap<PeerId, Put>,
}

/// A record put to a custodian that has not said that it is synced.
#[derive(Clone, Copy, Debug)]
struct Put {
    times: u32,
    again_at: Time,
}

impl core::fmt::Debug for Published {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Published(seq {}, {} synced)", self.seq, self.synced.len())
    }
}

impl Publishing {
    pub(crate) fn on_record_held(&mut self, peer: PeerId, address: Address, slot: u8, seq: u64) {
        if let Some(record) = self.records.get_mut(&(address, slot))
            && record.seq == seq
            && record.put.remove(&peer).is_some()
        {
            record.synced.insert(peer);
        }
    }

    /// A custodian does not take it: it is asked again as rarely as possible.
    pub(crate) fn on_record_refused(&mut self, now: Time, peer: &PeerId, address: Address, slot: u8) {
        let put = self.records.get_mut(&(address, slot)).and_then(|record| record.put.get_mut(peer));
        if let Some(put) = put {
            put.again_at = now.plus(RETRY_MS_MAX);
        }
    }

    /// What was put over a connection that ended may not have arrived.
    pub(crate) fn on_peer_down(&mut self, peer: &PeerId) {
        self.records.values_mut().for_each(|record| {
            record.put.remove(peer);
        });
    }
}

impl Messenger {
    /// Reads the records of earlier runs: called once a day and at start.
    pub(crate) fn load_records(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        for row in rows::scan::<RecordRow>(step.store)? {
            // What a clock that was ahead numbered, custodians have refused: it must not be a predecessor.
            let refused = row.seq > step.now.plus(GRACE_MS).0;
            if row.expires < step.now || refused {
                rows::remove::<RecordRow>(step.store, &row.key())?;
                self.publishing.records.remove(&(row.address, row.slot));
            } else {
                self.publishing.records.entry((row.address, row.slot)).or_insert(Published {
                    seq: row.seq,
                    expires: row.expires,
                    bytes: row.bytes,
                    synced: BTreeSet::new(),
                    put: BTreeMap::new(),
                });
            }
        }
        Ok(())
    }

    /// Makes the records of today and the days ahead that are missing or outdated.
    pub(crate) fn make_records(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let bundle = self.current_bundle(step)?;
        let manifest = self.me.manifest.as_bytes().to_vec();
        let (account, today) = (self.me.id(), self.me.id().day(step.now));
        for ahead in 0..=i32::try_from(PUBLISH_DAYS_AHEAD).unwrap_or(7) {
            let day = today.offset(ahead);
            let signer = BlindedSigner::request(&self.me.account, day);
            let expires = step.now.plus(u64::try_from(ahead + 2).unwrap_or(2) * DAY_MS);
            for (slot, content) in [(Slot::Manifest, &manifest), (Slot::Bundle, &bundle)] {
                self.put_record(
                    step,
                    &signer,
                    Place { slot, day, expires },
                    &Root::Account(account),
                    content,
                )?;
            }
        }
        self.make_whereabouts(step)?;
        self.timers.set(step.now, Timer::Publish);
        Ok(())
    }

    /// The whereabouts record, for contacts, of yesterday's to tomorrow's address.
    pub(crate) fn make_whereabouts(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        if self.me.addresses.is_empty() {
            return Ok(());
        }
        let mut told = self.me.whereabouts(step.now, self.config.own_peer);
        // Rounded to the day, so that the content only changes with the addresses or the day.
        told.valid_until = Time((step.now.0 / DAY_MS + 2) * DAY_MS);
        let content = codec::encode(&told);
        let today = self.me.id().day(step.now);
        let root = Root::Secret(self.me.mailbox.public().secret);
        for ahead in [0, 1] {
            let day = today.offset(ahead);
            let signer = BlindedSigner::whereabouts(&self.me.mailbox, day);
            let place = Place { slot: Slot::Whereabouts, day, expires: told.valid_until };
            self.put_record(step, &signer, place, &root, &content)?;
        }
        Ok(())
    }

    /// The public bundle: a new one every day.
    fn current_bundle(&mut self, step: &mut Step<'_>) -> Result<Vec<u8>, StoreError> {
        let rows = rows::scan::<PrekeyRow>(step.store)?;
        // One made by a clock that was ahead is valid for nobody yet.
        let usable = rows.into_iter().filter(|row| !row.invite && row.made_at <= step.now);
        let newest = usable.max_by_key(|row| row.made_at);
        match newest {
            Some(row) if step.now.since(row.made_at) < DAY_MS => Ok(row.bundle),
            Some(_) | None => {
                let bundle = self.make_bundle(step, step.now.plus(BUNDLE_MS), false)?;
                Ok(bundle.as_bytes().to_vec())
            }
        }
    }

    /// Seals, signs and writes a record if its content is new, to be placed by [`Timer::Publish`].
    pub(crate) fn put_record(
        &mut self,
        step: &mut Step<'_>,
        signer: &dyn AddressSigner,
        place: Place,
        root: &Root,
        content: &[u8],
    ) -> Result<(), StoreError> {
        let (address, slot) = (signer.address(), place.slot as u8);
        let before: Option<RecordRow> = rows::load(step.store, &record_key(&address, slot))?;
        let hash = crate::id::sha256(&[content]);
        if before.as_ref().is_some_and(|row| row.content == hash && row.expires >= step.now) {
            return Ok(());
        }
        let seq = before.map_or(0, |row| row.seq + 1).max(step.now.0);
        let head = RecordHead { slot: place.slot, day: place.day, seq, expires: place.expires };
        let Ok(bytes) = seal_record(signer, &head, root.bytes(), content, step.rng) else { return Ok(()) };
        let row = RecordRow {
            address,
            slot,
            day: place.day,
            seq,
            expires: place.expires,
            bytes: bytes.clone(),
            content: hash,
        };
        rows::save(step.store, &row)?;
        let published =
            Published { seq, expires: place.expires, bytes, synced: BTreeSet::new(), put: BTreeMap::new() };
        self.publishing.records.insert((address, slot), published);
        self.timers.set(step.now, Timer::Publish);
        Ok(())
    }

    /// Looks up where each record belongs.
    pub(crate) fn publish(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let live = self.publishing.records.iter().filter(|(_, record)| record.expires >= step.now);
        let addresses: BTreeSet<Address> = live.map(|((address, _), _)| *address).collect();
        for address in addresses {
            self.ask_custodians(Query::Publish(address), address);
        }
        Ok(())
    }

    pub(crate) fn on_publish_region(
        &mut self,
        step: &mut Step<'_>,
        address: &Address,
        custodians: &[PeerId],
    ) {
        let own = self.config.own_peer;
        let in_region = custodians.contains(&own);
        let others = custodians.iter().copied().filter(|peer| *peer != own).take(REPLICAS);
        let targets: Vec<PeerId> =
            core::iter::once(own).chain(others).filter(|peer| self.peers.contains_key(peer)).collect();
        let mut again: Option<Time> = None;
        for ((_, slot), record) in self.publishing.records.range_mut((*address, 0)..=(*address, u8::MAX)) {
            // Anybody who knows the account can ask for these: outside of its region the own Keeper
            // would tell them whose it is.
            let public = [Slot::Manifest as u8, Slot::Bundle as u8].contains(slot);
            for peer in targets.iter().filter(|peer| **peer != own || in_region || !public) {
                let before = record.put.get(peer).copied();
                if record.synced.contains(peer) || before.is_some_and(|put| put.again_at > step.now) {
                    continue;
                }
                let times = before.map_or(0, |put| put.times.saturating_add(1));
                let pause = PUT_MS.checked_shl(times).unwrap_or(RETRY_MS_MAX).min(RETRY_MS_MAX);
                let again_at = step.now.plus(pause);
                record.put.insert(*peer, Put { times, again_at });
                again = Some(again.map_or(again_at, |at| at.min(again_at)));
                let frame = Frame::PutRecord { record: record.bytes.clone() };
                self.outputs.push_back(super::Output::Send(*peer, frame));
            }
        }
        if let Some(at) = again {
            self.timers.set(at, Timer::Publish);
        }
    }
}
