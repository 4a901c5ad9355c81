//! Requests: strangers who ask to become contacts, until they are let in, declined or forgotten (SPEC §8.7).
//!
//! What a stranger sends before that is kept as it came, sealed. No session is begun with it, so nothing can be
//! answered: no receipt, no whereabouts; and its copies stay with the custodians, for dropping them would say that
//! somebody has read them. Letting a stranger in opens all of it once more, as a contact's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::commands::Answer;
use super::content::Part;
use super::receiving::{KeptBy, Outcome};
use super::rows::{self, PrekeyRow, Record};
use super::store::{MessengerStore, Table};
use super::{Messenger, Step, names};
use crate::control::{
    AcceptRequestParams, AcceptRequests, ContactReply, ContactState, ControlError, DeclineRequestParams,
    Done, ErrorName, EventBody, RequestEntry, RequestsReply,
};
use crate::id::{AccountId, PeerId};
use crate::limits::{
    CONTACTS_MAX, DECLINED_MAX, DECLINED_MS, REQUEST_BYTES_MAX, REQUEST_MESSAGES_MAX, REQUEST_MS,
    REQUEST_TEXT_BYTES_MAX, REQUESTS_MAX,
};
use crate::session::FirstHeader;
use crate::store::StoreError;
use crate::time::{DAY_MS, Time};
use crate::wire::codec;

/// A stranger: one that asks, or one that was told nothing for an answer.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RequestRow {
    pub(crate) account: AccountId,
    /// Names it for clients: random, so that no stranger chooses it.
    pub(crate) id: [u8; 4],
    /// When its first message was opened.
    pub(crate) at: Time,
    /// When it is forgotten.
    pub(crate) until: Time,
    pub(crate) stage: Stage,
    /// Its handshakes: further messages of these are known without opening them.
    #[serde(deserialize_with = "codec::at_most::<_, _, REQUEST_MESSAGES_MAX>")]
    pub(crate) handshakes: Vec<Handshake>,
}

/// What can be seen of a handshake without a key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handshake {
    pub(crate) hint: [u8; 8],
    pub(crate) ephemeral: [u8; 32],
}

/// Where a request stands.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// It waits for an answer.
    Pending {
        /// What the stranger calls itself; empty if that is no name.
        nickname: String,
        /// The beginning of the first of its texts that have come, by its author's count.
        text: Option<FirstText>,
        #[serde(deserialize_with = "codec::at_most::<_, _, REQUEST_MESSAGES_MAX>")]
        messages: Vec<KeptMessage>,
    },
    /// It was declined: it is not heard.
    Declined,
}

/// See [`Stage::Pending`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstText {
    pub(crate) seq: u64,
    pub(crate) text: String,
}

/// A first message of a stranger's, as it came.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeptMessage {
    pub(crate) replay_key: [u8; 16],
    pub(crate) inner: Vec<u8>,
    pub(crate) kept_by: Option<PeerId>,
}

impl Record for RequestRow {
    const TABLE: Table = Table::Requests;
    fn position(&self) -> u64 {
        self.at.0 / DAY_MS
    }
    fn key(&self) -> Vec<u8> {
        self.account.0.to_vec()
    }
}

impl RequestRow {
    fn is_pending(&self) -> bool {
        matches!(self.stage, Stage::Pending { .. })
    }

    fn id(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Remembers a handshake; the oldest is forgotten at the bound, and opened again if it comes again.
    fn remember(&mut self, handshake: Handshake) {
        if self.handshakes.contains(&handshake) {
            return;
        }
        if self.handshakes.len() >= REQUEST_MESSAGES_MAX {
            self.handshakes.remove(0);
        }
        self.handshakes.push(handshake);
    }
}

impl Handshake {
    fn of(header: &FirstHeader) -> Handshake {
        Handshake { hint: header.hint, ephemeral: header.ephemeral }
    }
}

impl Stage {
    /// Whether one more message of so many bytes is kept.
    fn has_room(&self, more: usize) -> bool {
        match self {
            Stage::Declined => false,
            Stage::Pending { messages, .. } => {
                let bytes: usize = messages.iter().map(|kept| kept.inner.len()).sum();
                messages.len() < REQUEST_MESSAGES_MAX && bytes + more <= REQUEST_BYTES_MAX
            }
        }
    }

    fn keeps(&self, replay_key: &[u8; 16]) -> bool {
        match self {
            Stage::Declined => false,
            Stage::Pending { messages, .. } => messages.iter().any(|kept| kept.replay_key == *replay_key),
        }
    }
}

/// All strangers that are known.
#[derive(Default)]
pub(crate) struct Requests {
    by_account: BTreeMap<AccountId, RequestRow>,
}

impl core::fmt::Debug for Requests {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Requests({} of {})", self.pending().count(), self.by_account.len())
    }
}

impl Requests {
    pub(crate) fn restore(store: &mut dyn MessengerStore) -> Result<Requests, StoreError> {
        let rows = rows::scan::<RequestRow>(store)?;
        Ok(Requests { by_account: rows.into_iter().map(|row| (row.account, row)).collect() })
    }

    /// Those that wait for an answer.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &RequestRow> {
        self.by_account.values().filter(|row| row.is_pending())
    }

    fn is_full(&self) -> bool {
        self.pending().count() >= REQUESTS_MAX
    }

    fn save(&mut self, store: &mut dyn MessengerStore, row: RequestRow) -> Result<(), StoreError> {
        rows::save(store, &row)?;
        self.by_account.insert(row.account, row);
        Ok(())
    }

    fn take(
        &mut self,
        store: &mut dyn MessengerStore,
        account: &AccountId,
    ) -> Result<Option<RequestRow>, StoreError> {
        let row = self.by_account.remove(account);
        if row.is_some() {
            rows::remove::<RequestRow>(store, &account.0)?;
        }
        Ok(row)
    }

    /// Of those that were declined the one that is forgotten first goes, as long as there are too many.
    fn bound_declined(&mut self, store: &mut dyn MessengerStore) -> Result<(), StoreError> {
        let declined = self.by_account.values().filter(|row| !row.is_pending());
        let mut declined: Vec<(Time, AccountId)> = declined.map(|row| (row.until, row.account)).collect();
        declined.sort_unstable();
        let surplus = declined.len().saturating_sub(DECLINED_MAX);
        for (_, account) in declined.into_iter().take(surplus) {
            self.take(store, &account)?;
        }
        Ok(())
    }

    /// The pending request that a text means: its id, a unique beginning of that, or its account.
    fn find(&self, text: &str) -> Result<&RequestRow, ControlError> {
        let by_account = text.parse().ok().and_then(|account: AccountId| self.by_account.get(&account));
        if let Some(row) = by_account.filter(|row| row.is_pending()) {
            return Ok(row);
        }
        let mut matches = self.pending().filter(|row| !text.is_empty() && row.id().starts_with(text));
        match (matches.next(), matches.next()) {
            (Some(row), None) => Ok(row),
            (None | Some(_), _) => Err(ControlError::with(ErrorName::NoSuchRequest, text)),
        }
    }
}

/// A first message of an account that is no contact, opened.
pub(crate) struct Stranger<'a> {
    pub(crate) header: &'a FirstHeader,
    pub(crate) account: AccountId,
    pub(crate) nickname: &'a str,
    pub(crate) parts: &'a [Part],
    pub(crate) inner: &'a [u8],
    pub(crate) kept_by: KeptBy,
}

impl Messenger {
    /// A first message that need not be opened: of a stranger that was declined, of one that has said enough, or one
    /// that is kept already.
    pub(crate) fn is_set_aside(&self, header: &FirstHeader, inner: &[u8]) -> bool {
        let handshake = Handshake::of(header);
        let known = self.requests.by_account.values().find(|row| row.handshakes.contains(&handshake));
        known.is_some_and(|row| row.stage.keeps(&header.replay_key()) || !row.stage.has_room(inner.len()))
    }

    /// A stranger asks. Whatever becomes of it, it learns nothing.
    pub(crate) fn on_stranger(
        &mut self,
        step: &mut Step<'_>,
        stranger: &Stranger<'_>,
    ) -> Result<Outcome, StoreError> {
        if self.config.accept_requests != AcceptRequests::Anyone {
            return Ok(Outcome::Refused);
        }
        let known = self.requests.by_account.get(&stranger.account);
        let known = known.filter(|row| row.until > step.now).cloned();
        let (mut row, is_new) = match known {
            Some(row) => (row, false),
            // Who asked first keeps its place: a request that was told of does not vanish.
            None if self.requests.is_full() => return Ok(Outcome::Aside),
            None => (self.new_request(step, stranger)?, true),
        };
        row.remember(Handshake::of(stranger.header));
        let room = row.stage.has_room(stranger.inner.len());
        let replay_key = stranger.header.replay_key();
        if let Stage::Pending { text, messages, .. } = &mut row.stage {
            let told = first_text(stranger.parts).into_iter().chain(text.take());
            *text = told.min_by_key(|told| told.seq);
            if room && !messages.iter().any(|kept| kept.replay_key == replay_key) {
                let (inner, kept_by) = (stranger.inner.to_vec(), stranger.kept_by);
                messages.push(KeptMessage { replay_key, inner, kept_by });
            }
            if messages.is_empty() {
                // Its first message is too large to be kept: without it there is nobody to let in.
                return Ok(Outcome::Aside);
            }
        }
        let shown = is_new.then(|| shown(&row)).flatten();
        self.requests.save(step.store, row)?;
        if let Some(RequestEntry { id, account, name, text, .. }) = shown {
            self.tell(step, EventBody::ContactRequest { account, name, id, text })?;
        }
        Ok(Outcome::Aside)
    }

    fn new_request(
        &mut self,
        step: &mut Step<'_>,
        stranger: &Stranger<'_>,
    ) -> Result<RequestRow, StoreError> {
        let prekey = rows::load::<PrekeyRow>(step.store, &stranger.header.hint)?;
        // Afterwards nothing of it could be opened any more.
        let opens_until = prekey.map_or(step.now, |prekey| prekey.keep_until);
        let mut id = [0; 4];
        step.rng.fill_bytes(&mut id);
        while self.requests.by_account.values().any(|row| row.id == id) {
            step.rng.fill_bytes(&mut id);
        }
        let nickname = names::nickname(stranger.nickname).unwrap_or_default();
        Ok(RequestRow {
            account: stranger.account,
            id,
            at: step.now,
            until: step.now.plus(REQUEST_MS).min(opens_until),
            stage: Stage::Pending { nickname, text: None, messages: Vec::new() },
            handshakes: Vec::new(),
        })
    }

    /// Requests that wait for an answer, the oldest first.
    pub(crate) fn list_requests(&self) -> RequestsReply {
        let mut pending: Vec<&RequestRow> = self.requests.pending().collect();
        pending.sort_unstable_by_key(|row| (row.at, row.id));
        let requests = pending.into_iter().filter_map(shown).collect();
        RequestsReply { requests, accepts: self.config.accept_requests }
    }

    /// Makes a stranger a contact: in this step, with all that it has said so far.
    pub(crate) fn accept_request(
        &mut self,
        step: &mut Step<'_>,
        params: &AcceptRequestParams,
    ) -> Answer<ContactReply> {
        let (account, name) = match self.check_accept(params) {
            Ok(checked) => checked,
            Err(error) => return Ok(Err(error)),
        };
        let nickname = match self.requests.by_account.get(&account).map(|row| &row.stage) {
            Some(Stage::Pending { nickname, .. }) => nickname.clone(),
            Some(Stage::Declined) | None => String::new(),
        };
        self.add_contact(step, account, name, &nickname, None)?;
        self.let_in(step, &account)?;
        self.introduce(step, &account)?;
        let contact = self.contacts.get(&account).ok_or(StoreError::Corrupt)?;
        Ok(Ok(self.contact_reply(contact)))
    }

    fn check_accept(
        &self,
        params: &AcceptRequestParams,
    ) -> Result<(AccountId, Option<String>), ControlError> {
        let account = self.requests.find(&params.id)?.account;
        let named = params.name.as_deref().map(|name| names::of_contact(name, &self.contacts, &account));
        let name = named.transpose()?;
        if self.contacts.len() >= CONTACTS_MAX {
            return Err(ControlError::with(ErrorName::TooMany, format!("contacts: {CONTACTS_MAX}")));
        }
        Ok((account, name))
    }

    /// An account has become a contact: what it asked, if it did, is heard now.
    pub(crate) fn let_in(&mut self, step: &mut Step<'_>, account: &AccountId) -> Result<(), StoreError> {
        let Some(row) = self.requests.take(step.store, account)? else { return Ok(()) };
        if let Stage::Pending { messages, .. } = row.stage {
            for kept in messages {
                self.open_kept(step, &kept.inner, kept.kept_by)?;
            }
        }
        // The rest of what it said is with custodians.
        self.look_at_aside(step);
        Ok(())
    }

    /// Declines a request. The stranger hears nothing of it, then and whenever it asks again.
    pub(crate) fn decline_request(
        &mut self,
        step: &mut Step<'_>,
        params: &DeclineRequestParams,
    ) -> Answer<Done> {
        let was_full = self.requests.is_full();
        let account = match self.requests.find(&params.id) {
            Ok(row) => row.account,
            Err(error) => return Ok(Err(error)),
        };
        if params.block && self.contacts.len() >= CONTACTS_MAX {
            let bound = format!("contacts: {CONTACTS_MAX}");
            return Ok(Err(ControlError::with(ErrorName::TooMany, bound)));
        }
        let Some(mut row) = self.requests.take(step.store, &account)? else {
            return Ok(Err(ErrorName::Internal.into()));
        };
        let state = if params.block { "blocked" } else { "declined" };
        if let (true, Stage::Pending { nickname, .. }) = (params.block, &row.stage) {
            let nickname = nickname.clone();
            self.add_contact(step, account, None, &nickname, None)?;
            let contact = self.contacts.get_mut(&account).ok_or(StoreError::Corrupt)?;
            contact.state = ContactState::Blocked;
            rows::save(step.store, contact)?;
        } else {
            row.stage = Stage::Declined;
            row.until = step.now.plus(DECLINED_MS);
            self.requests.save(step.store, row)?;
            self.requests.bound_declined(step.store)?;
        }
        if was_full {
            // Somebody may wait for the place.
            self.look_at_aside(step);
        }
        Ok(Ok(Done { state: state.to_owned() }))
    }

    /// Forgets those whose time is over.
    pub(crate) fn forget_requests(&mut self, step: &mut Step<'_>, now: Time) -> Result<(), StoreError> {
        let was_full = self.requests.is_full();
        let over = self.requests.by_account.values().filter(|row| row.until <= now);
        let over: Vec<AccountId> = over.map(|row| row.account).collect();
        for account in &over {
            self.requests.take(step.store, account)?;
        }
        if was_full && !over.is_empty() {
            self.look_at_aside(step);
        }
        Ok(())
    }
}

/// A request as clients are shown it; none if it is not pending.
fn shown(row: &RequestRow) -> Option<RequestEntry> {
    let Stage::Pending { nickname, text, .. } = &row.stage else { return None };
    Some(RequestEntry {
        id: row.id(),
        account: row.account.to_string(),
        name: nickname.clone(),
        at: row.at.into(),
        until: row.until.into(),
        text: text.as_ref().map(|told| told.text.clone()).unwrap_or_default(),
    })
}

/// The first text among these, as much as is kept of it.
fn first_text(parts: &[Part]) -> Option<FirstText> {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) if !text.text.is_empty() => Some(text),
        Part::Text(_)
        | Part::Receipt(_)
        | Part::Introduction(_)
        | Part::Whereabouts(_)
        | Part::AlsoHas(_) => None,
    });
    let first = texts.min_by_key(|text| text.place.seq)?;
    let kept = first.text.get(..first.text.floor_char_boundary(REQUEST_TEXT_BYTES_MAX));
    Some(FirstText { seq: first.place.seq, text: kept.unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests;
