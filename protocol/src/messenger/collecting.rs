//! Collecting one's own mail: which bodies from whom, and opening them (SPEC §8.4). Which mailboxes there
//! are and who lists them is in [`mailboxes`](super::mailboxes).
//!
//! Ids from every region member, bodies once from the first, live pushes from the nearest. What was
//! opened is tombstoned at the end of the step, so after its commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::io::{Output, PeerFault};
use super::mailboxes::{Asked, Kind, Mailbox};
use super::receiving::Outcome;
use super::sessions::Live;
use super::timers::Timer;
use super::unopened::{Sealed, Unopened, Way};
use super::{Messenger, Step};
use crate::id::{AccountId, Address, EnvelopeId, PeerId, SessionId};
use crate::limits::{
    BODY_MS, IDS_PER_CLAIM_MAX, REGION_EXTRA_MAX, REPLICAS, SEEN_ENVELOPES_MAX, WANTED_PASSED_ON_MAX,
    WANTED_PER_PEER_MAX,
};
use crate::session;
use crate::store::StoreError;
use crate::time::{Day, Time};
use crate::wire::claim;
use crate::wire::envelope::{Envelope, unmask};
use crate::wire::frame::{Frame, Tombstone};

/// All of collecting.
#[derive(Debug, Default)]
pub(crate) struct Collecting {
    pub(crate) mailboxes: BTreeMap<Address, Mailbox>,
    seen: Seen,
    /// Of these, strangers': they are looked at again when one of them is let in.
    aside: Seen,
    wanted: BTreeMap<EnvelopeId, Wanted>,
    pub(crate) unopened: Unopened,
    tombstones: BTreeMap<(Address, Day), Vec<EnvelopeId>>,
    /// What was opened in this step, with its session: what could not be opened before may be now.
    pub(crate) opened: Vec<(SessionId, [u8; 16])>,
    /// The last own day whose mailboxes were collected; none: what the account's row says.
    pub(crate) collected: Option<Day>,
    /// When another custodian last listed a mailbox to its end.
    pub(crate) last_listed: Option<Time>,
    /// Region members without a connection, and when they were last dialed for their ids.
    pub(crate) dialed: BTreeMap<PeerId, Time>,
}

/// A body that was asked for.
#[derive(Debug)]
struct Wanted {
    address: Address,
    from: PeerId,
    /// Who listed it first, and where it was said to be: each custodian has a share of the table, and another for what
    /// it passes on of each neighbour. With one share for both a neighbour could use up what it lists itself.
    told: (PeerId, PeerId),
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

    /// The same, and it is known to be there yet: what was listed of the mailbox is not all of it.
    fn not_listed(&mut self, address: &Address) {
        self.list_anew(address);
        if let Some(mailbox) = self.mailboxes.get_mut(address) {
            mailbox.listed.clear();
        }
    }

    /// Something that was listed of a mailbox has not come yet.
    pub(crate) fn waits_for(&self, address: &Address) -> bool {
        self.wanted.values().any(|wanted| wanted.address == *address)
    }

    fn is_dealt_with(&self, id: &EnvelopeId) -> bool {
        self.seen.set.contains(id) || self.aside.set.contains(id) || self.unopened.contains(id)
    }
}

impl Messenger {
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
                mailbox.listed.insert(peer, step.now);
                self.collecting.last_listed = Some(step.now);
            }
        } else if !mailbox.region.contains(&from) {
            return;
        }
        let share = self.collecting.wanted.values().filter(|wanted| wanted.told == (peer, from)).count();
        let most = if from == peer { WANTED_PER_PEER_MAX } else { WANTED_PASSED_ON_MAX };
        let mut room = most.saturating_sub(share);
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
                    let wanted = Wanted { address, from, told: (peer, from), others: VecDeque::new() };
                    self.collecting.wanted.insert(id, wanted);
                    ask.push(id);
                }
                None => surplus = true,
            }
        }
        if surplus && from == peer {
            self.collecting.not_listed(&address);
        } else if surplus {
            // Whether it is there is a neighbour's word: its own list will tell.
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
        self.on_sealed_mail(
            step,
            Sealed { way: Way::Mailbox { address, id, from: peer }, inner, tried: false },
        )
    }

    fn on_sealed_mail(&mut self, step: &mut Step<'_>, sealed: Sealed) -> Result<(), StoreError> {
        let from = sealed.way.kept_by();
        let (address, id) = match sealed.way {
            Way::Direct(account) => return self.on_sealed_direct(step, account, sealed),
            Way::Mailbox { address, id, .. } => (address, id),
        };
        let Some(mailbox) = self.collecting.mailboxes.get(&address) else { return Ok(()) };
        let outcome = match mailbox.kind {
            Kind::Request => self.on_first(step, &sealed.inner, from)?,
            Kind::Contact => self.on_later(step, &sealed.inner, from)?,
        };
        match outcome {
            Outcome::Opened | Outcome::Duplicate => self.drop_collected(address, id),
            Outcome::Unknown => self.keep_unopened(step, sealed),
            Outcome::Later => self.collecting.not_listed(&address),
            Outcome::Aside => self.collecting.aside.insert(id),
            // Looked at again at the next start at the earliest.
            Outcome::Refused => self.collecting.seen.insert(id),
        }
        Ok(())
    }

    /// A message on a contact's stream. One that no session knows may be far ahead: what was sent before it
    /// went by mailbox. It waits; only what is not found far ahead either cannot be opened.
    pub(crate) fn on_sealed_direct(
        &mut self,
        step: &mut Step<'_>,
        account: AccountId,
        sealed: Sealed,
    ) -> Result<(), StoreError> {
        match self.on_later(step, &sealed.inner, None)? {
            // What is too much is tried again, by its mailbox.
            Outcome::Opened | Outcome::Duplicate | Outcome::Later => {}
            Outcome::Unknown if self.collecting.unopened.contains_direct(&account, &sealed.inner) => {}
            Outcome::Unknown => self.keep_unopened(step, sealed),
            // No later message is a stranger's.
            Outcome::Aside | Outcome::Refused => self.on_undecryptable(step, &account),
        }
        Ok(())
    }

    /// What strangers sent and nobody answered is listed and fetched once more: there is room for it, or its author
    /// is a contact.
    pub(crate) fn look_at_aside(&mut self, step: &Step<'_>) {
        self.collecting.aside = Seen::default();
        let mailboxes = self.collecting.mailboxes.iter();
        let requests = mailboxes.filter(|(_, mailbox)| mailbox.kind == Kind::Request);
        let requests: Vec<Address> = requests.map(|(address, _)| *address).collect();
        for address in requests {
            self.collecting.list_anew(&address);
            self.subscribe(step, &address, true);
        }
    }

    fn keep_unopened(&mut self, step: &Step<'_>, sealed: Sealed) {
        let kept = self.collecting.unopened.keep(step.now, sealed);
        kept.displaced.iter().for_each(|address| self.collecting.list_anew(address));
        if let Some(at) = kept.search_at {
            self.timers.set(at, Timer::FarAhead);
        }
    }

    /// At the end of a step: what was opened lets its sessions recognise more. In rounds, until they do not.
    pub(crate) fn open_the_unopened(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        while !self.collecting.opened.is_empty() {
            let (ids, tags): (BTreeSet<SessionId>, BTreeSet<[u8; 16]>) =
                core::mem::take(&mut self.collecting.opened).into_iter().unzip();
            let moved: Vec<&Live> = ids.iter().filter_map(|id| self.sessions.get(id)).collect();
            let ready = self.collecting.unopened.take_if(|inner| {
                // A copy of what was opened is recognised by its tag: it has to be dropped.
                session::tag_of(inner).is_none_or(|tag| {
                    tags.contains(&tag) || moved.iter().any(|live| live.session.recognises(&tag))
                })
            });
            for sealed in ready {
                self.on_sealed_mail(step, sealed)?;
            }
        }
        Ok(())
    }

    pub(crate) fn drop_collected(&mut self, address: Address, id: EnvelopeId) {
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
