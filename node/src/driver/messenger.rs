//! The Messenger's engine: `private.db` around the account's machine, or the lack of an account.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use murmesh_protocol::control::{
    AcceptRequests, ControlError, ErrorName, Event, EventBody, InitParams, Reply, Request,
};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper::io::Input as KeeperInput;
use murmesh_protocol::messenger::io::{Deadline, Input, RequestId};
use murmesh_protocol::messenger::{Config, Messenger, RestoreError};
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::Time;
use rand::rngs::ChaCha20Rng;
use tokio::sync::{mpsc, oneshot};

use super::local::Local;
use super::peers::UpPeers;
use super::{Engine, Kind};
use crate::control::{Backlog, EventHub};
use crate::links::{Answer, Command, SessionNumber, ToKeeper, ToMessenger};
use crate::perform::{self, Performed};
use crate::store::{OpenError, PrivateStore, Unlock};
use crate::weight::{self, Gathered};
use crate::{clock, entropy};

/// Nickname of an account whose maker gave none.
pub(crate) const NICKNAME: &str = "someone";

/// See the module.
pub(crate) struct MessengerEngine {
    own: PeerId,
    directory: PathBuf,
    unlock: Unlock,
    accept_requests: AcceptRequests,
    store: Option<PrivateStore>,
    /// None without an account, or while it is `unreadable`.
    machine: Option<Messenger>,
    unreadable: Option<StoreError>,
    rng: ChaCha20Rng,
    clock: fn() -> Time,
    peers: UpPeers,
    reachable: Option<(Vec<String>, Vec<String>)>,
    asked: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    next_request: u64,
    done: Vec<Performed>,
    local: Local<ToKeeper>,
    runner: mpsc::Sender<Vec<Command>>,
    hub: Arc<EventHub>,
    ended: bool,
}

/// A message that can run again.
pub(crate) enum Work {
    Up(murmesh_protocol::messenger::io::PeerFacts, SessionNumber),
    Input(Input),
    Command(RequestId, Request),
}

/// Whom an engine talks to.
pub(crate) struct Surroundings {
    pub(crate) keeper: mpsc::Sender<ToKeeper>,
    pub(crate) runner: mpsc::Sender<Vec<Command>>,
    pub(crate) hub: Arc<EventHub>,
}

/// Both ways in which making an account fails.
struct Failed(ControlError);

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed(store_error(error))
    }
}

/// What a client is told when the store failed.
pub(crate) fn store_error(error: StoreError) -> ControlError {
    match error {
        StoreError::Full => ErrorName::Disk.into(),
        StoreError::Corrupt => ErrorName::Database.into(),
        StoreError::Io => ErrorName::Internal.into(),
    }
}

impl MessengerEngine {
    /// An engine for the account of `directory`; `store` is open if there is one.
    pub(crate) fn new(
        own: PeerId,
        directory: PathBuf,
        unlock: Unlock,
        store: Option<PrivateStore>,
        surroundings: Surroundings,
    ) -> MessengerEngine {
        MessengerEngine {
            own,
            directory,
            unlock,
            accept_requests: AcceptRequests::default(),
            store,
            machine: None,
            unreadable: None,
            rng: entropy::rng(),
            clock: clock::now,
            peers: UpPeers::default(),
            reachable: None,
            asked: BTreeMap::new(),
            next_request: 0,
            done: Vec::new(),
            local: Local::new(surroundings.keeper),
            runner: surroundings.runner,
            hub: surroundings.hub,
            ended: false,
        }
    }

    /// The same for an account that these may ask.
    pub(crate) fn accepting(self, accept_requests: AcceptRequests) -> MessengerEngine {
        MessengerEngine { accept_requests, ..self }
    }

    /// The same by another clock and with other randomness.
    #[cfg(test)]
    pub(crate) fn seeded(self, clock: fn() -> Time, rng: ChaCha20Rng) -> MessengerEngine {
        MessengerEngine { clock, rng, ..self }
    }

    fn on_command(&mut self, request: Request, answer: oneshot::Sender<Answer>) -> Option<Work> {
        if let (Request::Init(params), None) = (&request, &self.machine) {
            let result = self.init(params).map(Reply::Init);
            // Who asked and went away finds the account on the disk.
            let _ = answer.send(result);
            return None;
        }
        if self.machine.is_none() {
            let error = self.unreadable.map_or(ErrorName::NoAccount.into(), store_error);
            let _ = answer.send(Err(error));
            return None;
        }
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.asked.insert(id, answer);
        Some(Work::Command(id, request))
    }

    fn init(&mut self, params: &InitParams) -> Result<murmesh_protocol::control::InitReply, ControlError> {
        let store = match &mut self.store {
            Some(store) => store,
            None => {
                let opened = PrivateStore::open(&self.directory, &self.unlock);
                self.store.insert(opened.map_err(|error| open_error(&error))?)
            }
        };
        let name = params.name.as_deref().unwrap_or(NICKNAME);
        let (now, rng) = ((self.clock)(), &mut self.rng);
        let reply = store
            .transaction(|tx| Messenger::create(name, now, tx, rng).map_err(Failed))
            .map_err(|Failed(error)| error)?;
        self.rebuild().map_err(store_error)?;
        tracing::info!("an account was made");
        Ok(reply)
    }

    fn events_after(&mut self, cursor: u64, limit: u32) -> Result<Backlog, ControlError> {
        let Some(store) = &mut self.store else { return Ok(Backlog::default()) };
        let (events, before_oldest) =
            store.transaction(|tx| Messenger::events_after(tx, cursor, limit)).map_err(store_error)?;
        Ok(Backlog { events, oldest_kept: before_oldest.saturating_add(1) })
    }

    fn tell_peer_event(&self, body: EventBody) {
        let at = (self.clock)().into();
        self.hub.publish(Event { cursor: String::new(), at, body });
    }

    /// Records what was told, once it is.
    fn note(peers: &mut UpPeers, reachable: &mut Option<(Vec<String>, Vec<String>)>, work: &Work) {
        match work {
            Work::Up(facts, session) => peers.up(*facts, *session),
            Work::Input(Input::PeerDown(peer)) => peers.down(peer),
            Work::Input(Input::Reachable { own, others }) => *reachable = Some((own.clone(), others.clone())),
            Work::Input(_) | Work::Command(..) => {}
        }
    }
}

impl Engine for MessengerEngine {
    type Message = ToMessenger;
    type Work = Work;
    const NAME: &'static str = "messenger";

    fn accept(&mut self, message: ToMessenger) -> Option<Work> {
        match message {
            ToMessenger::Up(facts, session) => {
                // Told again when its role changes: clients hear of the connection once.
                let again = self.peers.session(&facts.peer) == Some(session);
                if facts.peer != self.own && !again {
                    self.tell_peer_event(EventBody::PeerUp { peer_id: facts.peer.to_string() });
                }
                Some(Work::Up(facts, session))
            }
            ToMessenger::Input(input) => {
                if let Input::PeerDown(peer) = &input {
                    self.tell_peer_event(EventBody::PeerDown { peer_id: peer.to_string() });
                }
                Some(Work::Input(input))
            }
            ToMessenger::Command(request, answer) => self.on_command(request, answer),
            ToMessenger::Events(cursor, limit, answer) => {
                let _ = answer.send(self.events_after(cursor, limit));
                None
            }
            ToMessenger::Stop => {
                self.ended = true;
                None
            }
        }
    }

    fn due(&self) -> Work {
        Work::Input(Input::Deadline)
    }

    fn weight(work: &Work) -> usize {
        match work {
            Work::Up(..) => 0,
            Work::Input(input) => weight::of_input(input),
            Work::Command(_, request) => weight::of_request(request),
        }
    }

    fn kind(work: &Work) -> Kind {
        match work {
            Work::Command(..) => Kind::Asked,
            Work::Input(Input::Deadline) => Kind::Due,
            Work::Up(..) | Work::Input(_) => Kind::Told,
        }
    }

    fn step(&mut self, batch: &[Work]) -> Result<usize, StoreError> {
        let mut peers = self.peers.clone();
        let mut reachable = self.reachable.clone();
        let (Some(machine), Some(store)) = (&mut self.machine, &mut self.store) else {
            batch.iter().for_each(|work| Self::note(&mut self.peers, &mut self.reachable, work));
            return Ok(batch.len());
        };
        let (own, clock, rng, mut gathered) = (self.own, self.clock, &mut self.rng, Gathered::default());
        let ran = store.transaction(|tx| {
            let now = clock();
            let mut ran = 0;
            for work in batch {
                let input = match work {
                    Work::Up(facts, _) => Input::PeerUp(*facts),
                    Work::Input(input) => perform::copy(input),
                    Work::Command(id, request) => Input::Command(*id, request.clone()),
                };
                Self::note(&mut peers, &mut reachable, work);
                machine.handle_unsettled(now, input, tx, rng)?;
                ran += 1;
                while let Some(output) = machine.poll_output() {
                    gathered.push(perform::messenger(output, own, |peer| peers.session(peer)));
                }
                if gathered.is_full() {
                    break;
                }
            }
            machine.settle(now, tx, rng)?;
            while let Some(output) = machine.poll_output() {
                gathered.push(perform::messenger(output, own, |peer| peers.session(peer)));
            }
            Ok::<usize, StoreError>(ran)
        })?;
        (self.peers, self.reachable, self.done) = (peers, reachable, gathered.into_done());
        Ok(ran)
    }

    fn rebuild(&mut self) -> Result<(), StoreError> {
        self.machine = None;
        self.done.clear();
        let Some(store) = &mut self.store else { return Ok(()) };
        let config = Config {
            own_peer: self.own,
            rolled_back: store.rolled_back(),
            accept_requests: self.accept_requests,
        };
        let (own, clock, rng) = (self.own, self.clock, &mut self.rng);
        let (peers, reachable) = (&self.peers, &self.reachable);
        let mut done = Vec::new();
        let restored = store.transaction(|tx| {
            let now = clock();
            let mut machine = Messenger::restore(config, now, tx, rng)?;
            let told = peers.facts().map(Input::PeerUp);
            let (own_addresses, others) = reachable.clone().unwrap_or_default();
            let told =
                told.chain(reachable.is_some().then_some(Input::Reachable { own: own_addresses, others }));
            for input in told {
                machine.handle(now, input, tx, rng)?;
            }
            while let Some(output) = machine.poll_output() {
                done.push(perform::messenger(output, own, |peer| peers.session(peer)));
            }
            Ok(machine)
        });
        self.unreadable = match &restored {
            Err(RestoreError::Store(error)) => Some(*error),
            Ok(_) | Err(RestoreError::NoAccount) => None,
        };
        match restored {
            Ok(machine) => {
                let acknowledged = store.acknowledge_rollback();
                self.unreadable = acknowledged.err();
                if acknowledged.is_ok() {
                    self.machine = Some(machine);
                    self.done = done;
                }
                acknowledged
            }
            Err(RestoreError::NoAccount) => Ok(()),
            Err(RestoreError::Store(error)) => Err(error),
        }
    }

    async fn perform(&mut self) {
        let mut commands = Vec::new();
        for done in std::mem::take(&mut self.done) {
            match done {
                Performed::Command(command) => commands.push(command),
                Performed::Local(frame) => {
                    let bytes = weight::of_frame(&frame);
                    let input = KeeperInput::Frame(self.own, frame);
                    let dropped = self.local.push(ToKeeper::Input(input), bytes);
                    if dropped > 0 {
                        tracing::warn!(
                            dropped,
                            "the keeper is too slow: frames of the own messenger are lost"
                        );
                    }
                }
                Performed::Reply(id, answer) => {
                    if let Some(asked) = self.asked.remove(&id) {
                        let _ = asked.send(answer);
                    }
                }
                Performed::Event(event) => self.hub.publish(event),
            }
        }
        if !commands.is_empty() {
            // The runner is gone only when the node stops.
            let _ = self.runner.send(commands).await;
        }
    }

    fn discard(&mut self) {
        self.done.clear();
    }

    async fn hand_over(&mut self) {
        self.local.hand_over().await;
    }

    fn give_up(&mut self, work: Work, error: StoreError) {
        Self::note(&mut self.peers, &mut self.reachable, &work);
        if let Work::Command(id, _) = work
            && let Some(asked) = self.asked.remove(&id)
        {
            let _ = asked.send(Err(store_error(error)));
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.machine.as_ref()?.poll_deadline()
    }

    fn flush(&mut self) {
        if let Some(store) = &mut self.store {
            store.truncate_log();
        }
    }

    fn ended(&self) -> bool {
        self.ended
    }
}

/// Why a database cannot be opened, in the control API's words.
pub(crate) fn open_error(error: &OpenError) -> ControlError {
    let name = match error {
        OpenError::Locked(why) => return ControlError::with(ErrorName::Locked, *why),
        OpenError::Newer { .. } | OpenError::Damaged(_) => ErrorName::Database,
        OpenError::Full => ErrorName::Disk,
        OpenError::Io { .. } => ErrorName::Permission,
    };
    ControlError::with(name, error.to_string())
}
