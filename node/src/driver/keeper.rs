//! The Keeper's engine: `custody.db` around custody's machine.

use murmesh_protocol::keeper::io::Input;
use murmesh_protocol::keeper::{Config, Keeper};
use murmesh_protocol::messenger::io::{Deadline, Input as MessengerInput, PeerFacts};
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::Time;
use murmesh_protocol::wire::frame::Frame;
use tokio::sync::mpsc;

use super::local::Local;
use super::peers::UpPeers;
use super::{Engine, Kind};
use crate::clock;
use crate::links::{Command, SessionNumber, ToKeeper, ToMessenger};
use crate::perform::{self, Performed};
use crate::store::CustodyStore;
use crate::weight::{self, Gathered};

/// See the module.
pub(crate) struct KeeperEngine {
    config: Config,
    store: CustodyStore,
    machine: Option<Keeper>,
    clock: fn() -> Time,
    peers: UpPeers,
    done: Vec<Performed>,
    local: Local<ToMessenger>,
    runner: mpsc::Sender<Vec<Command>>,
    ended: bool,
}

/// A message that can run again.
pub(crate) enum Work {
    Up(PeerFacts, SessionNumber),
    Input(Input),
}

impl KeeperEngine {
    pub(crate) fn new(
        config: Config,
        store: CustodyStore,
        messenger: mpsc::Sender<ToMessenger>,
        runner: mpsc::Sender<Vec<Command>>,
    ) -> KeeperEngine {
        KeeperEngine {
            config,
            store,
            machine: None,
            clock: clock::now,
            peers: UpPeers::default(),
            done: Vec::new(),
            local: Local::new(messenger),
            runner,
            ended: false,
        }
    }

    /// The same by another clock.
    #[cfg(test)]
    pub(crate) fn by(self, clock: fn() -> Time) -> KeeperEngine {
        KeeperEngine { clock, ..self }
    }

    fn note(peers: &mut UpPeers, work: &Work) {
        match work {
            Work::Up(facts, session) => peers.up(*facts, *session),
            Work::Input(Input::PeerDown(peer)) => peers.down(peer),
            Work::Input(_) => {}
        }
    }
}

impl Engine for KeeperEngine {
    type Message = ToKeeper;
    type Work = Work;
    const NAME: &'static str = "keeper";

    fn accept(&mut self, message: ToKeeper) -> Option<Work> {
        match message {
            ToKeeper::Up(facts, session) => Some(Work::Up(facts, session)),
            ToKeeper::Input(input) => Some(Work::Input(input)),
            ToKeeper::Totals(answer) => {
                // Who asked and went away is not answered.
                let _ = answer.send(self.machine.as_ref().map(Keeper::totals).unwrap_or_default());
                None
            }
            ToKeeper::Stop => {
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
            Work::Input(input) => weight::of_keeper_input(input),
        }
    }

    fn kind(work: &Work) -> Kind {
        match work {
            Work::Input(Input::Deadline) => Kind::Due,
            // They only read: what is kept is handed out though nothing more can be taken.
            Work::Input(Input::Frame(
                _,
                Frame::Subscribe { .. } | Frame::Get { .. } | Frame::GetRecords { .. },
            )) => Kind::Asked,
            Work::Up(..) | Work::Input(_) => Kind::Told,
        }
    }

    fn step(&mut self, batch: &[Work]) -> Result<usize, StoreError> {
        let mut peers = self.peers.clone();
        let Some(machine) = &mut self.machine else { return Err(StoreError::Io) };
        let (own, clock, mut gathered) = (self.config.own_peer, self.clock, Gathered::default());
        let ran = self.store.transaction(|tx| {
            let now = clock();
            for (ran, work) in (1..).zip(batch) {
                let input = match work {
                    Work::Up(facts, _) => Input::PeerUp(*facts),
                    Work::Input(input) => perform::copy_for_keeper(input),
                };
                Self::note(&mut peers, work);
                machine.handle(now, input, tx)?;
                while let Some(output) = machine.poll_output() {
                    gathered.push(perform::keeper(output, own, |peer| peers.session(peer)));
                }
                if gathered.is_full() {
                    return Ok(ran);
                }
            }
            Ok::<usize, StoreError>(batch.len())
        })?;
        (self.peers, self.done) = (peers, gathered.into_done());
        Ok(ran)
    }

    fn rebuild(&mut self) -> Result<(), StoreError> {
        self.machine = None;
        self.done.clear();
        let (config, clock, peers, mut done) = (self.config, self.clock, &self.peers, Vec::new());
        let machine = self.store.transaction(|tx| {
            let now = clock();
            let mut machine = Keeper::restore(config, now, tx)?;
            for facts in peers.facts() {
                machine.handle(now, Input::PeerUp(facts), tx)?;
            }
            while let Some(output) = machine.poll_output() {
                done.push(perform::keeper(output, config.own_peer, |peer| peers.session(peer)));
            }
            Ok::<Keeper, StoreError>(machine)
        })?;
        (self.machine, self.done) = (Some(machine), done);
        Ok(())
    }

    async fn perform(&mut self) {
        let mut commands = Vec::new();
        for done in std::mem::take(&mut self.done) {
            match done {
                Performed::Command(command) => commands.push(command),
                Performed::Local(frame) => {
                    let bytes = weight::of_frame(&frame);
                    let input = MessengerInput::Frame(self.config.own_peer, frame);
                    let dropped = self.local.push(ToMessenger::Input(input), bytes);
                    if dropped > 0 {
                        tracing::warn!(
                            dropped,
                            "the messenger is too slow: frames of the own keeper are lost"
                        );
                    }
                }
                // A Keeper has no clients.
                Performed::Reply(..) | Performed::Event(_) => {}
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

    fn give_up(&mut self, work: Work, _: StoreError) {
        Self::note(&mut self.peers, &work);
    }

    fn deadline(&self) -> Option<Deadline> {
        self.machine.as_ref()?.poll_deadline()
    }

    fn flush(&mut self) {
        self.store.truncate_log();
    }

    fn ended(&self) -> bool {
        self.ended
    }
}
