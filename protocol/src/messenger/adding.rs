//! Adding a contact. By its ticket: reach the hinted peers, fetch the invite record, begin the session (SPEC §8.5).
//! By its account alone: ask it, by its public bundle and its request mailbox, and wait (SPEC §8.7).
//!
//! What is known of it is in the contact's row, so a restart goes on where it was.

use std::collections::BTreeSet;

use super::content::{Part, Text};
use super::invites::{InviteContent, hint_address};
use super::io::{Output, PeerFault, RequestId};
use super::rows::{self, ContactRow, Kind, MessageRow, TicketRow};
use super::sending::backoff;
use super::timers::Timer;
use super::{Messenger, Query, Step, names};
use crate::blind::invite_address;
use crate::control::{AddParams, AddReply, ContactState, ControlError, ErrorName, Reply, SendParams};
use crate::id::{AccountId, Address, InviteToken, PeerId};
use crate::limits::{ADD_AGAIN_MS, ADD_REPLY_MS, CONTACTS_MAX, GRACE_MS, REPLICAS, REQUEST_TEXT_BYTES_MAX};
use crate::store::StoreError;
use crate::time::Time;
use crate::wire::bundle::{Bundle, BundleIn};
use crate::wire::codec;
use crate::wire::frame::Frame;
use crate::wire::manifest::{Manifest, ManifestIn};
use crate::wire::record::{Record, RecordIn, Slot};
use crate::wire::ticket::Ticket;

/// A contact whose invite record has not come yet, or whose answer has not.
#[derive(Debug)]
pub(crate) struct Adding {
    token: InviteToken,
    address: Address,
    /// The client that waits, and until when.
    client: Option<(RequestId, Time)>,
    /// Hinted peers that answered.
    pub(crate) reached: BTreeSet<PeerId>,
    attempts: u32,
    /// The record has come and the session begun.
    pub(crate) begun: bool,
}

/// What an invite record turned out to be.
enum Found {
    Open(Box<(Manifest, Bundle)>),
    Ended,
}

impl Messenger {
    /// After a restart: contacts that are still being added.
    pub(crate) fn start_adding(&mut self, step: &Step<'_>) {
        let accounts: Vec<AccountId> = self.contacts.keys().copied().collect();
        accounts.iter().for_each(|account| self.go_on_adding(step, account));
    }

    /// Goes on with a contact that has a ticket yet. Not with a blocked one: its machine would see us look for it, and
    /// could end the ticket and with it the block.
    pub(crate) fn go_on_adding(&mut self, step: &Step<'_>, account: &AccountId) {
        let Some(contact) = self.open_contact(account) else { return };
        let (begun, Some(ticket)) = (contact.preferred.is_some(), &contact.ticket) else { return };
        self.watch_invite(*account, ticket.token, None, begun);
        self.timers.set(step.now, Timer::Adding(*account));
    }

    /// A contact is not being added any more: a client that waits for it is answered.
    pub(crate) fn stop_adding(&mut self, account: &AccountId) {
        self.answer_client(account);
        self.adding.remove(account);
    }

    fn watch_invite(
        &mut self,
        account: AccountId,
        token: InviteToken,
        client: Option<(RequestId, Time)>,
        begun: bool,
    ) {
        let address = invite_address(&account, &token);
        let reached = BTreeSet::new();
        self.adding.insert(account, Adding { token, address, client, reached, attempts: 0, begun });
    }

    /// `contact.add`: written at once; answered when the invite record is there, or after a while. An account that is
    /// asked without one is answered for at once: nobody knows when it will.
    pub(crate) fn add(
        &mut self,
        step: &mut Step<'_>,
        request: RequestId,
        params: &AddParams,
    ) -> Result<(), StoreError> {
        match self.check_add(params) {
            Err(error) => {
                self.reply(request, Err(error));
                Ok(())
            }
            Ok((ticket, name)) => {
                let account = ticket.account;
                if self.contacts.contains_key(&account) {
                    let asks = self.ask_again(step, &account, params.text.as_deref())?;
                    self.reply_added(request, &account, !asks);
                    return Ok(());
                }
                let hints: Vec<String> = ticket.hints.iter().map(hint_address).collect();
                let row = ticket.token.map(|token| TicketRow { token, hints: hints.clone() });
                self.add_contact(step, account, name, "", row)?;
                if let Some(token) = ticket.token {
                    let until = step.now.plus(ADD_REPLY_MS);
                    self.watch_invite(account, token, Some((request, until)), false);
                    self.timers.set(step.now.plus(ADD_AGAIN_MS), Timer::Adding(account));
                    self.ask_everywhere(account);
                }
                // A stranger that is added is let in.
                self.let_in(step, &account)?;
                if let Some(text) = &params.text {
                    self.say_first(step, &account, text)?;
                }
                if ticket.token.is_none() {
                    hints.into_iter().for_each(|hint| self.outputs.push_back(Output::ConnectHint(hint)));
                    self.introduce(step, &account)?;
                    self.reply_added(request, &account, false);
                }
                Ok(())
            }
        }
    }

    fn reply_added(&mut self, request: RequestId, account: &AccountId, known: bool) {
        let Some(contact) = self.contacts.get(account) else { return };
        let (contact, account, state) = (contact.name.clone(), account.to_string(), contact.state);
        self.reply(request, Ok(Reply::Add(AddReply { contact, account, state, known })));
    }

    fn check_add(&self, params: &AddParams) -> Result<(Ticket, Option<String>), ControlError> {
        let ticket = Ticket::of_ticket_or_account(&params.ticket)?;
        if ticket.account == self.me.id() {
            return Err(ErrorName::OwnTicket.into());
        }
        if params.text.as_ref().is_some_and(|text| text.is_empty() || text.len() > REQUEST_TEXT_BYTES_MAX) {
            return Err(ControlError::with(ErrorName::BadText, REQUEST_TEXT_BYTES_MAX.to_string()));
        }
        let name = params.name.as_deref().map(names::of_person).transpose()?;
        if self.contacts.len() >= CONTACTS_MAX && !self.contacts.contains_key(&ticket.account) {
            return Err(ControlError::with(ErrorName::TooMany, format!("contacts: {CONTACTS_MAX}")));
        }
        Ok((ticket, name))
    }

    /// The text of a request: a message like others, which goes with the first word of ours.
    fn say_first(&mut self, step: &mut Step<'_>, account: &AccountId, text: &str) -> Result<(), StoreError> {
        let (to, text) = (account.to_string(), text.to_owned());
        let params = SendParams { to, text, client_id: None, expire_ms: None };
        // It was checked: only a full outbox refuses it, and then the request goes without.
        self.send_text(step, &params).map(|_refused_or_queued| ())
    }

    /// What introduces us. An account that is asked is told the first text that waits for it too, if that is short:
    /// it decides by that.
    pub(crate) fn introducing(
        &mut self,
        step: &mut Step<'_>,
        to: &AccountId,
    ) -> Result<Vec<Part>, StoreError> {
        let mut parts = vec![Part::Introduction(self.me.introduction(step.now, self.config.own_peer))];
        let session = self.contacts.get(to).and_then(|contact| contact.preferred);
        let session = session.and_then(|id| self.sessions.get(&id)).map(|live| &live.session);
        if !self.is_asked(to) || session.is_none_or(|session| session.is_exhausted(step.now)) {
            return Ok(parts);
        }
        let texts = self.outbox.of(to).into_iter().filter_map(|id| self.outbox.entries.get(&id));
        let first = texts.filter(|entry| entry.is_text()).map(|entry| (entry.row.kind, entry.row.id)).next();
        let Some((Kind::Text(place), id)) = first else { return Ok(parts) };
        let Some(message) = rows::load::<MessageRow>(step.store, &rows::message_key(to, true, &id))? else {
            return Ok(parts);
        };
        if message.text.len() <= REQUEST_TEXT_BYTES_MAX {
            let MessageRow { at, expires, text, .. } = message;
            parts.push(Part::Text(Text { id, place, at, expires, text }));
            if let Some(entry) = self.outbox.entries.get_mut(&id) {
                // Said with it, it cannot be taken back.
                entry.row.left = true;
                rows::save(step.store, &entry.row)?;
            }
        }
        Ok(parts)
    }

    /// Whether a contact was asked by its account alone and is not known to have heard of it.
    pub(crate) fn is_asked(&self, account: &AccountId) -> bool {
        self.contacts.get(account).is_some_and(|contact| {
            contact.state == ContactState::Requested && contact.ticket.is_none() && contact.mailbox.is_none()
        })
    }

    /// A request that was not answered in its time is over; it may be made again.
    pub(crate) fn on_request_over(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        if !self.is_asked(account) {
            return Ok(());
        }
        let Some(contact) = self.contacts.get_mut(account) else { return Ok(()) };
        contact.state = ContactState::Expired;
        rows::save(step.store, contact)
    }

    /// Asks a contact anew if its request is over. Says whether it does.
    pub(crate) fn ask_again(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        text: Option<&str>,
    ) -> Result<bool, StoreError> {
        let over = |contact: &&mut ContactRow| contact.state == ContactState::Expired;
        let Some(contact) = self.contacts.get_mut(account).filter(over) else { return Ok(false) };
        contact.state = ContactState::Requested;
        rows::save(step.store, contact)?;
        if let Some(text) = text {
            self.say_first(step, account, text)?;
        }
        self.introduce(step, account)?;
        Ok(true)
    }

    /// Dials the hints and asks who keeps the record.
    fn ask_everywhere(&mut self, account: AccountId) {
        let Some(adding) = self.adding.get(&account) else { return };
        let address = adding.address;
        let hints = self.contacts.get(&account).and_then(|contact| contact.ticket.as_ref());
        for hint in hints.map(|ticket| ticket.hints.clone()).unwrap_or_default() {
            self.outputs.push_back(Output::ConnectHint(hint));
        }
        self.ask_custodians(Query::Invite(account), address);
    }

    pub(crate) fn on_hint_reached(&mut self, hint: &str, peer: PeerId) {
        let hinted = |contact: &&ContactRow| {
            contact.ticket.as_ref().is_some_and(|ticket| ticket.hints.iter().any(|h| h == hint))
        };
        let accounts: Vec<AccountId> = self.contacts.values().filter(hinted).map(|c| c.account).collect();
        for account in accounts {
            if let Some(adding) = self.adding.get_mut(&account) {
                adding.reached.insert(peer);
                let address = adding.address;
                if !adding.begun {
                    self.send(peer, Frame::GetRecords { address });
                }
            }
        }
    }

    pub(crate) fn ask_for_invite(&mut self, account: &AccountId, custodians: &[PeerId]) {
        let Some(adding) = self.adding.get(account).filter(|adding| !adding.begun) else { return };
        let address = adding.address;
        for peer in custodians.iter().take(REPLICAS).filter(|peer| **peer != self.config.own_peer) {
            self.outputs.push_back(Output::Send(*peer, Frame::GetRecords { address }));
        }
    }

    /// Records came: of an invite, of whereabouts, or public ones.
    pub(crate) fn on_records(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        address: Address,
        records: &[Vec<u8>],
    ) -> Result<(), StoreError> {
        let adding = self.adding.iter().find(|(_, adding)| adding.address == address);
        if let Some((account, adding)) = adding {
            let (account, token, begun) = (*account, adding.token, adding.begun);
            if begun {
                return Ok(());
            }
            for bytes in records {
                let record = RecordIn::parse(bytes).ok().and_then(|record| record.verify().ok());
                let Some(record) = record.filter(|record| record.address() == address) else {
                    self.outputs.push_back(Output::Misbehaved(peer, PeerFault::Malformed));
                    continue;
                };
                // What is inside is the author's doing: a custodian cannot see it.
                if let Some(found) = open_invite(&account, &token, &record, step.now) {
                    return self.on_invite_found(step, &account, token, found);
                }
            }
            return Ok(());
        }
        if self.on_whereabouts_records(step, &address, records)? {
            return Ok(());
        }
        self.on_public_records(peer, &address, records);
        Ok(())
    }

    fn on_invite_found(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        token: InviteToken,
        found: Found,
    ) -> Result<(), StoreError> {
        let contact = self.contacts.get(account);
        let begun = contact.is_some_and(|contact| contact.preferred.is_some());
        // After a rollback no session is used any more, but there was one.
        let met = self.sessions.of(account).next().is_some()
            || contact.is_some_and(|contact| contact.mailbox.is_some());
        match found {
            // They may have begun a session with us meanwhile: then the invite does not matter.
            Found::Ended if met => {
                if let Some(adding) = self.adding.get_mut(account) {
                    adding.begun = true;
                }
                self.answer_client(account);
                // Without a session the public bundle begins one: they may know us.
                self.introduce(step, account)
            }
            Found::Ended => self.give_up(step, account),
            Found::Open(keys) => {
                let (manifest, bundle) = *keys;
                let begun = begun || self.begin_session(step, account, &manifest, &bundle, Some(token))?;
                if !begun && !met {
                    return Ok(());
                }
                if let Some(adding) = self.adding.get_mut(account) {
                    adding.begun = true;
                }
                self.introduce(step, account)?;
                self.answer_client(account);
                self.wake(step, account)
            }
        }
    }

    /// The invite has ended: the contact that was never one is removed, its client told.
    fn give_up(&mut self, step: &mut Step<'_>, account: &AccountId) -> Result<(), StoreError> {
        let Some(adding) = self.adding.remove(account) else { return Ok(()) };
        self.end_all(step, account, "its ticket had ended")?;
        self.forget_contact(step, account)?;
        if let Some((request, _)) = adding.client {
            self.reply(request, Err(ErrorName::TicketEnded.into()));
        }
        Ok(())
    }

    pub(crate) fn answer_client(&mut self, account: &AccountId) {
        let Some(adding) = self.adding.get_mut(account) else { return };
        let Some((request, _)) = adding.client.take() else { return };
        let Some(contact) = self.contacts.get(account) else { return };
        let (contact, account, state) = (contact.name.clone(), account.to_string(), contact.state);
        self.reply(request, Ok(Reply::Add(AddReply { contact, account, state, known: false })));
    }

    pub(crate) fn on_adding_timer(
        &mut self,
        step: &mut Step<'_>,
        account: AccountId,
    ) -> Result<(), StoreError> {
        let Some(adding) = self.adding.get_mut(&account) else { return Ok(()) };
        let answer_due = adding.client.as_ref().is_some_and(|(_, until)| *until <= step.now);
        adding.attempts += 1;
        let attempts = adding.attempts;
        if answer_due {
            self.answer_client(&account);
        }
        self.ask_everywhere(account);
        let waits =
            self.adding.get(&account).and_then(|adding| adding.client.as_ref()).map(|(_, until)| *until);
        let next = match waits {
            // Somebody looks on.
            Some(until) => step.now.plus(ADD_AGAIN_MS << attempts.min(8)).min(until),
            None => step.now.plus(backoff(attempts, step)),
        };
        self.timers.set(next, Timer::Adding(account));
        Ok(())
    }
}

/// Opens and checks an invite record: everything a forger would have to have right.
fn open_invite(account: &AccountId, token: &InviteToken, record: &Record, now: Time) -> Option<Found> {
    if record.head().slot != Slot::Invite {
        return None;
    }
    match codec::decode(&record.open(&token.0).ok()?).ok()? {
        InviteContent::Ended => Some(Found::Ended),
        InviteContent::Open { expires, .. } if expires.plus(GRACE_MS) < now => Some(Found::Ended),
        InviteContent::Open { manifest, bundle, .. } => {
            let manifest = ManifestIn::parse(&manifest).ok()?.verify(*account).ok()?;
            let bundle = BundleIn::parse(&bundle).ok()?.verify(&manifest, now).ok()?;
            Some(Found::Open(Box::new((manifest, bundle))))
        }
    }
}
