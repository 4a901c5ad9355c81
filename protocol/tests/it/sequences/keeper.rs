//! A Keeper among three peers that do what the program says, and one whose mail it keeps all the same.

use murmesh_protocol::blind::{AddressSigner, BlindedSigner};
use murmesh_protocol::id::{EnvelopeId, PeerId};
use murmesh_protocol::keeper::io::{Input, Output};
use murmesh_protocol::keeper::store::{KeeperStore, MemoryStore};
use murmesh_protocol::keeper::{Config, Keeper};
use murmesh_protocol::keys::{AccountKeys, Entropy};
use murmesh_protocol::messenger::io::PeerFacts;
use murmesh_protocol::route::{Machine, route};
use murmesh_protocol::time::{DAY_MS, Day, SECOND_MS, Time};
use murmesh_protocol::wire::claim::{self, sign_get, sign_subscribe, sign_tombstone};
use murmesh_protocol::wire::envelope::seal_round;
use murmesh_protocol::wire::frame::{Admission, Claim, Frame, Role, Tombstone};
use murmesh_protocol::wire::record::{RecordHead, Slot, seal_record};
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

use super::{Program, frame_of};

const NOW: Time = Time(20_000 * DAY_MS + DAY_MS / 2);
const OWN: PeerId = PeerId([1; 32]);
const HONEST: PeerId = PeerId([9; 32]);
/// Little, so that a program meets the bound.
const HELD_BYTES_MAX: u64 = 256 * 1024;
/// What one frame may make it say: a GET has 64 ids, an envelope is pushed to who listens.
const OUTPUTS_MAX: usize = 128;

struct Play {
    keeper: Keeper,
    store: MemoryStore,
    now: Time,
    signers: Vec<(BlindedSigner, Day)>,
    rng: ChaCha20Rng,
    pool: Vec<Vec<u8>>,
    ids: Vec<EnvelopeId>,
    connected: Vec<PeerId>,
}

fn facts(peer: PeerId, challenge: u8) -> PeerFacts {
    let prefix = (challenge % 3 == 1).then_some([0, 0, 0, 8, 8, challenge]);
    let (their_challenge, our_challenge) = ([8; 32], [challenge; 32]);
    PeerFacts {
        peer,
        role: Role::Full,
        keeps: challenge.is_multiple_of(2),
        their_challenge,
        our_challenge,
        prefix,
    }
}

impl Play {
    fn new() -> Play {
        let mut store = MemoryStore::default();
        let config = Config { own_peer: OWN, held_bytes_max: HELD_BYTES_MAX };
        let keeper = store.transaction(|tx| Keeper::restore(config, NOW, tx)).unwrap();
        let account = AccountKeys::derive(&Entropy::from_bytes([7; 32]));
        let today = NOW.utc_day();
        let signers = [today, today.offset(1)].map(|day| (BlindedSigner::request(&account, day), day));
        let rng = ChaCha20Rng::seed_from_u64(1);
        let (pool, ids, connected) = (Vec::new(), Vec::new(), Vec::new());
        let mut play = Play { keeper, store, now: NOW, signers: signers.into(), rng, pool, ids, connected };
        for peer in [OWN, HONEST, PeerId([2; 32]), PeerId([3; 32])] {
            play.up(peer, 0);
        }
        play
    }

    fn up(&mut self, peer: PeerId, challenge: u8) {
        self.connected.push(peer);
        self.input(Input::PeerUp(facts(peer, challenge)));
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        let Play { keeper, now, .. } = self;
        self.store.transaction(|tx| keeper.handle(*now, input, tx)).unwrap();
        let outputs: Vec<Output> = std::iter::from_fn(|| self.keeper.poll_output()).collect();
        assert!(outputs.len() <= OUTPUTS_MAX, "{}", outputs.len());
        let totals = self.store.totals().unwrap();
        assert!(totals.bytes <= HELD_BYTES_MAX, "{totals:?}");
        outputs
    }

    fn hear(&mut self, from: PeerId, bytes: &[u8]) {
        if let Some(frame) = frame_of(bytes).filter(|frame| route(frame) == Machine::Keeper) {
            self.input(Input::Frame(from, frame));
        }
    }

    fn step(&mut self, step: u8, program: &mut Program<'_>) {
        let from = [PeerId([2; 32]), PeerId([3; 32]), PeerId([4; 32]), OWN][program.below(4)];
        match step % 9 {
            0 => {
                let frame = self.frame(program);
                self.pool.push(frame.to_bytes());
                self.input(Input::Frame(from, frame));
            }
            1 => {
                let bytes = self.frame(program).to_bytes();
                self.hear(from, &program.changed(bytes));
            }
            2 => {
                let bytes = self.pool.get(program.below(self.pool.len())).cloned().unwrap_or_default();
                self.hear(from, &bytes);
            }
            3 => self.hear(from, program.bytes()),
            4 => {
                self.now = self.now.plus(u64::from(program.byte()) * 60 * SECOND_MS);
                self.input(Input::Deadline);
            }
            5 => drop(self.input(Input::PeerDown(from))),
            6 => self.up(from, program.byte()),
            7 => drop(self.input(Input::NeighbourSeen {
                peer: from,
                role: Role::Full,
                keeps: program.byte().is_multiple_of(2),
            })),
            _ => drop(self.input(Input::NeighbourGone(from))),
        }
    }

    /// A frame that is as it should be.
    fn frame(&mut self, program: &mut Program<'_>) -> Frame {
        let (signer, day) = &self.signers[program.below(self.signers.len())];
        let (address, day, cursor) = (signer.address(), *day, u64::from(program.byte()));
        let challenge = [program.byte() % 4; 32];
        let claim = claim::Claim { custodian: OWN, challenge, address, day, cursor };
        let mut ids: Vec<EnvelopeId> = self.ids.iter().copied().take(program.below(70)).collect();
        ids.sort_unstable();
        let signed = |signature: claim::AddressSignature| Claim {
            address,
            day,
            cursor,
            signature: signature.to_bytes().to_vec(),
        };
        match program.byte() % 8 {
            0 | 1 => {
                let class = [512, 1_024, 2_048, 65_536][program.below(4)];
                let expires = self.now.plus(u64::from(program.byte()) * DAY_MS / 8).seconds();
                let inner = vec![program.byte(); class - 58];
                let envelope = seal_round(&[1; 32], address, day, expires, &inner, &mut self.rng).unwrap();
                self.ids.push(EnvelopeId::of(&envelope));
                Frame::Deposit { envelope, admission: Admission::None }
            }
            2 => {
                let claim = signed(sign_subscribe(signer, &claim));
                Frame::Subscribe { claim, live: program.byte().is_multiple_of(2), digest: vec![] }
            }
            3 => Frame::Get { claim: signed(sign_get(signer, &claim, &ids)), ids },
            4 => {
                let signature = sign_tombstone(signer, day, &mut ids).to_bytes().to_vec();
                Frame::Tombstone(Tombstone { address, day, ids, signature })
            }
            5 => {
                let expires = self.now.plus(DAY_MS);
                let slot = [Slot::Manifest, Slot::Bundle, Slot::Whereabouts][program.below(3)];
                let head = RecordHead { slot, day, seq: cursor, expires };
                let content = vec![1; program.below(4_000)];
                let record = seal_record(signer, &head, &[2; 32], &content, &mut self.rng).unwrap();
                Frame::PutRecord { record }
            }
            6 => Frame::GetRecords { address },
            _ => Frame::Admitted { address, ids },
        }
    }

    /// Whoever asks for something decent gets a decent answer, of a kind that says what became of it.
    fn end(mut self) {
        let (signer, day) = &self.signers[0];
        let expires = self.now.plus(DAY_MS).seconds();
        let envelope =
            seal_round(&[1; 32], signer.address(), *day, expires, &[1; 454], &mut self.rng).unwrap();
        let id = EnvelopeId::of(&envelope);
        self.up(HONEST, 0);
        let outputs =
            self.input(Input::Frame(HONEST, Frame::Deposit { envelope, admission: Admission::None }));
        let answers = outputs.iter().filter(|output| match output {
            Output::Send(HONEST, Frame::Held { envelope, .. } | Frame::Full { envelope }) => *envelope == id,
            Output::Send(HONEST, Frame::Refused { .. }) => true,
            _ => false,
        });
        assert_eq!(answers.count(), 1, "{outputs:?}");
    }
}

/// Runs a program.
pub(crate) fn run(bytes: &[u8]) {
    let mut program = Program::new(bytes);
    let mut play = Play::new();
    while let Some(step) = program.step() {
        play.step(step, &mut program);
    }
    play.end();
}
