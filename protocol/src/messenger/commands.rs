//! Requests of clients: checked, done in one step, answered after its commit (SPEC §10).

use super::io::{Output, RequestId};
use super::outbox::custodians;
use super::rows::{self, ClientIdRow, Kind, MessageRow, Record};
use super::story::Story;
use super::{Messenger, Step, names, reading};
use crate::control::{
    ContactsReply, ControlError, CustodyStatus, ErrorName, Health, IdReply, MessageState, OutboxReply,
    OutboxStatus, PeerCounts, RenameParams, Reply, Request, SendParams, SendReply, StatusReply,
};
use crate::id::{AccountId, MessageId, sha256};
use crate::limits::{CLIENT_ID_BYTES_MAX, LIFE_MS, LIFE_MS_MAX, OUTBOX_MAX, TEXT_BYTES_MAX};
use crate::messenger::content::Place;
use crate::store::StoreError;
use crate::time::MINUTE_MS;

/// What a client is told when the store fails: nothing was accepted.
pub(crate) fn disk(error: StoreError) -> ControlError {
    match error {
        StoreError::Full | StoreError::Io => ErrorName::Disk.into(),
        StoreError::Corrupt => ErrorName::Database.into(),
    }
}

pub(crate) type Answer<T> = Result<Result<T, ControlError>, StoreError>;

impl Messenger {
    pub(crate) fn reply(&mut self, request: RequestId, result: Result<Reply, ControlError>) {
        self.outputs.push_back(Output::Reply(request, result));
    }

    pub(crate) fn on_command(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        request: Request,
    ) -> Result<(), StoreError> {
        let answer = match request {
            Request::Add(params) => return self.add(step, id, &params),
            Request::Init(_) => {
                Err(ControlError::with(ErrorName::AlreadyInitialised, self.me.id().to_string()))
            }
            Request::IdShow(_) => Ok(Reply::Id(self.id_reply())),
            Request::Status(_) => Ok(Reply::Status(Box::new(self.status(step.now)))),
            Request::Invite(params) => self.create_invite(step, &params)?.map(Reply::Invite),
            Request::Contacts(_) => Ok(Reply::Contacts(self.contacts_reply())),
            Request::Contact(params) => names::resolve(&params.who, &self.contacts)
                .map(|contact| Reply::Contact(Box::new(self.contact_reply(contact)))),
            Request::Rename(params) => self.rename(step, &params)?,
            Request::Send(params) => self.send_text(step, &params)?.map(Reply::Send),
            Request::Read(params) => self.read(step, &params)?.map(Reply::Read),
            Request::Why(params) => self.why(step, &params.id)?.map(Reply::Why),
            Request::Outbox(_) => Ok(Reply::Outbox(self.outbox_reply())),
            Request::OutboxShow(params) => self.outbox_show(step, &params.id)?,
            Request::Retry(params) => self.retry(step, &params)?.map(Reply::Outbox),
            Request::Cancel(params) => self.cancel(step, &params)?.map(Reply::Send),
            Request::Block(params) => self.block(step, &params)?,
            Request::Unblock(params) => self.unblock(step, &params)?,
            Request::Remove(params) => self.remove_contact(step, &params)?,
            Request::Invites(_) => self.list_invites(step)?.map(Reply::Invites),
            Request::Revoke(params) => self.revoke_invite(step, &params)?,
            Request::ContactRequests(_) => Ok(Reply::Requests(self.list_requests())),
            Request::AcceptRequest(params) => {
                self.accept_request(step, &params)?.map(|contact| Reply::Contact(Box::new(contact)))
            }
            Request::DeclineRequest(params) => self.decline_request(step, &params)?.map(Reply::Done),
            Request::Subscribe(params) => self.consumer(step, &params)?.map(Reply::Subscribe),
            Request::Ack(params) => self.acknowledge(step, &params)?,
            Request::Consumers(_) => self.consumers(step)?.map(Reply::Consumers),
            Request::Forget(params) => self.forget_consumer(step, &params)?,
            Request::Hello(_) | Request::Stop(_) | Request::Peers(_) => Err(ErrorName::Internal.into()),
        };
        self.reply(id, answer);
        Ok(())
    }

    fn id_reply(&self) -> IdReply {
        IdReply { account: self.me.id().to_string(), name: self.me.row.nickname.clone() }
    }

    /// What this machine knows of the status; the shell fills in the node's part.
    fn status(&self, now: crate::time::Time) -> StatusReply {
        let count = |state| {
            let texts = self.outbox.entries.values().filter(|entry| entry.is_text());
            u64::try_from(texts.filter(|entry| entry.row.state == state).count()).unwrap_or(u64::MAX)
        };
        let outbox = OutboxStatus { queued: count(MessageState::Queued), held: count(MessageState::Held) };
        let contradicted = !self.contradicting.is_empty();
        let reasons = contradicted.then(|| "account-keys-contradict".to_owned()).into_iter().collect();
        StatusReply {
            state: "running".to_owned(),
            pid: 0,
            peer_id: self.config.own_peer.to_string(),
            listen: Vec::new(),
            role: String::new(),
            peers: PeerCounts { connected: 0, known: 0 },
            outbox,
            custody: CustodyStatus { envelopes: 0, records: 0, bytes: 0 },
            health: Health { ok: !contradicted, reasons },
            account: Some(self.id_reply()),
            contacts: u64::try_from(self.contacts.len()).unwrap_or(u64::MAX),
            unread: self.contacts.values().map(|contact| contact.unread).sum(),
            started_at: now.into(),
            custodians_known: 0,
            reach: None,
            requests: u64::try_from(self.requests.pending().count()).unwrap_or(u64::MAX),
            collected_at: self.collecting.last_listed.map(Into::into),
        }
    }

    fn contacts_reply(&self) -> ContactsReply {
        let mut contacts: Vec<_> = self.contacts.values().map(|c| self.contact_reply(c)).collect();
        contacts.sort_by(|a, b| a.name.cmp(&b.name));
        ContactsReply { contacts }
    }

    fn rename(&mut self, step: &mut Step<'_>, params: &RenameParams) -> Answer<Reply> {
        let account = match names::resolve(&params.who, &self.contacts) {
            Ok(contact) => contact.account,
            Err(error) => return Ok(Err(error)),
        };
        let name = match names::of_contact(&params.name, &self.contacts, &account) {
            Ok(name) => name,
            Err(error) => return Ok(Err(error)),
        };
        let Some(contact) = self.contacts.get_mut(&account) else {
            return Ok(Err(ErrorName::Internal.into()));
        };
        contact.name = name;
        contact.named = true;
        rows::save(step.store, contact)?;
        let contact = contact.clone();
        Ok(Ok(Reply::Contact(Box::new(self.contact_reply(&contact)))))
    }

    /// `message.send`: the message is in the store when this step commits.
    pub(crate) fn send_text(&mut self, step: &mut Step<'_>, params: &SendParams) -> Answer<SendReply> {
        let account = match self.check_send(params) {
            Ok(account) => account,
            Err(error) => return Ok(Err(error)),
        };
        let hash = sha256(&[params.text.as_bytes()]);
        if let Some(client_id) = &params.client_id
            && let Some(used) = rows::load::<ClientIdRow>(step.store, client_id.as_bytes())?
        {
            if used.contact != account || used.text != hash {
                return Ok(Err(ErrorName::ClientIdReused.into()));
            }
            return self.message_reply(step, &used.contact, &used.id);
        }
        if self.outbox.entries.len() >= OUTBOX_MAX {
            return Ok(Err(ControlError::with(ErrorName::TooMany, format!("outbox: {OUTBOX_MAX}"))));
        }
        // To write to who has not answered is to ask again.
        self.ask_again(step, &account, None)?;
        let Some(contact) = self.contacts.get_mut(&account) else {
            return Ok(Err(ErrorName::Internal.into()));
        };
        contact.sent += 1;
        let place = Place { run: contact.run, seq: contact.sent };
        rows::save(step.store, contact)?;
        self.me.row.arrivals += 1;
        self.me.save(step.store)?;
        let expires = step.now.plus(params.expire_ms.unwrap_or(LIFE_MS));
        let row = self.outbox_row(step, account, Kind::Text(place), expires);
        let id = row.id;
        let message = MessageRow {
            id,
            contact: account,
            own: true,
            place,
            arrival: self.me.row.arrivals,
            at: step.now,
            received_at: None,
            expires,
            text: params.text.clone(),
            state: MessageState::Queued,
            path: None,
            kept_by: None,
            unread: false,
            story: Story::default(),
        };
        rows::save(step.store, &message)?;
        if let Some(client_id) = params.client_id.clone() {
            let day = step.now.utc_day();
            rows::save(step.store, &ClientIdRow { client_id, id, contact: account, text: hash, day })?;
        }
        self.enqueue(step, row)?;
        Ok(Ok(self.send_reply(&message)))
    }

    fn check_send(&self, params: &SendParams) -> Result<AccountId, ControlError> {
        let contact = names::resolve(&params.to, &self.contacts)?;
        if self.open_contact(&contact.account).is_none() {
            return Err(ControlError::with(ErrorName::Blocked, contact.name.clone()));
        }
        if params.text.is_empty() || params.text.len() > TEXT_BYTES_MAX {
            return Err(ControlError::with(ErrorName::BadText, TEXT_BYTES_MAX.to_string()));
        }
        if params.expire_ms.is_some_and(|ms| !(MINUTE_MS..=LIFE_MS_MAX).contains(&ms)) {
            return Err(ControlError::with(ErrorName::OutOfRange, "expire is from 1m to 30d"));
        }
        if params.client_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > CLIENT_ID_BYTES_MAX) {
            let range = format!("a request id has 1 to {CLIENT_ID_BYTES_MAX} bytes");
            return Err(ControlError::with(ErrorName::OutOfRange, range));
        }
        Ok(contact.account)
    }

    /// How a message of ours stands.
    pub(crate) fn message_reply(
        &mut self,
        step: &mut Step<'_>,
        to: &AccountId,
        id: &MessageId,
    ) -> Answer<SendReply> {
        let key = rows::message_key(to, true, id);
        match rows::load::<MessageRow>(step.store, &key)? {
            Some(message) => Ok(Ok(self.send_reply(&message))),
            None => Err(StoreError::Corrupt),
        }
    }

    fn send_reply(&self, message: &MessageRow) -> SendReply {
        let name = self.contacts.get(&message.contact).map(|contact| contact.name.clone());
        let entry = self.outbox.entries.get(&message.id).filter(|entry| entry.is_text());
        SendReply {
            id: message.id.to_string(),
            to: name.unwrap_or_else(|| message.contact.to_string()),
            state: entry.map_or(message.state, |entry| entry.row.state),
            custodians: entry.map(|entry| custodians(&entry.row)).unwrap_or_default(),
            reason: entry.and_then(|entry| entry.row.reason),
        }
    }

    fn outbox_reply(&self) -> OutboxReply {
        let open = |state| reading::is_open(state);
        let mut entries: Vec<_> =
            self.outbox.entries.values().filter(|e| e.is_text() && open(e.row.state)).collect();
        entries.sort_by_key(|entry| (entry.row.created, entry.row.id));
        OutboxReply { messages: entries.into_iter().map(|entry| self.shown(entry)).collect() }
    }

    pub(crate) fn shown(&self, entry: &super::Entry) -> crate::control::OutboxEntry {
        let contact = self.contacts.get(&entry.row.to);
        entry.reply(contact.map_or("", |contact| contact.name.as_str()))
    }

    fn outbox_show(&mut self, step: &mut Step<'_>, id: &str) -> Answer<Reply> {
        let message = match self.find_message(step, id)? {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        let name = self.contacts.get(&message.contact).map_or("", |contact| contact.name.as_str());
        Ok(match self.outbox.entries.get(&message.id) {
            Some(entry) => Ok(Reply::OutboxEntry(entry.reply(name))),
            None => Err(ControlError::with(ErrorName::NoSuchMessage, id)),
        })
    }
}

/// A conversation is deleted: what was sent in it can be sent again under the same ids.
pub(crate) fn forget_client_ids(step: &mut Step<'_>, account: &AccountId) -> Result<(), StoreError> {
    for used in rows::scan::<ClientIdRow>(step.store)?.iter().filter(|used| used.contact == *account) {
        rows::remove::<ClientIdRow>(step.store, &used.key())?;
    }
    Ok(())
}
