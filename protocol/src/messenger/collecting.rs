//! Collecting one's own mail: which mailboxes, which custodians, which bodies (SPEC §8.4).
//!
//! Ids from every region member, bodies once from the first, live pushes from the nearest. What was
//! opened is tombstoned at the end of the step, so after its commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::io::{Output, PeerFault};
use super::receiving::Outcome;
use super::timers::Timer;
use super::unopened::{Sealed, Unopened};
use super::{Messenger, Query, Step};
use crate::blind::{AddressSigner, BlindedSigner};
use crate::id::{Address, EnvelopeId, PeerId, SessionId};
use crate::limits::{
    BODY_MS, COLLECT_DAYS_MAX, IDS_PER_CLAIM_MAX, POLL_MS, REGION_EXTRA_MAX, REPLICAS, SEEN_ENVELOPES_MAX,
    SUBSCRIBED, WANTED_PER_PEER_MAX,
};
use crate::store::StoreError;
use crate::time::{Day, MINUTE_MS, Time};
use crate::wire::claim;
use crate::wire::envelope::{Envelope, unmask};
use crate::wire::frame::{Claim, Frame, Tombstone};

/// How long a region member that could not be reached is left alone.
const CUSTODIAN_DIAL_MS: u64 = MINUTE_MS;

/// All of collecting.
#[derive(Debug, Default)]
pub(crate) struct Collecting {
    mailboxes: BTreeMap<Address, Mailbox>,
    seen: Seen,
    wanted: BTreeMap<EnvelopeId, Wanted>,
    unopened: Unopened,
    tombstones: BTreeMap<(Address, Day), Vec<EnvelopeId>>,
    /// A message was opened: what could not be opened before may be now.
    pub(crate) progress: bool,
    /// When another custodian last listed a mailbox to its end.
    pub(crate) last_listed: Option<Time>,
    /// Region members without a connection, and when they were last dialed for their ids.
    dialed: BTreeMap<PeerId, Time>,
}

/// One of our mailboxes: one address, one day.
struct Mailbox {
    day: Day,
    kind: Kind,
    signer: BlindedSigner,
    mask: [u8; 32],
    region: Vec<PeerId>,
    /// Custodians that were asked on their present connection.
    asked: BTreeMap<PeerId, Asked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// First messages, from anybody.
    Request,
    /// From contacts.
    Contact,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    live: bool,
    cursor: u64,
}

impl core::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Mailbox({:?} {:?} of {})", self.kind, self.day, self.region.len())
    }
}

/// A body that was asked for.
#[derive(Debug)]
struct Wanted {
    address: Address,
    from: PeerId,
    /// Who listed it first: each custodian has a share of the table.
    told_by: PeerId,
    others: VecDeque<PeerId>,
}

/// Envelopes dealt with, bounded: the oldest are forgotten.
#[derive(Debug, Default)]
struct Seen {
    set: BTreeSet<EnvelopeId>,
    order: VecDeque<EnvelopeId>,
}

impl Seen {
    fn insert(&mut self, id: EnvelopeId) {
        if self.set.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > SEEN_ENVELOPES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }
}

impl Collecting {
    /// A connection ended: its challenge is gone, so are its subscriptions; bodies asked of it are
    /// asked of others when their timer fires.
    pub(crate) fn on_peer_down(&mut self, peer: &PeerId) {
        for mailbox in self.mailboxes.values_mut() {
            mailbox.asked.remove(peer);
        }
    }

    /// Something of a mailbox was listed and could not be had or opened: the next poll lists all of it.
    fn list_anew(&mut self, address: &Address) {
        if let Some(mailbox) = self.mailboxes.get_mut(address) {
            mailbox.asked.values_mut().for_each(|asked| asked.cursor = 0);
        }
    }

    fn is_dealt_with(&self, id: &EnvelopeId) -> bool {
        self.seen.set.contains(id) || self.unopened.contains(id)
    }
}

impl Messenger {
    /// The mailboxes of the days in tolerance, and of the days that were missed.
    pub(crate) fn open_mailboxes(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let today = self.me.id().day(step.now);
        let missed_from = today.offset(-i32::try_from(COLLECT_DAYS_MAX).unwrap_or(30));
        let from = self.me.row.collected.offset(-1).clamp(missed_from, today.offset(-1));
        let mut open = BTreeMap::new();
        let mut day = from;
        while day <= today.offset(1) {
            let signers = [
                (Kind::Request, BlindedSigner::request(&self.me.account, day), self.me.id().0),
                (
                    Kind::Contact,
                    BlindedSigner::contact(&self.me.mailbox, day),
                    self.me.mailbox.public().secret,
                ),
            ];
            for (kind, signer, mask) in signers {
                let address = signer.address();
                let mailbox = self.collecting.mailboxes.remove(&address).unwrap_or_else(|| Mailbox {
                    day,
                    kind,
                    signer,
                    mask,
                    region: Vec::new(),
                    asked: BTreeMap::new(),
                });
                open.insert(address, mailbox);
            }
            day = day.offset(1);
        }
        self.collecting.mailboxes = open;
        self.look_up_regions(step);
        Ok(())
    }

    /// Asks who keeps each of our mailboxes and records, after peers came or went.
    pub(crate) fn look_up_regions(&mut self, step: &Step<'_>) {
        let addresses: Vec<Address> = self.collecting.mailboxes.keys().copied().collect();
        for address in addresses {
            self.ask_custodians(Query::Mailbox(address), address);
        }
        self.timers.set(step.now, Timer::Publish);
    }

    pub(crate) fn on_mailbox_region(
        &mut self,
        step: &mut Step<'_>,
        address: &Address,
        custodians: Vec<PeerId>,
    ) {
        let Some(mailbox) = self.collecting.mailboxes.get_mut(address) else { return };
        // Our own Keeper is always asked: first messages of newcomers are left there.
        let own = self.config.own_peer;
        let mut region = custodians;
        if !region.contains(&own) {
            region.push(own);
        }
        mailbox.region = region;
        self.subscribe(step, address, false);
    }

    /// Asks the members of a mailbox's region that have not been asked on their present connection;
    /// all of them when polling.
    fn subscribe(&mut self, step: &Step<'_>, address: &Address, poll: bool) {
        let Some(mailbox) = self.collecting.mailboxes.get_mut(address) else { return };
        let mut live = mailbox.asked.values().filter(|asked| asked.live).count();
        let (mut frames, mut unconnected) = (Vec::new(), Vec::new());
        for peer in &mailbox.region {
            let Some(facts) = self.peers.get(peer) else {
                unconnected.push(*peer);
                continue;
            };
            let known = mailbox.asked.get(peer).copied();
            let go_live =
                (live < SUBSCRIBED || *peer == self.config.own_peer) && !known.is_some_and(|a| a.live);
            if known.is_some() && !poll && !go_live {
                continue;
            }
            live += usize::from(go_live);
            let cursor = known.map_or(0, |asked| asked.cursor);
            let is_live = go_live || known.is_some_and(|asked| asked.live);
            mailbox.asked.insert(*peer, Asked { live: is_live, cursor });
            let claim = mailbox.sign(*peer, facts.their_challenge, *address, cursor, None);
            frames.push((*peer, Frame::Subscribe { claim, live: is_live, digest: Vec::new() }));
        }
        for (peer, frame) in frames {
            self.send(peer, frame);
        }
        for peer in unconnected {
            self.dial_custodian(step, peer);
        }
    }

    /// A claim needs the challenge of a connection: members without one are dialed, now and then, and
    /// asked when they are up.
    fn dial_custodian(&mut self, step: &Step<'_>, peer: PeerId) {
        let dialed = &mut self.collecting.dialed;
        dialed.retain(|_, at| step.now.since(*at) < CUSTODIAN_DIAL_MS);
        if let std::collections::btree_map::Entry::Vacant(entry) = dialed.entry(peer) {
            entry.insert(step.now);
            self.outputs.push_back(Output::Connect(peer, Vec::new()));
        }
    }

    pub(crate) fn poll_mailboxes(&mut self, step: &Step<'_>) {
        let addresses: Vec<Address> = self.collecting.mailboxes.keys().copied().collect();
        for address in addresses {
            self.subscribe(step, &address, true);
        }
        self.timers.set(step.now.plus(POLL_MS), Timer::Poll);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one frame")]
    pub(crate) fn on_have(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        address: Address,
        ids: Vec<EnvelopeId>,
        cursor: u64,
        more: bool,
        holder: Option<PeerId>,
    ) {
        let Some(mailbox) = self.collecting.mailboxes.get_mut(&address) else { return };
        // Only who was asked is answered: a claim to a stranger would tell it whose peer this is.
        let Some(asked) = mailbox.asked.get_mut(&peer) else { return };
        let from = holder.unwrap_or(peer);
        if holder.is_none() {
            let advanced = cursor > asked.cursor;
            asked.cursor = asked.cursor.max(cursor);
            // A custodian that claims more without going on would be asked for ever.
            if more && advanced {
                self.ask_on(&address, peer);
            } else if peer != self.config.own_peer {
                self.collecting.last_listed = Some(step.now);
            }
        } else if !mailbox.region.contains(&from) {
            return;
        }
        let share = self.collecting.wanted.values().filter(|wanted| wanted.told_by == peer).count();
        let mut room = WANTED_PER_PEER_MAX.saturating_sub(share);
        let (mut ask, mut surplus) = (Vec::new(), false);
        for id in ids {
            if self.collecting.is_dealt_with(&id) {
                continue;
            }
            match self.collecting.wanted.get_mut(&id) {
                Some(wanted) if wanted.from == from || wanted.others.contains(&from) => {}
                Some(wanted) if wanted.others.len() < REPLICAS + REGION_EXTRA_MAX => {
                    wanted.others.push_back(from);
                }
                Some(_) => {}
                None if room > 0 => {
                    room -= 1;
                    let wanted = Wanted { address, from, told_by: peer, others: VecDeque::new() };
                    self.collecting.wanted.insert(id, wanted);
                    ask.push(id);
                }
                None => surplus = true,
            }
        }
        if surplus {
            self.collecting.list_anew(&address);
        }
        self.get(step, &address, from, &ask);
    }

    fn ask_on(&mut self, address: &Address, peer: PeerId) {
        let (Some(mailbox), Some(facts)) = (self.collecting.mailboxes.get(address), self.peers.get(&peer))
        else {
            return;
        };
        let asked = mailbox.asked.get(&peer).copied().unwrap_or(Asked { live: false, cursor: 0 });
        let claim = mailbox.sign(peer, facts.their_challenge, *address, asked.cursor, None);
        self.send(peer, Frame::Subscribe { claim, live: asked.live, digest: Vec::new() });
    }

    fn get(&mut self, step: &Step<'_>, address: &Address, from: PeerId, ids: &[EnvelopeId]) {
        let Some(mailbox) = self.collecting.mailboxes.get(address) else { return };
        let Some(facts) = self.peers.get(&from) else {
            ids.iter().for_each(|id| self.timers.set(step.now.plus(BODY_MS), Timer::Body(*id)));
            return;
        };
        let (mut frames, mut sorted) = (Vec::new(), ids.to_vec());
        sorted.sort_unstable();
        for ids in sorted.chunks(IDS_PER_CLAIM_MAX) {
            let claim = mailbox.sign(from, facts.their_challenge, *address, 0, Some(ids));
            frames.push(Frame::Get { claim, ids: ids.to_vec() });
        }
        for frame in frames {
            self.outputs.push_back(Output::Send(from, frame));
        }
        ids.iter().for_each(|id| self.timers.set(step.now.plus(BODY_MS), Timer::Body(*id)));
    }

    /// A body has not come: ask the next holder, or forget it until it is told of again.
    pub(crate) fn on_body_timer(&mut self, step: &Step<'_>, id: EnvelopeId) {
        let Some(wanted) = self.collecting.wanted.get_mut(&id) else { return };
        match wanted.others.pop_front() {
            Some(next) => {
                wanted.from = next;
                let address = wanted.address;
                self.get(step, &address, next, &[id]);
            }
            None => {
                let address = wanted.address;
                self.collecting.wanted.remove(&id);
                self.collecting.list_anew(&address);
            }
        }
    }

    pub(crate) fn on_missing(&mut self, step: &Step<'_>, peer: PeerId, ids: &[EnvelopeId]) {
        for id in ids {
            if self.collecting.wanted.get(id).is_some_and(|wanted| wanted.from == peer) {
                self.on_body_timer(step, *id);
            }
        }
    }

    pub(crate) fn on_push(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let Ok(envelope) = Envelope::parse(bytes) else {
            self.outputs.push_back(Output::Misbehaved(peer, PeerFault::Malformed));
            return Ok(());
        };
        let (address, id) = (envelope.address, envelope.id());
        let Some(mailbox) = self.collecting.mailboxes.get(&address) else { return Ok(()) };
        let wanted_of = self.collecting.wanted.get(&id).map(|wanted| wanted.from);
        if !mailbox.asked.contains_key(&peer) && wanted_of != Some(peer) {
            return Ok(());
        }
        if self.collecting.is_dealt_with(&id) {
            return Ok(());
        }
        let inner = unmask(&mailbox.mask, &envelope);
        self.collecting.wanted.remove(&id);
        let sealed = Sealed { address, id, inner, from: peer, tried: false };
        if self.on_sealed_mail(step, sealed)? == Outcome::Opened {
            self.open_the_unopened(step)?;
        }
        Ok(())
    }

    fn on_sealed_mail(&mut self, step: &mut Step<'_>, sealed: Sealed) -> Result<Outcome, StoreError> {
        let (address, id, from) = (sealed.address, sealed.id, Some(sealed.from));
        let Some(mailbox) = self.collecting.mailboxes.get(&address) else { return Ok(Outcome::Refused) };
        let outcome = match mailbox.kind {
            Kind::Request => self.on_first(step, &sealed.inner, from)?,
            Kind::Contact => self.on_later(step, &sealed.inner, from)?,
        };
        match outcome {
            Outcome::Opened | Outcome::Duplicate => self.drop_collected(address, id),
            Outcome::Unknown => self.keep_unopened(step, sealed),
            Outcome::Later => self.collecting.list_anew(&address),
            // Looked at again at the next start at the earliest.
            Outcome::Refused => self.collecting.seen.insert(id),
        }
        Ok(outcome)
    }

    fn keep_unopened(&mut self, step: &Step<'_>, sealed: Sealed) {
        let kept = self.collecting.unopened.keep(step.now, sealed);
        kept.displaced.iter().for_each(|address| self.collecting.list_anew(address));
        if let Some(at) = kept.search_at {
            self.timers.set(at, Timer::FarAhead);
        }
    }

    /// Tries in rounds what no session could open, until there is no progress.
    pub(crate) fn open_the_unopened(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        while core::mem::take(&mut self.collecting.progress) {
            for sealed in self.collecting.unopened.take() {
                self.on_sealed_mail(step, sealed)?;
            }
        }
        Ok(())
    }

    /// What still cannot be opened may be far ahead in a session, behind messages that are lost: one
    /// table of far tags a session and pass.
    pub(crate) fn open_far_ahead(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let mut sought = self.collecting.unopened.take_for_search();
        let sessions: Vec<SessionId> =
            self.contacts.values().filter_map(|contact| contact.preferred).collect();
        for id in sessions {
            if sought.is_empty() {
                break;
            }
            let Some(table) = self.sessions.get(&id).map(|live| live.session.wide_table()) else { continue };
            for sealed in core::mem::take(&mut sought) {
                match self.on_far_ahead(step, id, &sealed.inner, &table, Some(sealed.from))? {
                    Outcome::Opened => self.drop_collected(sealed.address, sealed.id),
                    Outcome::Duplicate | Outcome::Unknown | Outcome::Later | Outcome::Refused => {
                        sought.push_back(sealed);
                    }
                }
            }
        }
        sought.into_iter().for_each(|sealed| self.keep_unopened(step, sealed));
        self.open_the_unopened(step)
    }

    fn drop_collected(&mut self, address: Address, id: EnvelopeId) {
        let Some(day) = self.collecting.mailboxes.get(&address).map(|mailbox| mailbox.day) else { return };
        self.collecting.seen.insert(id);
        self.collecting.tombstones.entry((address, day)).or_default().push(id);
    }

    /// Tells the custodians of each mailbox what may be dropped.
    pub(crate) fn flush_tombstones(&mut self) {
        for ((address, day), ids) in core::mem::take(&mut self.collecting.tombstones) {
            let Some(mailbox) = self.collecting.mailboxes.get(&address) else { continue };
            let connected: Vec<PeerId> =
                mailbox.region.iter().copied().filter(|peer| self.peers.contains_key(peer)).collect();
            for chunk in ids.chunks(IDS_PER_CLAIM_MAX) {
                let mut ids = chunk.to_vec();
                let signature = claim::sign_tombstone(&mailbox.signer, day, &mut ids).to_bytes().to_vec();
                let tombstone = Tombstone { address, day, ids, signature };
                for peer in &connected {
                    self.outputs.push_back(Output::Send(*peer, Frame::Tombstone(tombstone.clone())));
                }
            }
        }
    }
}

impl Mailbox {
    /// A claim to this mailbox for one custodian and its connection; with ids: to fetch them.
    fn sign(
        &self,
        custodian: PeerId,
        challenge: [u8; 32],
        address: Address,
        cursor: u64,
        ids: Option<&[EnvelopeId]>,
    ) -> Claim {
        let claim = claim::Claim { custodian, challenge, address, day: self.day, cursor };
        let signature = match ids {
            None => claim::sign_subscribe(&self.signer, &claim),
            Some(ids) => claim::sign_get(&self.signer, &claim, ids),
        };
        Claim { address, day: self.day, cursor, signature: signature.to_bytes().to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::sha256;

    #[test]
    fn seen_envelopes_are_bounded_and_the_oldest_is_forgotten() {
        let mut seen = Seen::default();
        let id = |i: usize| EnvelopeId(sha256(&[&i.to_le_bytes()]));
        for i in 0..=SEEN_ENVELOPES_MAX {
            seen.insert(id(i));
            seen.insert(id(i));
        }
        assert_eq!((seen.set.len(), seen.order.len()), (SEEN_ENVELOPES_MAX, SEEN_ENVELOPES_MAX));
        assert!(!seen.set.contains(&id(0)) && seen.set.contains(&id(SEEN_ENVELOPES_MAX)));
    }
}
