//! Questions to the routing layer: who is responsible for an address, and what the answer is for (SPEC §8.1).
//! How they are answered is the node's.

use super::io::{Output, QueryId};
use super::{Messenger, Step};
use crate::id::{AccountId, Address, MessageId};
use crate::placement::Region;
use crate::store::StoreError;

/// What a question to the routing layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// Where to deposit an outbox entry, in this mailbox.
    Deposit(MessageId, Address),
    /// Where to deposit a receipt, in this one.
    Receipt(AccountId, Address),
    /// Who keeps one of our mailboxes.
    Mailbox(Address),
    /// Who keeps one of our records.
    Publish(Address),
    /// Who keeps the invite record of a ticket.
    Invite(AccountId),
    /// Who keeps the public records of a contact.
    Session(AccountId),
    /// Who keeps the whereabouts of a contact.
    Whereabouts(AccountId),
}

impl Messenger {
    pub(super) fn ask_custodians(&mut self, query: Query, address: Address) {
        let id = QueryId(self.next_query);
        self.next_query += 1;
        self.queries.insert(id, query);
        self.outputs.push_back(Output::FindCustodians(id, address));
    }

    pub(super) fn on_custodians(
        &mut self,
        step: &mut Step<'_>,
        query: QueryId,
        region: Region,
    ) -> Result<(), StoreError> {
        match self.queries.remove(&query) {
            None => Ok(()),
            Some(Query::Deposit(id, asked)) => self.begin_round(step, id, &asked, &region),
            Some(Query::Receipt(account, asked)) => self.deposit_receipt(step, account, &asked, &region),
            Some(Query::Mailbox(address)) => {
                self.on_mailbox_region(step, &address, region.custodians);
                Ok(())
            }
            Some(Query::Publish(address)) => {
                self.on_publish_region(step, &address, &region.custodians);
                Ok(())
            }
            Some(Query::Invite(account)) => {
                self.ask_for_invite(&account, &region.custodians);
                Ok(())
            }
            Some(Query::Session(account)) => {
                self.ask_for_bundle(step, &account, &region.custodians);
                Ok(())
            }
            Some(Query::Whereabouts(account)) => {
                self.ask_for_whereabouts(&account, &region.custodians);
                Ok(())
            }
        }
    }
}
