//! Which days count as collected (SPEC §8.4.5), with the only custodian in our hands.

use murmesh_protocol::blind::request_address;
use murmesh_protocol::id::{Address, EnvelopeId, sha256};
use murmesh_protocol::limits::{IDS_PER_FRAME_MAX, WANTED_PER_PEER_MAX};
use murmesh_protocol::messenger::io::{Input, Output};
use murmesh_protocol::messenger::{Config, Messenger};
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Time};
use murmesh_protocol::wire::frame::Frame;

use crate::victim::{CUSTODIAN, NOW, OWN, Victim, facts};

impl Victim {
    /// The custodian lists a mailbox to its end.
    fn list(&mut self, address: Address, ids: &[EnvelopeId]) {
        let have = |ids: &[EnvelopeId]| Frame::Have {
            address,
            ids: ids.to_vec(),
            cursor: 0,
            more: false,
            holder: None,
        };
        self.input(Input::Frame(CUSTODIAN, have(&[])));
        for some in ids.chunks(IDS_PER_FRAME_MAX) {
            self.input(Input::Frame(CUSTODIAN, have(some)));
        }
    }

    /// Runs for ten minutes, and the custodian lists as empty whatever it was asked for.
    fn run_listing(&mut self, except: Option<Address>) {
        let from = self.sent.len();
        self.run(10 * MINUTE_MS);
        let asked: Vec<Address> = self.sent[from..]
            .iter()
            .filter_map(|output| match output {
                Output::Send(CUSTODIAN, Frame::Subscribe { claim, .. }) => Some(claim.address),
                _ => None,
            })
            .filter(|address| Some(*address) != except)
            .collect();
        asked.into_iter().for_each(|address| self.list(address, &[]));
    }

    fn set_clock(&mut self, now: Time) {
        self.now = now;
        self.input(Input::Deadline);
    }

    fn restart(&mut self) {
        let (config, now) = (Config { own_peer: OWN, rolled_back: false }, self.now);
        let Victim { store, rng, .. } = self;
        self.messenger = store.transaction(|tx| Messenger::restore(config, now, tx, rng)).unwrap();
        self.input(Input::PeerUp(facts(CUSTODIAN, true)));
        self.run(SECOND_MS);
    }

    /// The request mailbox of so many days ago.
    fn mailbox(&self, days_ago: i32) -> Address {
        let today = self.account.day(self.now);
        request_address(&self.account, today.offset(-days_ago)).unwrap()
    }

    /// Whether the mailbox of so many days ago is asked for at the next poll.
    fn is_open(&mut self, days_ago: i32) -> bool {
        let address = self.mailbox(days_ago);
        self.claimed.clear();
        self.run_listing(Some(address));
        self.claimed.contains(&address)
    }
}

/// The custodian lists days to come too, while the victim's clock is 20 days ahead. With the clock right again,
/// what was collected is not known: every day that may be missed is asked for.
#[test]
fn a_custodian_that_lists_days_to_come_does_not_make_a_wrong_clock_skip_days() {
    let mut victim = Victim::new();
    victim.set_clock(NOW.plus(20 * DAY_MS));
    (0..24).for_each(|_| victim.run_listing(None));
    assert!(!victim.is_open(4) && !victim.is_open(3), "they count as collected");
    victim.set_clock(NOW);
    assert!(victim.is_open(29));
    // And on the day that was today by the wrong clock.
    victim.restart();
    victim.set_clock(NOW.plus(20 * DAY_MS));
    victim.restart();
    assert!(victim.is_open(19));
}

/// A day was listed, but what was listed is not here: it stays open.
#[test]
fn a_day_is_not_closed_while_something_of_it_is_to_come() {
    let id = |i: usize| EnvelopeId(sha256(&[&i.to_le_bytes()]));
    let ids: Vec<EnvelopeId> = (0..=WANTED_PER_PEER_MAX).map(id).collect();
    for (ids, before_ms) in [(&ids[..0], 1), (&ids[..1], 1_000), (&ids[..], 5 * MINUTE_MS)] {
        let mut victim = Victim::new();
        victim.run(3 * DAY_MS);
        // A look at the days is due at the next whole hour after the start.
        let address = victim.mailbox(3);
        assert!(victim.is_open(3), "not listed since it was over");
        for _ in 0..4 {
            victim.run_listing(Some(address));
        }
        let due = NOW.plus(3 * DAY_MS + HOUR_MS);
        victim.run(due.since(victim.now) - before_ms);
        victim.list(address, ids);
        victim.run(before_ms + 1);
        assert_eq!(victim.is_open(3), !ids.is_empty(), "{} ids", ids.len());
    }
}
