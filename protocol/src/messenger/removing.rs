//! Contacts that are to be heard no more: blocked, let in again, or removed with all that was said
//! (SPEC §8.5).
//!
//! What these do is done here and told to nobody. A blocked or removed contact sees its messages go as if we
//! were offline; custodians keep them until they expire.

use super::commands::forget_client_ids;
use super::rows::{self, ContactRow};
use super::store::Table;
use super::{Messenger, Query, Step, names, story};
use crate::control::{ContactState, ControlError, Done, MessageState, Reply, WhoParams};
use crate::id::AccountId;
use crate::store::StoreError;

type Answer = Result<Result<Reply, ControlError>, StoreError>;

impl Messenger {
    pub(crate) fn block(&mut self, step: &mut Step<'_>, params: &WhoParams) -> Answer {
        let account = match names::resolve(&params.who, &self.contacts) {
            Ok(contact) => contact.account,
            Err(error) => return Ok(Err(error)),
        };
        self.end_all(step, &account, "the contact was blocked")?;
        self.stop_adding(&account);
        self.direct.forget(&account);
        self.stop_receipts(&account);
        self.contradicting.remove(&account);
        self.set_state(step, &account, ContactState::Blocked)
    }

    /// Lets a blocked contact in again: what it sends from now on is shown.
    pub(crate) fn unblock(&mut self, step: &mut Step<'_>, params: &WhoParams) -> Answer {
        let contact = match names::resolve(&params.who, &self.contacts) {
            Ok(contact) => contact,
            Err(error) => return Ok(Err(error)),
        };
        let account = contact.account;
        if contact.state != ContactState::Blocked {
            return Ok(Ok(Reply::Contact(Box::new(self.contact_reply(contact)))));
        }
        let met = contact.mailbox.is_some();
        let state = if met { ContactState::Connected } else { ContactState::Requested };
        let peer = contact.whereabouts.as_ref().map(|whereabouts| whereabouts.peer);
        let reply = self.set_state(step, &account, state)?;
        self.go_on_adding(step, &account);
        if !met {
            self.introduce(step, &account)?;
        }
        if let Some(peer) = peer.filter(|peer| self.peers.contains_key(peer)) {
            self.prove_directly(step, &peer);
        }
        Ok(reply)
    }

    fn set_state(&mut self, step: &mut Step<'_>, account: &AccountId, state: ContactState) -> Answer {
        let Some(contact) = self.contacts.get_mut(account) else {
            return Ok(Err(crate::control::ErrorName::Internal.into()));
        };
        contact.state = state;
        contact.receipt_owed &= state != ContactState::Blocked;
        rows::save(step.store, contact)?;
        let contact = contact.clone();
        Ok(Ok(Reply::Contact(Box::new(self.contact_reply(&contact)))))
    }

    pub(crate) fn remove_contact(&mut self, step: &mut Step<'_>, params: &WhoParams) -> Answer {
        let account = match names::resolve(&params.who, &self.contacts) {
            Ok(contact) => contact.account,
            Err(error) => return Ok(Err(error)),
        };
        self.end_all(step, &account, "the contact was removed")?;
        self.stop_adding(&account);
        self.forget_contact(step, &account)?;
        Ok(Ok(Reply::Done(Done { state: "removed".to_owned() })))
    }

    /// Nothing of a contact stays: its row, its conversation, its sessions, what is in memory.
    pub(crate) fn forget_contact(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        step.store.prune(Table::Messages, &account.0, u64::MAX)?;
        forget_client_ids(step, account)?;
        self.sessions.drop_unlisted(step.store, account, |_| false)?;
        self.direct.forget(account);
        self.stop_receipts(account);
        self.begun_anew.forget(account);
        self.quota.forget(account);
        self.contradicting.remove(account);
        self.whereabouts_asked.remove(account);
        self.queries.retain(|_, query| query.account() != Some(account));
        self.contacts.remove(account);
        rows::remove::<ContactRow>(step.store, &account.0)?;
        Ok(())
    }

    /// Everything that waits for a contact ends; nothing more of it leaves.
    pub(crate) fn end_all(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        why: &str,
    ) -> Result<(), StoreError> {
        for id in self.outbox.of(account) {
            if let Some(entry) = self.outbox.entries.get_mut(&id) {
                story::note(&mut entry.row, step.now, "stopped", None, why);
            }
            self.end(step, id, MessageState::Failed, None)?;
        }
        Ok(())
    }
}

impl Query {
    /// The contact it is asked for, if it is asked for one.
    fn account(&self) -> Option<&AccountId> {
        match self {
            Query::Receipt(account, _)
            | Query::Invite(account)
            | Query::Session(account)
            | Query::Whereabouts(account) => Some(account),
            Query::Deposit(..) | Query::Mailbox(_) | Query::Publish(_) => None,
        }
    }
}
