//! Power cuts and failing disks under the real machines, the real loop's turns and the real SQLite
//! stores: only the wire, the clock and the disk are the test's. SPEC §9.1.
//!
//! `simulations/scripts/powercut.sh` plays as many stories as one likes; here are as many as CI does.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use self::story::Tally;

pub(super) mod clock;
mod ledger;
mod node;
mod opening;
mod restoring;
mod story;
mod sweep;
mod world;

/// Stories between two lines of progress.
const PROGRESS: u64 = 100;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Plays the story of a seed; a broken promise says how to play it again.
fn play(seed: u64) -> Tally {
    let played = std::panic::catch_unwind(|| story::play(seed));
    played.unwrap_or_else(|_| {
        panic!("seed {seed}: a promise was broken; again: simulations/scripts/powercut.sh 1 --seed {seed}")
    })
}

#[test]
#[expect(clippy::print_stderr, reason = "a campaign says what it did")]
fn no_cut_takes_what_was_acknowledged() {
    let (cuts, first) = (setting("MURMESH_POWER_CUTS", 500), setting("MURMESH_POWER_SEED", 1));
    let (begun, patience) = (Instant::now(), Duration::from_mins(setting("MURMESH_POWER_MINUTES", 600)));
    let tally = Mutex::new(Tally::default());
    let next = Mutex::new(first..);
    let work = || {
        while tally.lock().unwrap().cuts < cuts && begun.elapsed() < patience {
            let seed = next.lock().unwrap().next().unwrap();
            let played = play(seed);
            let mut tally = tally.lock().unwrap();
            *tally += played;
            if tally.stories % PROGRESS == 0 {
                eprintln!("{tally}, {} s", begun.elapsed().as_secs());
            }
        }
    };
    std::thread::scope(|scope| {
        (0..setting("MURMESH_POWER_THREADS", 1)).for_each(|_| drop(scope.spawn(work)))
    });
    let tally = *tally.lock().unwrap();
    eprintln!(
        "powercut: {tally}, from seed {first}, {} s: nothing acknowledged is lost",
        begun.elapsed().as_secs()
    );
}
