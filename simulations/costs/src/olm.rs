//! Sealing and opening at 1 KiB, beside vodozemac's Olm in the same run. One JSON object a line, each figure the median of
//! several runs with the lowest and highest.
//!
//! "In a row": many messages of one side, the usual case. "To and fro": one each way, so that keys are agreed anew for each.
//! Ours pads to a size class and hides its header; Olm does neither.

use std::hint::black_box;
use std::time::{Duration, Instant};

use murmesh_costs::{Both, CONTENT_BYTES};
use serde::Serialize;
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};

/// Messages of a run: fewer than may be sealed without an answer.
const MESSAGES: u32 = 1_000;
const RUNS: usize = 9;

#[derive(Serialize)]
struct Figure {
    what: &'static str,
    of: &'static str,
    unit: &'static str,
    median: f64,
    lowest: f64,
    highest: f64,
    runs: usize,
}

/// Both ends of an Olm session that has been answered.
fn olm() -> (Session, Session) {
    let (alice, mut bob) = (Account::new(), Account::new());
    bob.generate_one_time_keys(1);
    let key = *bob.one_time_keys().values().next().expect("one was made");
    let config = SessionConfig::version_1();
    let mut ours = alice.create_outbound_session(config, bob.curve25519_key(), key).expect("good keys");
    let OlmMessage::PreKey(first) = ours.encrypt("hello").expect("sealed") else {
        unreachable!("the first message of a session")
    };
    let theirs = bob.create_inbound_session(config, alice.curve25519_key(), &first).expect("for him");
    let mut theirs = theirs.session;
    let answer = theirs.encrypt("hello").expect("sealed");
    ours.decrypt(&answer).expect("for her");
    (ours, theirs)
}

/// Times `one` by its own clock: what it gives back is the time that counts.
fn rates(mut one: impl FnMut() -> [Duration; 2]) -> [Vec<f64>; 2] {
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (rates, took) in rates.iter_mut().zip(one()) {
            rates.push(f64::from(MESSAGES) / took.as_secs_f64());
        }
    }
    rates
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let made = work();
    (made, start.elapsed())
}

fn in_a_row(content: &[u8]) -> [[Vec<f64>; 2]; 2] {
    let ours = rates(|| {
        let mut both = Both::new();
        let (sealed, sealing) = timed(|| (0..MESSAGES).map(|_| both.seal(content)).collect::<Vec<_>>());
        let ((), opening) = timed(|| sealed.iter().for_each(|inner| drop(black_box(both.open(inner)))));
        [sealing, opening]
    });
    let theirs = rates(|| {
        let (mut alice, mut bob) = olm();
        let seal = |_| alice.encrypt(content).expect("sealed");
        let (sealed, sealing) = timed(|| (0..MESSAGES).map(seal).collect::<Vec<_>>());
        let ((), opening) = timed(|| {
            sealed.iter().for_each(|message| drop(black_box(bob.decrypt(message).expect("opened"))));
        });
        [sealing, opening]
    });
    [ours, theirs]
}

fn to_and_fro(content: &[u8]) -> [Vec<f64>; 2] {
    let [ours, _] = rates(|| {
        let mut both = Both::new();
        let ((), took) = timed(|| (0..MESSAGES).for_each(|_| both.to_and_fro(content)));
        [took, took]
    });
    let [theirs, _] = rates(|| {
        let (mut alice, mut bob) = olm();
        let ((), took) = timed(|| {
            for _ in 0..MESSAGES {
                let answer = bob.encrypt(content).expect("sealed");
                black_box(alice.decrypt(&answer).expect("opened"));
                let message = alice.encrypt(content).expect("sealed");
                black_box(bob.decrypt(&message).expect("opened"));
            }
        });
        [took, took]
    });
    [ours, theirs]
}

fn print(what: &'static str, of: &'static str, mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    let (median, lowest, highest) = (runs[runs.len() / 2], runs[0], runs[runs.len() - 1]);
    let figure = Figure { what, of, unit: "1/s", median, lowest, highest, runs: runs.len() };
    println!("{}", serde_json::to_string(&figure).expect("plain data"));
    median
}

fn ratio(what: &str, ours: f64, theirs: f64) {
    println!("{}", serde_json::json!({ "ratio": what, "value": ours / theirs, "aim": "at least 1" }));
}

fn main() {
    let content = [7; CONTENT_BYTES];
    let [[our_seal, our_open], [olm_seal, olm_open]] = in_a_row(&content);
    let ours = print("sealed at 1 KiB, in a row", "murmesh", our_seal);
    let theirs = print("sealed at 1 KiB, in a row", "vodozemac's Olm", olm_seal);
    ratio("sealed, to Olm", ours, theirs);
    let ours = print("opened at 1 KiB, in a row", "murmesh", our_open);
    let theirs = print("opened at 1 KiB, in a row", "vodozemac's Olm", olm_open);
    ratio("opened, to Olm", ours, theirs);
    let [ours, theirs] = to_and_fro(&content);
    let ours = print("one each way at 1 KiB, sealed and opened", "murmesh", ours);
    let theirs = print("one each way at 1 KiB, sealed and opened", "vodozemac's Olm", theirs);
    ratio("one each way, to Olm", ours, theirs);
}
