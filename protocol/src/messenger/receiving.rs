//! Opening what arrived, and what its parts mean (SPEC §5.5, §8.4).
//!
//! A sealed message comes over a stream or in an envelope; from here on the way makes no difference
//! but to what is shown of it. One step: session state, opened tag, message row and notice.

use std::collections::BTreeMap;

use super::allowance::Allowance;
use super::content::{Content, ContentV1, Introduction, Part, Text};
use super::requests::Stranger;
use super::rows::{self, MessageRow, OpenedRow, PrekeyRow, ReceivedRun};
use super::sessions::Live;
use super::story::Story;
use super::{Messenger, Step, names};
use crate::control::{AcceptRequests, ContactState, EventBody, MessageState, Path};
use crate::id::{AccountId, InviteToken, PeerId, SessionId};
use crate::keys::PrekeyPair;
use crate::limits::{
    CONTACTS_MAX, FIRST_MESSAGES_RATE, GRACE_MS, LIFE_MS_MAX, OVER_SHOWN_MS, RUNS_PER_CONTACT_MAX,
};
use crate::session::{self, Accepted, FirstHeader, Opened, WideTable};
use crate::store::StoreError;
use crate::time::Time;
use crate::wire::manifest::ManifestIn;

/// What became of a sealed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Opened: its copies may be dropped.
    Opened,
    /// It was opened before: its copies may be dropped, the receipt is repeated.
    Duplicate,
    /// No session knows it (yet).
    Unknown,
    /// Not now: one too many first messages this hour, or too much of this contact today. Its copies stay.
    Later,
    /// A stranger's, who must not learn what became of it: its copies stay, and are looked at again when strangers
    /// are let in.
    Aside,
    /// Not at all; its copies stay until they expire.
    Refused,
}

/// How it came: the custodian that handed it over; none for a direct stream.
pub(crate) type KeptBy = Option<PeerId>;

impl Messenger {
    /// A later message of some session.
    pub(crate) fn on_later(
        &mut self,
        step: &mut Step<'_>,
        inner: &[u8],
        kept_by: KeptBy,
    ) -> Result<Outcome, StoreError> {
        let Some(tag) = session::tag_of(inner) else { return Ok(Outcome::Refused) };
        if let Some(known) = self.on_repetition(step, &tag)? {
            return Ok(known);
        }
        let Some(id) = self.sessions.by_tag(&tag) else { return Ok(Outcome::Unknown) };
        if let Err(outcome) = self.may_open(step.now, &id) {
            return Ok(outcome);
        }
        let Some(live) = self.sessions.get_mut(&id) else { return Ok(Outcome::Unknown) };
        match live.session.open(step.now, inner) {
            Ok(opened) => self.on_opened(step, id, &opened, kept_by),
            Err(_) => Ok(Outcome::Refused),
        }
    }

    /// A message that only a table of far tags may know.
    pub(crate) fn on_far_ahead(
        &mut self,
        step: &mut Step<'_>,
        id: SessionId,
        inner: &[u8],
        table: &WideTable,
        kept_by: KeptBy,
    ) -> Result<Outcome, StoreError> {
        if self.may_open(step.now, &id).is_err() {
            // Whether it is this contact's is not known yet. It is tried again with the next.
            return Ok(Outcome::Unknown);
        }
        let Some(live) = self.sessions.get_mut(&id) else { return Ok(Outcome::Unknown) };
        match live.session.open_wide(step.now, inner, table) {
            Ok(opened) => self.on_opened(step, id, &opened, kept_by),
            Err(_) => Ok(Outcome::Unknown),
        }
    }

    /// A first message, from the request mailbox.
    pub(crate) fn on_first(
        &mut self,
        step: &mut Step<'_>,
        inner: &[u8],
        kept_by: KeptBy,
    ) -> Result<Outcome, StoreError> {
        let Some(header) = FirstHeader::parse(inner) else { return Ok(Outcome::Refused) };
        if let Some(known) = self.on_repetition(step, &header.replay_key())? {
            return Ok(known);
        }
        if let Some(id) = self.sessions.by_first(&header.hint, &header.ephemeral) {
            if let Err(outcome) = self.may_open(step.now, &id) {
                return Ok(outcome);
            }
            let Some(live) = self.sessions.get_mut(&id) else { return Ok(Outcome::Unknown) };
            return match live.session.open_first_again(step.now, inner) {
                Ok(opened) => self.on_opened(step, id, &opened, kept_by),
                Err(_) => Ok(Outcome::Refused),
            };
        }
        let Some(prekey) = rows::load::<PrekeyRow>(step.store, &header.hint)? else {
            return Ok(Outcome::Refused);
        };
        // It has begun one that is gone: who has kept it hands it over again.
        if !prekey.may_begin(&header.ephemeral) {
            return Ok(Outcome::Refused);
        }
        if self.is_set_aside(&header, inner) {
            return Ok(Outcome::Aside);
        }
        if !self.first_messages.allow(step.now, &header.hint) {
            return Ok(Outcome::Later);
        }
        self.begin_theirs(step, &header, &prekey, inner, kept_by)
    }

    /// A first message that a contact sent as a stranger. Nobody can make us do this often.
    pub(crate) fn open_kept(
        &mut self,
        step: &mut Step<'_>,
        inner: &[u8],
        kept_by: KeptBy,
    ) -> Result<Outcome, StoreError> {
        let Some(header) = FirstHeader::parse(inner) else { return Ok(Outcome::Refused) };
        if self.sessions.by_first(&header.hint, &header.ephemeral).is_some() {
            return self.on_first(step, inner, kept_by);
        }
        let prekey = rows::load::<PrekeyRow>(step.store, &header.hint)?;
        let Some(prekey) = prekey.filter(|prekey| prekey.may_begin(&header.ephemeral)) else {
            return Ok(Outcome::Refused);
        };
        self.begin_theirs(step, &header, &prekey, inner, kept_by)
    }

    /// Opens the first message of a handshake that began no session yet.
    fn begin_theirs(
        &mut self,
        step: &mut Step<'_>,
        header: &FirstHeader,
        prekey: &PrekeyRow,
        inner: &[u8],
        kept_by: KeptBy,
    ) -> Result<Outcome, StoreError> {
        let pair = PrekeyPair::from_record(&prekey.pair).map_err(|_| StoreError::Corrupt)?;
        let local = self.me.local_device();
        match session::accept(step.now, &local, &pair, &prekey.bundle_id, inner) {
            Ok(accepted) => self.on_accepted(step, header, accepted, inner, kept_by),
            Err(_) => Ok(Outcome::Refused),
        }
    }

    /// Whether more of a session's contact is opened now, and if not, what becomes of it.
    fn may_open(&self, now: Time, id: &SessionId) -> Result<(), Outcome> {
        let account = self.sessions.get(id).map(|live| live.account).ok_or(Outcome::Unknown)?;
        if self.open_contact(&account).is_none() {
            return Err(Outcome::Refused);
        }
        if self.quota.is_left(now, &account) { Ok(()) } else { Err(Outcome::Later) }
    }

    /// What becomes of a message that was opened before; none if it was not. Whoever is not heard any more is answered
    /// as little as to anything else: neither a receipt nor that a copy is dropped says that somebody is here.
    fn on_repetition(
        &mut self,
        step: &mut Step<'_>,
        replay_key: &[u8; 16],
    ) -> Result<Option<Outcome>, StoreError> {
        let Some(opened) = rows::load::<OpenedRow>(step.store, replay_key)? else { return Ok(None) };
        if self.open_contact(&opened.account).is_none() {
            return Ok(Some(Outcome::Refused));
        }
        self.repeat_receipt(step, &opened.account)?;
        Ok(Some(Outcome::Duplicate))
    }

    /// Somebody begins a session with us: a contact (again), the holder of a ticket, or a stranger.
    fn on_accepted(
        &mut self,
        step: &mut Step<'_>,
        header: &FirstHeader,
        accepted: Accepted,
        inner: &[u8],
        kept_by: KeptBy,
    ) -> Result<Outcome, StoreError> {
        let Accepted { session, introduction, opened } = accepted;
        let account = introduction.account;
        let state = self.contacts.get(&account).map(|contact| contact.state);
        if state == Some(ContactState::Blocked) {
            return Ok(Outcome::Refused);
        }
        let Ok(content) = Content::from_bytes(&opened.content) else { return Ok(Outcome::Refused) };
        let Some(told) = content.parts.iter().find_map(|part| match part {
            Part::Introduction(told) => Some(told),
            Part::Text(_) | Part::Receipt(_) | Part::Whereabouts(_) | Part::AlsoHas(_) => None,
        }) else {
            return Ok(Outcome::Refused);
        };
        let Ok(manifest) = ManifestIn::parse(&told.manifest).and_then(|manifest| manifest.verify(account))
        else {
            return Ok(Outcome::Refused);
        };
        let listed =
            self.believed(&account, manifest)?.certifies(introduction.device).map(|device| device.dh);
        if listed != Some(introduction.device_dh) {
            return Ok(Outcome::Refused);
        }
        if !self.quota.is_left(step.now, &account) {
            return Ok(Outcome::Later);
        }
        if state.is_none() {
            if !self.is_invited(step, introduction.token)? {
                let (nickname, parts) = (told.nickname.as_str(), content.parts.as_slice());
                let stranger = Stranger { header, account, nickname, parts, inner, kept_by };
                return self.on_stranger(step, &stranger);
            }
            self.add_contact(step, account, None, told.nickname.as_str(), None)?;
            self.let_in(step, &account)?;
        }
        let first = Some((header.hint, header.ephemeral));
        let live = Live { session, account, archived_at: None, first, filled: false };
        let id = self.sessions.add(step.store, live)?;
        remember_handshake(step, header)?;
        if let Some(contact) = self.contacts.get_mut(&account) {
            contact.sessions += 1;
        }
        self.on_begun_anew(step, &account, id)?;
        let outcome = self.on_opened(step, id, &opened, kept_by)?;
        self.introduce(step, &account)?;
        Ok(outcome)
    }

    /// Uses the invite that a token is of, if it is good and this account lets anybody in.
    fn is_invited(&mut self, step: &mut Step<'_>, token: Option<InviteToken>) -> Result<bool, StoreError> {
        let closed = self.config.accept_requests == AcceptRequests::Nobody;
        let Some(token) = token.filter(|_| !closed && self.contacts.len() < CONTACTS_MAX) else {
            return Ok(false);
        };
        self.use_invite(step, &token)
    }

    /// A message was opened: write the session, remember the tag, take the parts.
    fn on_opened(
        &mut self,
        step: &mut Step<'_>,
        id: SessionId,
        opened: &Opened,
        kept_by: KeptBy,
    ) -> Result<Outcome, StoreError> {
        self.sessions.save_opened(step.store, &id, step.now)?;
        let Some(account) = self.sessions.get(&id).map(|live| live.account) else {
            return Ok(Outcome::Unknown);
        };
        self.quota.take(step.now, &account, opened.content.len());
        let replay_key = opened.replay_key;
        rows::save(step.store, &OpenedRow { replay_key, account, day: step.now.utc_day() })?;
        self.collecting.opened.push((id, replay_key));
        // What a contact's own device sealed badly is its loss, not a reason to keep it.
        let Ok(content) = Content::from_bytes(&opened.content) else { return Ok(Outcome::Opened) };
        let also = content.parts.iter().find_map(|part| match part {
            Part::AlsoHas(also) => Some(*also),
            Part::Text(_) | Part::Receipt(_) | Part::Introduction(_) | Part::Whereabouts(_) => None,
        });
        if let Some(also) = also {
            self.on_also_has(step, &account, id, also)?;
        }
        self.on_content(step, &account, content, kept_by)?;
        Ok(Outcome::Opened)
    }

    fn on_content(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        content: ContentV1,
        kept_by: KeptBy,
    ) -> Result<(), StoreError> {
        let path = if kept_by.is_some() { Path::Mailbox } else { Path::Direct };
        let theirs = self.contacts.get(account).map(|contact| contact.manifest_mark).unwrap_or_default();
        if content.fits(&theirs, &self.me.mark()) {
            self.contradicting.remove(account);
        } else {
            self.contradicting.insert(*account);
        }
        if let Some(contact) = self.contacts.get_mut(account) {
            contact.seen_at = contact.seen_at.max(Some(step.now).filter(|_| kept_by.is_none()));
        }
        let mut woken = false;
        for part in content.parts {
            match part {
                Part::Text(text) => self.on_text(step, account, text, kept_by)?,
                Part::Receipt(receipt) => {
                    self.on_receipt(step, account, &receipt, path)?;
                    woken = true;
                }
                Part::Introduction(told) => {
                    self.on_introduction(step, account, told)?;
                    self.owe_receipt(step, account)?;
                    woken = true;
                }
                Part::Whereabouts(whereabouts) => {
                    if let Some(contact) = self.contacts.get_mut(account) {
                        contact.whereabouts = Some(whereabouts);
                        rows::save(step.store, contact)?;
                    }
                }
                Part::AlsoHas(_) => {}
            }
        }
        if content.knows_you {
            self.on_introduced(step, account)?;
            self.connected(step, account)?;
        }
        if woken { self.wake(step, account) } else { Ok(()) }
    }

    /// Who a contact is: checked against what is pinned, then kept.
    fn on_introduction(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        told: Introduction,
    ) -> Result<(), StoreError> {
        let Ok(manifest) = ManifestIn::parse(&told.manifest).and_then(|m| m.verify(*account)) else {
            return Ok(());
        };
        let name = self.contacts.get(account).map(|contact| {
            // The first nickname becomes the name; a later one must not move a name to somebody else.
            let first =
                names::nickname(&told.nickname).filter(|_| !contact.named && contact.nickname.is_none());
            let wanted = first.unwrap_or_else(|| contact.name.clone());
            names::unique(&wanted, &self.contacts, account)
        });
        let (Some(contact), Some(name)) = (self.contacts.get_mut(account), name) else { return Ok(()) };
        contact.name = name;
        // What is no nickname does not undo the one that became the name.
        contact.nickname = names::nickname(&told.nickname).or(contact.nickname.take());
        if contact.mailbox.as_ref().is_none_or(|known| known.generation <= told.mailbox.generation) {
            contact.mailbox = Some(told.mailbox);
        }
        let peer = told.whereabouts.peer;
        contact.whereabouts = Some(told.whereabouts);
        rows::save(step.store, contact)?;
        self.pin(step, account, manifest)?;
        self.prove_directly(step, &peer);
        Ok(())
    }

    fn on_text(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        text: Text,
        kept_by: KeptBy,
    ) -> Result<(), StoreError> {
        self.owe_receipt(step, account)?;
        let key = rows::message_key(account, false, &text.id);
        let is_here = rows::load::<MessageRow>(step.store, &key)?.is_some();
        let Some(contact) = self.contacts.get_mut(account) else { return Ok(()) };
        let missing = take_place(&mut contact.received, text.place);
        if is_here || text.text.is_empty() {
            // Nothing to show, but its place is taken: it may have been forgotten (RECEIVED_RANGES_MAX), or its author took
            // the text back before it left.
            return rows::save(step.store, contact);
        }
        let over = self.me.row.clock.ends(text.expires.plus(GRACE_MS)) < step.now;
        if over && step.now.since(text.expires) <= OVER_SHOWN_MS {
            // Its life is over, by any clock: it is not shown, and nobody waits for it.
            return rows::save(step.store, contact);
        }
        contact.unread += 1;
        rows::save(step.store, contact)?;
        self.me.row.arrivals += 1;
        self.me.save(step.store)?;
        let message = MessageRow {
            id: text.id,
            contact: *account,
            own: false,
            place: text.place,
            arrival: self.me.row.arrivals,
            // Its author says when, by a clock of its own: not later than any honest one.
            at: text.at.min(step.now.plus(GRACE_MS)),
            received_at: Some(step.now),
            expires: text.expires.min(step.now.plus(LIFE_MS_MAX + GRACE_MS)),
            text: text.text,
            state: MessageState::Delivered,
            path: Some(if kept_by.is_some() { Path::Mailbox } else { Path::Direct }),
            kept_by,
            unread: true,
            story: Story::default(),
        };
        rows::save(step.store, &message)?;
        let shown = self.show(&message);
        let (from, before) = (shown.from.clone(), shown.id.clone());
        self.tell(step, EventBody::MessageReceived(Box::new(shown)))?;
        if missing > 0 {
            self.tell(step, EventBody::MessageGap { from, before, missing })?;
        }
        Ok(())
    }
}

/// A handshake begins one session: longer than the session, as long as the prekey that opens it.
fn remember_handshake(step: &mut Step<'_>, header: &FirstHeader) -> Result<(), StoreError> {
    let Some(mut prekey) = rows::load::<PrekeyRow>(step.store, &header.hint)? else { return Ok(()) };
    prekey.begun.push(header.ephemeral);
    rows::save(step.store, &prekey)
}

/// Marks a place as arrived; says how many right before it are missing. The oldest run goes at the bound.
fn take_place(received: &mut Vec<ReceivedRun>, place: super::content::Place) -> u64 {
    if !received.iter().any(|run| run.run == place.run) {
        received.push(ReceivedRun { run: place.run, ..ReceivedRun::default() });
        if received.len() > RUNS_PER_CONTACT_MAX {
            received.remove(0);
        }
    }
    let run = received.iter_mut().find(|run| run.run == place.run);
    run.map_or(0, |run| {
        run.insert(place.seq);
        run.missing_before(place.seq)
    })
}

/// First messages handled per prekey: each costs a decapsulation (SPEC §5.7).
#[derive(Debug, Default)]
pub(crate) struct FirstMessages {
    by_hint: BTreeMap<[u8; 8], Allowance>,
}

impl FirstMessages {
    /// Hints are only of prekeys that exist, so their number is ours.
    fn allow(&mut self, now: Time, hint: &[u8; 8]) -> bool {
        self.by_hint.entry(*hint).or_default().take(now, FIRST_MESSAGES_RATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::HOUR_MS;

    #[test]
    fn first_messages_are_limited_per_prekey_and_hour() {
        let mut limiter = FirstMessages::default();
        let allowed = (0..200).filter(|_| limiter.allow(Time(5), &[1; 8])).count();
        assert_eq!(allowed, 100);
        assert!(limiter.allow(Time(5), &[2; 8]));
        assert!(limiter.allow(Time(5 + HOUR_MS), &[1; 8]));
    }

    #[test]
    fn runs_of_one_author_are_bounded() {
        let mut received = Vec::new();
        for run in 0..20 {
            take_place(&mut received, super::super::content::Place { run, seq: 1 });
        }
        assert_eq!(received.len(), RUNS_PER_CONTACT_MAX);
        assert_eq!(received.last().map(|run| run.run), Some(19));
    }
}
