//! What one step of a real machine gives out is bounded, whatever its batch asks for.

use std::sync::Arc;

use murmesh_protocol::control::{AddParams, InviteParams, ReadParams, Reply, Request, SendParams};
use murmesh_protocol::id::{Address, PeerId};
use murmesh_protocol::keeper::{Config, io::Input};
use murmesh_protocol::limits::FRAME_BYTES_MAX;
use murmesh_protocol::messenger::Messenger;
use murmesh_protocol::messenger::io::{PeerFacts, RequestId};
use murmesh_protocol::messenger::store::MessengerStore;
use murmesh_protocol::time::DAY_MS;
use murmesh_protocol::wire::frame::{Frame, Role};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::super::messenger::Work;
use super::super::*;
use crate::control::EventHub;
use crate::entropy;
use crate::links::{Command, SessionNumber, ToKeeper, ToMessenger};
use crate::store::{CustodyStore, PrivateStore, Unlock};
use crate::weight::OUTPUT_BYTES_MAX;

fn facts(peer: PeerId) -> PeerFacts {
    let (their_challenge, our_challenge) = ([1; 32], [2; 32]);
    PeerFacts { peer, role: Role::Full, keeps: true, their_challenge, our_challenge, prefix: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_small_questions_never_make_one_step_of_large_answers() {
    const QUESTIONS: usize = 1_000;
    let home = tempfile::tempdir().unwrap();
    let mut store = CustodyStore::open(home.path()).unwrap();
    let (address, own, asker) = (Address([3; 32]), PeerId([1; 32]), PeerId([2; 32]));
    let record = vec![7; 16 * 1024];
    let expires = clock::now().plus(DAY_MS);
    store
        .transaction(|tx| (0..4).try_for_each(|slot| tx.put_record(&address, slot, 1, expires, &record)))
        .unwrap();
    let (messenger, _told) = mpsc::channel(16);
    let (runner, mut batches) = mpsc::channel(QUESTIONS);
    let config = Config { own_peer: own, held_bytes_max: 1 << 30 };
    let mut engine = KeeperEngine::new(config, store, messenger, runner);
    engine.rebuild().unwrap();
    let up = engine.accept(ToKeeper::Up(facts(asker), SessionNumber(1))).unwrap();
    engine.step(&[up]).unwrap();
    let question = || ToKeeper::Input(Input::Frame(asker, Frame::GetRecords { address }));
    let questions: Vec<_> = (0..QUESTIONS).filter_map(|_| engine.accept(question())).collect();
    let (mut rest, mut answers) = (questions.as_slice(), 0);
    while !rest.is_empty() {
        let ran = engine.step(rest).unwrap();
        rest = &rest[ran..];
        engine.perform().await;
        let batch = batches.recv().await.unwrap();
        answers += batch.len();
        let bytes: usize =
            batch.iter().map(|c| if let Command::Send { frame, .. } = c { frame.len() } else { 0 }).sum();
        assert!(bytes <= OUTPUT_BYTES_MAX + FRAME_BYTES_MAX, "{bytes} bytes in one step");
    }
    assert_eq!(answers, QUESTIONS);
}

fn messenger(home: &TempDir, name: &str) -> MessengerEngine {
    let mut store = PrivateStore::open(home.path(), &Unlock::default()).unwrap();
    let create = |tx: &mut dyn MessengerStore| {
        Messenger::create(name, clock::now(), tx, &mut entropy::rng()).map_err(|_| StoreError::Io)
    };
    store.transaction(create).unwrap();
    let (keeper, _) = mpsc::channel(16);
    let (runner, _) = mpsc::channel(1_024);
    let surroundings = Surroundings { keeper, runner, hub: Arc::new(EventHub::new(0)) };
    let directory = home.path().to_owned();
    let mut engine =
        MessengerEngine::new(PeerId([1; 32]), directory, Unlock::default(), Some(store), surroundings);
    engine.rebuild().unwrap();
    engine
}

async fn ask(engine: &mut MessengerEngine, request: Request) -> Option<Reply> {
    let (answer, mut answered) = oneshot::channel();
    let work = engine.accept(ToMessenger::Command(request, answer)).unwrap();
    assert_eq!(engine.step(&[work]).unwrap(), 1);
    engine.perform().await;
    answered.try_recv().ok()?.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_to_clients_end_a_step_too() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut a, mut b) = (messenger(&home_a, "alice"), messenger(&home_b, "bob"));
    let invite = InviteParams { uses: None, expires_ms: None, no_address: true };
    let Some(Reply::Invite(invite)) = ask(&mut a, Request::Invite(invite)).await else { panic!("no invite") };
    let name = Some("alice".to_owned());
    // Answered when the other side is found, or later; the contact is there at once.
    ask(&mut b, Request::Add(AddParams { ticket: invite.ticket, name, text: None })).await;
    for _ in 0..40 {
        let text = "x".repeat(60_000);
        let params = SendParams { to: "alice".to_owned(), text, client_id: None, expire_ms: None };
        assert!(matches!(ask(&mut b, Request::Send(params)).await, Some(Reply::Send(_))));
    }
    let read = || ReadParams { who: None, unread: false, since: None, limit: None, peek: true };
    let batch: Vec<_> = (0..4).map(|i| Work::Command(RequestId(1_000 + i), Request::Read(read()))).collect();
    assert_eq!(b.step(&batch).unwrap(), 2, "two answers of 2.4 MB each are more than a step gives out");
}
