//! One's own mailboxes: which there are, who keeps them, asking custodians for what is in them
//! (SPEC §8.4). What they list is fetched and opened in [`collecting`](super::collecting).

use std::collections::BTreeMap;

use super::io::Output;
use super::timers::Timer;
use super::{Messenger, Query, Step};
use crate::blind::{AddressSigner, BlindedSigner};
use crate::id::{Address, EnvelopeId, PeerId};
use crate::limits::{COLLECT_DAYS_MAX, POLL_MS, REPLICAS, REPLICAS_GOOD, SUBSCRIBED};
use crate::store::StoreError;
use crate::time::{Day, MINUTE_MS, Time};
use crate::wire::claim;
use crate::wire::frame::{Claim, Frame};

/// How long a region member that could not be reached is left alone.
const CUSTODIAN_DIAL_MS: u64 = MINUTE_MS;

/// Mailboxes of one day.
const KINDS: usize = 2;

/// Days to come that custodians list (SPEC §3.2).
const DAYS_AHEAD: i32 = 2;

/// One of our mailboxes: one address, one day.
pub(crate) struct Mailbox {
    pub(crate) day: Day,
    pub(crate) kind: Kind,
    pub(crate) signer: BlindedSigner,
    pub(crate) mask: [u8; 32],
    pub(crate) region: Vec<PeerId>,
    /// Custodians that were asked on their present connection.
    pub(crate) asked: BTreeMap<PeerId, Asked>,
    /// Other members of the region that listed it to its end, and when they last did.
    pub(crate) listed: BTreeMap<PeerId, Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// First messages, from anybody.
    Request,
    /// From contacts.
    Contact,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) live: bool,
    pub(crate) cursor: u64,
}

impl core::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Mailbox({:?} {:?} of {})", self.kind, self.day, self.region.len())
    }
}

impl Messenger {
    /// The mailboxes of the days in tolerance, and of the days that were missed.
    pub(crate) fn open_mailboxes(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let today = self.me.id().day(step.now);
        let mut open = BTreeMap::new();
        let mut day = self.first_open(today);
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
                    listed: BTreeMap::new(),
                });
                open.insert(address, mailbox);
            }
            day = day.offset(1);
        }
        self.collecting.mailboxes = open;
        self.look_up_regions(step);
        Ok(())
    }

    /// The first day whose mailboxes are open: the day before the last that counts as collected, at the most
    /// [`COLLECT_DAYS_MAX`] ago. Who counted a day that is to come had a clock that was wrong: what it has
    /// collected is not known.
    fn first_open(&self, today: Day) -> Day {
        let missed_from = today.offset(-i32::try_from(COLLECT_DAYS_MAX).unwrap_or(30));
        let collected = self.collecting.collected.unwrap_or(self.me.row.collected);
        if collected > today {
            missed_from
        } else {
            collected.offset(-1).clamp(missed_from, today.offset(-1))
        }
    }

    /// Days count as collected, in their order, when both their mailboxes have been listed after they were
    /// over. Custodians refuse to list a day that is to come, but for two: by so many is a clock that is ahead
    /// mistaken in what it counts, so two days fewer are remembered for the next start.
    pub(crate) fn count_collected(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let today = self.me.id().day(step.now);
        let mut day = self.first_open(today);
        if self.is_listed(today, Day(0)) {
            while day < today.offset(-1) && self.is_listed(day, day.offset(2)) && !self.is_awaited(day) {
                day = day.offset(1);
            }
        }
        self.collecting.collected = Some(day.offset(1));
        let sure = day.offset(1 - DAYS_AHEAD);
        if sure > self.me.row.collected || self.me.row.collected > today {
            self.me.row.collected = sure;
            self.me.save(step.store)?;
        }
        Ok(())
    }

    /// Whether both mailboxes of a day have been listed to their end, on `since` or later, by as many of the
    /// nearest eight as have to be asked to meet one of those that have a message that was `held`: in a
    /// large region more than all but four, in a small one, where fewer may have been there, four or all.
    fn is_listed(&self, day: Day, since: Day) -> bool {
        let mut mailboxes = self.collecting.mailboxes.values().filter(|mailbox| mailbox.day == day);
        let listed = |mailbox: &Mailbox| {
            let members = mailbox.region.iter().filter(|peer| **peer != self.config.own_peer);
            let nearest: Vec<&PeerId> = members.take(REPLICAS).collect();
            let times = nearest.iter().filter_map(|peer| mailbox.listed.get(peer));
            let by = times.filter(|at| self.me.id().day(**at) >= since).count();
            let all_but_good = nearest.len().saturating_sub(REPLICAS_GOOD);
            by > all_but_good && by >= nearest.len().min(REPLICAS_GOOD)
        };
        let kinds = mailboxes.clone().count();
        kinds == KINDS && mailboxes.all(listed)
    }

    /// Something that was listed of a day has not come yet.
    fn is_awaited(&self, day: Day) -> bool {
        let mut mailboxes = self.collecting.mailboxes.iter().filter(|(_, mailbox)| mailbox.day == day);
        mailboxes.any(|(address, _)| self.collecting.waits_for(address))
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
        mailbox.listed.retain(|peer, _| region.contains(peer));
        mailbox.region = region;
        self.subscribe(step, address, false);
    }

    /// Asks the members of a mailbox's region that have not been asked on their present connection;
    /// all of them when polling.
    pub(crate) fn subscribe(&mut self, step: &Step<'_>, address: &Address, poll: bool) {
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

    pub(crate) fn poll_mailboxes(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let addresses: Vec<Address> = self.collecting.mailboxes.keys().copied().collect();
        for address in addresses {
            self.subscribe(step, &address, true);
        }
        // How late it was is on disk, too: whoever starts this again may have another clock.
        self.me.save(step.store)?;
        self.timers.set(step.now.plus(POLL_MS), Timer::Poll);
        Ok(())
    }
}

impl Mailbox {
    /// A claim to this mailbox for one custodian and its connection; with ids: to fetch them.
    pub(crate) fn sign(
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
