//! `murmeshd offline`: one control request without a running node, for `init` and `id`.

use std::path::{Path, PathBuf};

use murmesh_protocol::control::{ControlError, ErrorName, IdReply, InitReply, Reply, Request};
use murmesh_protocol::messenger::{Messenger, RestoreError};
use murmesh_protocol::store::StoreError;

use crate::control::{Backend, Backlog, DirLock, answer_line};
use crate::driver::{open_error, store_error};
use crate::store::{PrivateStore, Unlock};
use crate::{clock, entropy, files};

/// Answers one request line about a data directory; the answer ends with a newline.
pub async fn answer(data_dir: &Path, unlock: Result<Unlock, ControlError>, line: &str) -> String {
    answer_line(&Offline { directory: data_dir.to_owned(), unlock }, line).await
}

struct Offline {
    directory: PathBuf,
    unlock: Result<Unlock, ControlError>,
}

struct Failed(ControlError);

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed(store_error(error))
    }
}

impl Offline {
    fn call_now(&self, request: &Request) -> Result<Reply, ControlError> {
        if !matches!(request, Request::Init(_) | Request::IdShow(_)) {
            return Err(ControlError::with(ErrorName::BadRequest, "not without a running node"));
        }
        let unlock = self.unlock.clone()?;
        if !matches!(request, Request::Init(_)) && !PrivateStore::exists(&self.directory) {
            return Err(ErrorName::NoAccount.into());
        }
        files::make_directory(&self.directory).map_err(|error| files::cannot_use(&self.directory, &error))?;
        let _lock = DirLock::take(&self.directory)?;
        let mut store = PrivateStore::open(&self.directory, &unlock).map_err(|error| open_error(&error))?;
        let reply = if let Request::Init(params) = request {
            let name = params.name.as_deref().unwrap_or(crate::driver::NICKNAME);
            init(&mut store, name).map(Reply::Init)
        } else {
            identity(&mut store).map(Reply::Id)
        };
        store.truncate_log();
        reply
    }
}

fn init(store: &mut PrivateStore, name: &str) -> Result<InitReply, ControlError> {
    let mut rng = entropy::rng();
    let made = store.transaction(|tx| Messenger::create(name, clock::now(), tx, &mut rng).map_err(Failed));
    made.map_err(|Failed(error)| error)
}

fn identity(store: &mut PrivateStore) -> Result<IdReply, ControlError> {
    store.transaction(Messenger::identity).map_err(|error| match error {
        RestoreError::NoAccount => ErrorName::NoAccount.into(),
        RestoreError::Store(error) => store_error(error),
    })
}

impl Backend for Offline {
    async fn call(&self, request: Request) -> Result<Reply, ControlError> {
        self.call_now(&request)
    }

    async fn events_after(&self, _: u64, _: u32) -> Result<Backlog, ControlError> {
        Ok(Backlog::default())
    }
}
