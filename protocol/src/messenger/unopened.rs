//! Sealed messages that no session could open yet: what comes before them is on another way (SPEC §8.4).
//!
//! Bounded in number and bytes, the oldest go first; before that those of a direct stream that has its share.
//! Each is looked for far ahead in the sessions once:
//! what that did not open is not searched for again because something else was opened. It opens nothing.

use std::collections::VecDeque;
use std::ops::Bound;

use super::allowance::Allowance;
use super::receiving::KeptBy;
use crate::id::{AccountId, Address, EnvelopeId, PeerId};
use crate::limits::{FAR_AHEAD_MS, FAR_AHEAD_RATE, UNOPENED_BYTES_MAX, UNOPENED_DIRECT_MAX, UNOPENED_MAX};
use crate::time::Time;

/// One sealed message.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) way: Way,
    pub(crate) inner: Vec<u8>,
    /// It was looked for far ahead already.
    pub(crate) tried: bool,
}

/// Where one came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// An envelope that a custodian handed over.
    Mailbox { address: Address, id: EnvelopeId, from: PeerId },
    /// A contact's proven stream.
    Direct(AccountId),
}

impl Way {
    /// The custodian that handed it over; none for a direct stream.
    pub(crate) fn kept_by(&self) -> KeptBy {
        match self {
            Way::Mailbox { from, .. } => Some(*from),
            Way::Direct(_) => None,
        }
    }

    /// The contact on whose stream it came; an envelope may be anybody's.
    pub(crate) fn sent_by(&self) -> Option<AccountId> {
        match self {
            Way::Mailbox { .. } => None,
            Way::Direct(account) => Some(*account),
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Unopened {
    queue: VecDeque<Sealed>,
    bytes: usize,
    /// When the untried ones are looked for far ahead.
    search_at: Option<Time>,
    /// Where the search that is under way goes on among the contacts.
    search: Option<Bound<AccountId>>,
    searches: Allowance,
}

/// What keeping one more led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Mailboxes that lost their oldest to it.
    pub(crate) displaced: Vec<Address>,
    /// A search is due then, and was not before.
    pub(crate) search_at: Option<Time>,
}

impl Unopened {
    pub(crate) fn contains(&self, id: &EnvelopeId) -> bool {
        self.queue.iter().any(|sealed| matches!(&sealed.way, Way::Mailbox { id: kept, .. } if kept == id))
    }

    /// Sent again on its stream.
    pub(crate) fn contains_direct(&self, account: &AccountId, inner: &[u8]) -> bool {
        self.queue.iter().any(|sealed| sealed.way == Way::Direct(*account) && sealed.inner == inner)
    }

    /// Keeps one; at the bounds the oldest give way.
    pub(crate) fn keep(&mut self, now: Time, sealed: Sealed) -> Kept {
        let mut displaced = Vec::new();
        if matches!(sealed.way, Way::Direct(_)) {
            self.make_room_for_direct(&sealed);
        }
        let too_many = |this: &Unopened| {
            this.queue.len() >= UNOPENED_MAX || this.bytes + sealed.inner.len() > UNOPENED_BYTES_MAX
        };
        while too_many(self)
            && let Some(oldest) = self.queue.pop_front()
        {
            self.bytes -= oldest.inner.len();
            // What came directly is sent again, or comes by its mailbox.
            displaced.extend(match oldest.way {
                Way::Mailbox { address, .. } => Some(address),
                Way::Direct(_) => None,
            });
        }
        let news = !sealed.tried && self.search_at.is_none();
        let search_at = news.then(|| self.searches.reserve(now, FAR_AHEAD_RATE).max(now.plus(FAR_AHEAD_MS)));
        self.search_at = self.search_at.or(search_at);
        self.bytes += sealed.inner.len();
        self.queue.push_back(sealed);
        Kept { displaced, search_at }
    }

    /// One contact's junk displaces what it sent itself, and all contacts' no more than half of what is here.
    fn make_room_for_direct(&mut self, sealed: &Sealed) {
        let direct = |kept: &&Sealed| matches!(kept.way, Way::Direct(_));
        let mut bytes: usize = self.queue.iter().filter(direct).map(|kept| kept.inner.len()).sum();
        let mut of_contact = self.queue.iter().filter(|kept| kept.way == sealed.way).count();
        loop {
            let too_many = of_contact >= UNOPENED_DIRECT_MAX;
            if !too_many && bytes + sealed.inner.len() <= UNOPENED_BYTES_MAX / 2 {
                break;
            }
            let goes = |kept: &Sealed| if too_many { kept.way == sealed.way } else { direct(&kept) };
            let Some(gone) = self.queue.iter().position(goes).and_then(|at| self.queue.remove(at)) else {
                break;
            };
            self.bytes -= gone.inner.len();
            bytes -= gone.inner.len();
            of_contact -= usize::from(gone.way == sealed.way);
        }
    }

    /// Takes those that can be opened now, in order.
    pub(crate) fn take_if(&mut self, can_open: impl Fn(&[u8]) -> bool) -> VecDeque<Sealed> {
        let (taken, left): (VecDeque<Sealed>, _) =
            self.take().into_iter().partition(|sealed| can_open(&sealed.inner));
        self.bytes = left.iter().map(|sealed| sealed.inner.len()).sum();
        self.queue = left;
        taken
    }

    fn take(&mut self) -> VecDeque<Sealed> {
        self.bytes = 0;
        core::mem::take(&mut self.queue)
    }

    /// Begins the search that is due, with all that are here; none while another is under way.
    pub(crate) fn begin_search(&mut self, now: Time) -> bool {
        if self.search.is_some() || self.search_at.is_none_or(|at| at > now) {
            return false;
        }
        self.search_at = None;
        self.search = Some(Bound::Unbounded);
        self.queue.iter_mut().for_each(|sealed| sealed.tried = true);
        true
    }

    /// Takes what the search under way is for, and behind which contact it goes on; none if there is no search.
    pub(crate) fn take_sought(&mut self) -> Option<(Bound<AccountId>, VecDeque<Sealed>)> {
        let from = self.search?;
        let (sought, left) = core::mem::take(&mut self.queue).into_iter().partition(|sealed| sealed.tried);
        self.queue = left;
        Some((from, sought))
    }

    /// Puts back what this part of the search has not found; it goes on from there, or is over.
    pub(crate) fn put_back(&mut self, mut sought: VecDeque<Sealed>, from: Option<Bound<AccountId>>) {
        sought.append(&mut self.queue);
        self.queue = sought;
        self.bytes = self.queue.iter().map(|sealed| sealed.inner.len()).sum();
        self.search = from;
    }

    /// Another search is due, and waits for the end of this one.
    pub(crate) fn search_waits(&self, now: Time) -> bool {
        self.search_at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::sha256;

    fn sealed(i: usize, bytes: usize, tried: bool) -> Sealed {
        let id = EnvelopeId(sha256(&[&i.to_le_bytes()]));
        let address = Address(sha256(&[&i.to_le_bytes(), b"address"]));
        let way = Way::Mailbox { address, id, from: PeerId([1; 32]) };
        Sealed { way, inner: vec![0; bytes], tried }
    }

    fn envelope(sealed: &Sealed) -> (EnvelopeId, Address) {
        match sealed.way {
            Way::Mailbox { id, address, .. } => (id, address),
            Way::Direct(_) => panic!("it came directly"),
        }
    }

    #[test]
    fn number_and_bytes_are_bounded_and_the_oldest_go_first() {
        let mut unopened = Unopened::default();
        let first = sealed(0, 1, true);
        let (id, address) = envelope(&first);
        assert_eq!(unopened.keep(Time(0), first).displaced, []);
        for i in 1..UNOPENED_MAX {
            assert_eq!(unopened.keep(Time(0), sealed(i, 1, true)).displaced, []);
        }
        assert!(unopened.contains(&id));
        assert_eq!(unopened.keep(Time(0), sealed(UNOPENED_MAX, 1, true)).displaced, [address]);
        assert!(!unopened.contains(&id));
        // What fills the bytes alone displaces all others.
        let displaced = unopened.keep(Time(0), sealed(UNOPENED_MAX + 1, UNOPENED_BYTES_MAX, true)).displaced;
        assert_eq!(displaced.len(), UNOPENED_MAX);
        assert_eq!(unopened.keep(Time(0), sealed(UNOPENED_MAX + 2, 1, true)).displaced.len(), 1);
        assert_eq!(unopened.take().len(), 1);
    }

    #[test]
    fn what_came_directly_has_its_share() {
        let mut unopened = Unopened::default();
        let direct = |account: u8, i: usize, bytes: usize| {
            let inner = [i.to_le_bytes().as_slice(), &vec![0; bytes - 8]].concat();
            Sealed { way: Way::Direct(AccountId([account; 32])), inner, tried: true }
        };
        unopened.keep(Time(0), sealed(0, 1, true));
        let most = UNOPENED_DIRECT_MAX;
        (0..=most).for_each(|i| assert_eq!(unopened.keep(Time(0), direct(1, i, 8)).displaced, []));
        let has = |unopened: &Unopened, account: u8, i: usize| {
            unopened.contains_direct(&AccountId([account; 32]), &i.to_le_bytes())
        };
        assert_eq!((unopened.queue.len(), unopened.bytes), (1 + most, 1 + 8 * most));
        assert!(!has(&unopened, 1, 0) && has(&unopened, 1, 1));
        // Another has its own, as long as all of them have no more than half.
        unopened.keep(Time(0), direct(2, 1, 8));
        assert!(has(&unopened, 1, 1));
        unopened.keep(Time(0), direct(3, 1, UNOPENED_BYTES_MAX / 2 - 16));
        assert!(!has(&unopened, 1, most - 1) && has(&unopened, 1, most) && has(&unopened, 2, 1));
        unopened.keep(Time(0), direct(4, 1, UNOPENED_BYTES_MAX / 2));
        assert_eq!((unopened.queue.len(), unopened.bytes), (2, 1 + UNOPENED_BYTES_MAX / 2));
    }

    #[test]
    fn each_is_searched_for_once() {
        let mut unopened = Unopened::default();
        assert_eq!(unopened.keep(Time(5), sealed(0, 1, false)).search_at, Some(Time(5 + FAR_AHEAD_MS)));
        assert_eq!(unopened.keep(Time(6), sealed(1, 1, false)).search_at, None, "one is due already");
        let due = Time(5 + FAR_AHEAD_MS);
        assert!(!unopened.begin_search(due.minus(1)), "too early");
        assert!(unopened.begin_search(due));
        let (_, sought) = unopened.take_sought().unwrap();
        unopened.put_back(VecDeque::new(), None);
        for tried in sought {
            assert_eq!(unopened.keep(due, tried).search_at, None, "tried ones ask for none");
        }
        assert!(!unopened.begin_search(due) && unopened.take_sought().is_none(), "none is due");
        let again = due.plus(FAR_AHEAD_MS);
        assert_eq!(unopened.keep(due, sealed(2, 1, false)).search_at, Some(again));
        assert!(unopened.begin_search(again));
        assert_eq!(unopened.take_sought().unwrap().1.len(), 3, "a new one has the others tried with it");
    }

    #[test]
    fn a_search_goes_on_with_what_it_was_begun_for_and_the_next_waits() {
        let mut unopened = Unopened::default();
        let later = Time(1 << 40);
        unopened.keep(Time(0), sealed(0, 3, false));
        assert!(unopened.begin_search(later));
        let (from, sought) = unopened.take_sought().unwrap();
        assert_eq!((from, sought.len()), (Bound::Unbounded, 1));
        let behind = Bound::Excluded(AccountId([1; 32]));
        unopened.put_back(sought, Some(behind));
        assert!(unopened.keep(later, sealed(1, 4, false)).search_at.is_some(), "one for what came later");
        let due = later.plus(1 << 30);
        assert!(unopened.search_waits(due) && !unopened.begin_search(due), "another is under way");
        let (from, sought) = unopened.take_sought().unwrap();
        assert_eq!((from, sought.len()), (behind, 1));
        unopened.put_back(sought, None);
        assert_eq!((unopened.queue.len(), unopened.bytes), (2, 7));
        assert_eq!(unopened.queue[0].inner.len(), 3, "in its place");
        assert!(unopened.begin_search(due));
    }

    #[test]
    fn searches_are_soon_and_then_seldom() {
        let mut unopened = Unopened::default();
        let now = Time(1 << 40);
        let mut next = |now: Time| {
            let at = unopened.keep(now, sealed(0, 1, false)).search_at.unwrap();
            assert!(unopened.begin_search(at));
            unopened.put_back(VecDeque::new(), None);
            at.since(now)
        };
        for _ in 0..FAR_AHEAD_RATE.burst {
            assert_eq!(next(now), FAR_AHEAD_MS);
        }
        assert_eq!(next(now), FAR_AHEAD_RATE.refill_ms, "one too many waits");
        let whole = now.plus((FAR_AHEAD_RATE.burst + 1) * FAR_AHEAD_RATE.refill_ms);
        assert_eq!(next(whole), FAR_AHEAD_MS);
    }

    #[test]
    fn what_came_directly_is_kept_once_and_what_can_be_opened_is_taken_in_order() {
        let (mut unopened, account) = (Unopened::default(), AccountId([1; 32]));
        let direct = |inner: u8| Sealed { way: Way::Direct(account), inner: vec![inner; 3], tried: false };
        (0..6).for_each(|inner| assert_eq!(unopened.keep(Time(0), direct(inner)).displaced, []));
        assert!(unopened.contains_direct(&account, &[2; 3]));
        assert!(!unopened.contains_direct(&AccountId([2; 32]), &[2; 3]));
        let taken = unopened.take_if(|inner| inner[0] % 2 == 0);
        assert_eq!(taken.iter().map(|sealed| sealed.inner[0]).collect::<Vec<_>>(), [0, 2, 4]);
        assert!(!unopened.contains_direct(&account, &[2; 3]));
        assert_eq!((unopened.queue.len(), unopened.bytes), (3, 9));
    }
}
