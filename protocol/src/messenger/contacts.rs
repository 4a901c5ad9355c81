//! Contacts: becoming one, being connected, introducing ourselves, finding out where they are
//! (SPEC §8.5).

use super::content::Whereabouts;
use super::rows::{self, ContactRow, Kind, OutboxRow, TicketRow};
use super::story::Story;
use super::{Messenger, Query, Step, names};
use crate::blind::whereabouts_address;
use crate::control::{ContactReply, ContactState, EventBody, MessageState};
use crate::id::{AccountId, Address, MessageId, PeerId};
use crate::limits::{LIFE_MS_MAX, REPLICAS, REQUEST_MS, WHEREABOUTS_MS};
use crate::store::StoreError;
use crate::time::Time;
use crate::wire::codec;
use crate::wire::frame::Frame;
use crate::wire::record::{RecordIn, Slot};

impl Messenger {
    /// Writes a new contact. `name` is what our user chose, `nickname` what they call themselves.
    pub(crate) fn add_contact(
        &mut self,
        step: &mut Step<'_>,
        account: AccountId,
        name: Option<String>,
        nickname: &str,
        ticket: Option<TicketRow>,
    ) -> Result<(), StoreError> {
        let nickname = names::nickname(nickname).unwrap_or_default();
        let address = account.to_string();
        let short = address.get(..12).unwrap_or(&address).to_owned();
        let named = name.is_some();
        let wanted = name.unwrap_or(if nickname.is_empty() { short } else { nickname });
        let contact = ContactRow {
            account,
            name: names::unique(&wanted, &self.contacts, &account),
            named,
            nickname: None,
            state: ContactState::Requested,
            added_at: step.now,
            seen_at: None,
            ticket,
            manifest: Vec::new(),
            manifest_mark: super::content::ManifestMark::default(),
            bundle_seq: 0,
            mailbox: None,
            whereabouts: None,
            told: None,
            preferred: None,
            other: None,
            sessions: 0,
            run: step.rng.next_u64(),
            sent: 0,
            received: Vec::new(),
            receipt_owed: false,
            unread: 0,
        };
        rows::save(step.store, &contact)?;
        self.contacts.insert(account, contact);
        Ok(())
    }

    /// Puts our introduction into the outbox, unless one waits there.
    pub(crate) fn introduce(&mut self, step: &mut Step<'_>, account: &AccountId) -> Result<(), StoreError> {
        let waits =
            self.outbox.entries.values().any(|e| e.row.to == *account && e.row.kind == Kind::Introduction);
        if waits {
            return self.wake(step, account);
        }
        let life = if self.is_asked(account) { REQUEST_MS } else { LIFE_MS_MAX };
        let row = self.outbox_row(step, *account, Kind::Introduction, step.now.plus(life));
        self.enqueue(step, row)
    }

    pub(crate) fn outbox_row(
        &self,
        step: &mut Step<'_>,
        to: AccountId,
        kind: Kind,
        expires: Time,
    ) -> OutboxRow {
        let mut random = [0; 11];
        step.rng.fill_bytes(&mut random);
        OutboxRow {
            id: MessageId::new(random, step.now),
            to,
            kind,
            created: step.now,
            expires,
            state: MessageState::Queued,
            reason: None,
            held_by: Vec::new(),
            want: 0,
            until: None,
            attempts: 0,
            redeposits: 0,
            sealed: None,
            left: false,
            story: Story::default(),
        }
    }

    /// The contact has our introduction, and we have theirs: messages flow both ways.
    pub(crate) fn connected(&mut self, step: &mut Step<'_>, account: &AccountId) -> Result<(), StoreError> {
        let Some(contact) = self.contacts.get_mut(account) else { return Ok(()) };
        let asked = matches!(contact.state, ContactState::Requested | ContactState::Expired);
        if !asked || contact.mailbox.is_none() {
            return Ok(());
        }
        contact.state = ContactState::Connected;
        contact.ticket = None;
        rows::save(step.store, contact)?;
        let body = EventBody::ContactConnected {
            name: contact.name.clone(),
            account: account.to_string(),
            state: ContactState::Connected,
        };
        self.stop_adding(account);
        self.tell(step, body)
    }

    pub(crate) fn contact_reply(&self, contact: &ContactRow) -> ContactReply {
        ContactReply {
            name: contact.name.clone(),
            account: contact.account.to_string(),
            state: contact.state,
            verified: false,
            online: self.is_online(&contact.account),
            seen_at: contact.seen_at.map(Into::into),
            nickname: contact.nickname.clone(),
            added_at: contact.added_at.into(),
            sessions: contact.sessions,
        }
    }

    /// A contact does not answer where it was said to be: look for its whereabouts record.
    pub(crate) fn want_whereabouts(&mut self, step: &Step<'_>, account: &AccountId) {
        let asked = self.whereabouts_asked.get(account);
        if asked.is_some_and(|(at, _)| step.now.since(*at) < WHEREABOUTS_MS) {
            return;
        }
        let Some(mailbox) = self.contacts.get(account).and_then(|contact| contact.mailbox.as_ref()) else {
            return;
        };
        let Ok(address) = whereabouts_address(&mailbox.public(), account.day(step.now)) else { return };
        self.whereabouts_asked.insert(*account, (step.now, address));
        self.ask_custodians(Query::Whereabouts(*account), address);
    }

    pub(crate) fn ask_for_whereabouts(&mut self, account: &AccountId, custodians: &[PeerId]) {
        let Some((_, address)) = self.whereabouts_asked.get(account).copied() else { return };
        for peer in custodians.iter().take(REPLICAS).filter(|peer| self.peers.contains_key(peer)) {
            self.outputs.push_back(super::Output::Send(*peer, Frame::GetRecords { address }));
        }
    }

    /// Takes a whereabouts record that was asked for. Says whether the address was one.
    pub(crate) fn on_whereabouts_records(
        &mut self,
        step: &mut Step<'_>,
        address: &Address,
        records: &[Vec<u8>],
    ) -> Result<bool, StoreError> {
        let asked = self.whereabouts_asked.iter().find(|(_, (_, asked))| asked == address);
        let Some(account) = asked.map(|(account, _)| *account) else { return Ok(false) };
        let Some(contact) = self.contacts.get_mut(&account) else { return Ok(true) };
        let Some(mailbox) = &contact.mailbox else { return Ok(true) };
        let secret = mailbox.public().secret;
        let newest = records
            .iter()
            .filter_map(|bytes| open_whereabouts(bytes, address, &secret))
            .max_by_key(|whereabouts| whereabouts.valid_until);
        if let Some(found) = newest
            && contact.whereabouts.as_ref().is_none_or(|known| known.valid_until < found.valid_until)
            && contact.whereabouts.as_ref().is_none_or(|known| known.addresses != found.addresses)
        {
            self.direct.dial_again(&account);
            contact.whereabouts = Some(found);
            rows::save(step.store, contact)?;
            self.wake(step, &account)?;
        }
        Ok(true)
    }
}

fn open_whereabouts(bytes: &[u8], address: &Address, secret: &[u8; 32]) -> Option<Whereabouts> {
    let record = RecordIn::parse(bytes).ok()?.verify().ok()?;
    if record.address() != *address || record.head().slot != Slot::Whereabouts {
        return None;
    }
    let whereabouts: Whereabouts = codec::decode(&record.open(secret).ok()?).ok()?;
    whereabouts.within_limits().then_some(whereabouts)
}
