//! An account one of whose rows is not what was written: the store says that the database is damaged, or the
//! machine lives with it. It does not panic.

use murmesh_protocol::control::{AcceptRequests, NoParams, ReadParams, Request, SendParams};
use murmesh_protocol::messenger::io::{Input, RequestId};
use murmesh_protocol::messenger::store::{From, MemoryStore, MessengerStore, Row, Stored, Table};
use murmesh_protocol::messenger::{Config, Messenger, RestoreError};
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::{HOUR_MS, Time};
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

use super::Program;
use super::messenger::snapshot;
use crate::mallory::MALLORY;
use crate::victim::{CUSTODIAN, OWN, facts};

/// Which read of which table gives something else.
struct Damage {
    table: u8,
    nth: usize,
    /// What is read instead, if the row itself is not changed.
    instead: Option<Vec<u8>>,
    changes: Vec<u8>,
    reads: usize,
}

impl Damage {
    fn of(program: &mut Program<'_>) -> Damage {
        let (table, nth) = (program.byte() % 12, program.below(24));
        let replace = program.byte().is_multiple_of(2);
        let rest = program.remainder().to_vec();
        let (instead, changes) = if replace { (Some(rest), Vec::new()) } else { (None, rest) };
        Damage { table, nth, instead, changes, reads: 0 }
    }

    fn read(&mut self, table: Table, mut row: Stored) -> Stored {
        if table as u8 != self.table {
            return row;
        }
        if self.reads == self.nth {
            row.value = match self.instead.take() {
                Some(value) => value,
                None => Program::new(&self.changes).changed(row.value),
            };
        }
        self.reads += 1;
        row
    }
}

struct Damaged<'a> {
    store: &'a mut dyn MessengerStore,
    damage: &'a mut Damage,
}

impl MessengerStore for Damaged<'_> {
    fn put(&mut self, row: Row<'_>) -> Result<(), StoreError> {
        self.store.put(row)
    }

    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        Ok(self.store.get(table, key)?.map(|row| self.damage.read(table, row)))
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        self.store.delete(table, key)
    }

    fn list(
        &mut self,
        table: Table,
        group: &[u8],
        from: From,
        limit: u32,
    ) -> Result<Vec<Stored>, StoreError> {
        let rows = self.store.list(table, group, from, limit)?;
        Ok(rows.into_iter().map(|row| self.damage.read(table, row)).collect())
    }

    fn scan(&mut self, table: Table) -> Result<Vec<Stored>, StoreError> {
        Ok(self.store.scan(table)?.into_iter().map(|row| self.damage.read(table, row)).collect())
    }

    fn prune(&mut self, table: Table, group: &[u8], position: u64) -> Result<(), StoreError> {
        self.store.prune(table, group, position)
    }
}

/// What is done with the account: every table is read.
fn inputs() -> Vec<Input> {
    let read = ReadParams { who: None, unread: false, since: None, limit: None, peek: false };
    let send = SendParams {
        to: "mallory".to_owned(),
        text: "hello".to_owned(),
        client_id: Some("x".to_owned()),
        expire_ms: None,
    };
    let requests = [
        Request::Status(NoParams {}),
        Request::Contacts(NoParams {}),
        Request::Read(read),
        Request::Send(send),
        Request::Outbox(NoParams {}),
    ];
    let mut inputs = vec![Input::PeerUp(facts(CUSTODIAN, true)), Input::PeerUp(facts(MALLORY, false))];
    inputs.extend((0..).zip(requests).map(|(i, request)| Input::Command(RequestId(i), request)));
    inputs.push(Input::Deadline);
    inputs
}

fn live(store: &mut MemoryStore, damage: &mut Damage, mut now: Time) -> Result<(), StoreError> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let config = Config { own_peer: OWN, rolled_back: false, accept_requests: AcceptRequests::default() };
    let restored = store.transaction(|store| {
        let mut damaged = Damaged { store, damage };
        Messenger::restore(config, now, &mut damaged, &mut rng)
    });
    let mut messenger = match restored {
        Ok(messenger) => messenger,
        Err(RestoreError::NoAccount) => return Err(StoreError::Corrupt),
        Err(RestoreError::Store(error)) => return Err(error),
    };
    for input in inputs() {
        let done: Result<(), StoreError> = store.transaction(|store| {
            let mut damaged = Damaged { store, damage };
            messenger.handle(now, input, &mut damaged, &mut rng)
        });
        done?;
        while messenger.poll_output().is_some() {}
        now = now.plus(HOUR_MS);
    }
    store.transaction(|store| {
        let mut damaged = Damaged { store, damage };
        Messenger::events_after(&mut damaged, 0, 1_000).map(|_| ())
    })
}

/// Runs a program.
pub(crate) fn run(bytes: &[u8]) {
    let snapshot = snapshot();
    let mut damage = Damage::of(&mut Program::new(bytes));
    let lived = live(&mut snapshot.store.clone(), &mut damage, snapshot.now);
    assert!(matches!(lived, Ok(()) | Err(StoreError::Corrupt)), "{lived:?}");
}
