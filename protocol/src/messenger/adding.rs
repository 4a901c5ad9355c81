//! Adding a contact by its ticket: reach the hinted peers, fetch the invite record, begin the session
//! (SPEC §8.5).
//!
//! What is known of it is in the contact's row, so a restart goes on where it was.

use std::collections::BTreeSet;

use super::invites::{InviteContent, hint_address};
use super::io::{Output, PeerFault, RequestId};
use super::rows::TicketRow;
use super::sending::backoff;
use super::timers::Timer;
use super::{Messenger, Query, Step, names};
use crate::blind::invite_address;
use crate::control::{AddParams, AddReply, ContactState, ControlError, ErrorName, Reply};
use crate::id::{AccountId, Address, InviteToken, PeerId};
use crate::limits::{ADD_AGAIN_MS, ADD_REPLY_MS, CONTACTS_MAX, GRACE_MS, REPLICAS};
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
        let waiting: Vec<(AccountId, InviteToken, bool)> = self
            .contacts
            .values()
            .filter_map(|c| Some((c.account, c.ticket.as_ref()?.token, c.preferred.is_some())))
            .collect();
        for (account, token, begun) in waiting {
            self.watch_invite(account, token, None, begun);
            self.timers.set(step.now, Timer::Adding(account));
        }
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

    /// `contact.add`: written at once; answered when the invite record is there, or after a while.
    pub(crate) fn add_by_ticket(
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
            Ok((ticket, token, name)) => {
                if let Some(known) = self.contacts.get(&ticket.account) {
                    let (contact, state) = (known.name.clone(), known.state);
                    let account = ticket.account.to_string();
                    self.reply(request, Ok(Reply::Add(AddReply { contact, account, state, known: true })));
                    return Ok(());
                }
                let hints = ticket.hints.iter().map(hint_address).collect();
                let row = TicketRow { token, hints };
                self.add_contact(step, ticket.account, name, "", Some(row))?;
                let until = step.now.plus(ADD_REPLY_MS);
                self.watch_invite(ticket.account, token, Some((request, until)), false);
                let again = step.now.plus(ADD_AGAIN_MS);
                self.timers.set(again, Timer::Adding(ticket.account));
                self.ask_everywhere(ticket.account);
                Ok(())
            }
        }
    }

    fn check_add(&self, params: &AddParams) -> Result<(Ticket, InviteToken, Option<String>), ControlError> {
        let ticket: Ticket = params.ticket.parse()?;
        let token = ticket.token.ok_or(ControlError::with(ErrorName::BadTicket, "it carries no invite"))?;
        if ticket.account == self.me.id() {
            return Err(ErrorName::OwnTicket.into());
        }
        let name = params.name.as_deref().map(names::check).transpose()?;
        if self.contacts.len() >= CONTACTS_MAX && !self.contacts.contains_key(&ticket.account) {
            return Err(ControlError::with(ErrorName::TooMany, format!("contacts: {CONTACTS_MAX}")));
        }
        Ok((ticket, token, name))
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
        let hinted = |contact: &&super::ContactRow| {
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
        let reply = AddReply {
            contact: contact.name.clone(),
            account: account.to_string(),
            state: ContactState::Requested,
            known: false,
        };
        self.reply(request, Ok(Reply::Add(reply)));
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
