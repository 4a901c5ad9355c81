//! The n-th call of a disk fails, for every n of a message each way: whoever asked is told so by a typed
//! error or not at all, nothing acknowledged is lost, and all goes on by itself.

use murmesh_crash_vfs::{Call, Fault, FaultKind};
use murmesh_protocol::control::ErrorName;
use murmesh_protocol::time::{SECOND_MS, Time};

use super::world::World;
use super::{clock, setting, story};

/// A fault that lasts is mended after so long.
const MENDED_MS: u64 = 4 * SECOND_MS;

/// Frames that a node whose disk fails sends meanwhile; in a good cycle some twenty.
const FRAMES_MAX: u64 = 250;

/// One cycle with a fault in a node's disk; the calls it struck.
fn cycle(base: &World, at: Time, node: usize, fault: Fault) -> Vec<Call> {
    clock::set(at);
    let mut world = base.copy(fault.after);
    (0..world.sites.len()).for_each(|i| world.start(i));
    world.run(2 * SECOND_MS);
    world.sites[node].disk.fail(fault);
    let frames = world.sites[node].frames;
    let mut unanswered = Vec::new();
    for from in [0, 1] {
        let text = format!("{from}-sweep");
        match story::try_say(&mut world, from, &text).expect("every request is answered") {
            Ok(()) => {}
            Err(ErrorName::Disk | ErrorName::Internal) if from == node => unanswered.push((from, text)),
            Err(other) => panic!("told as {other:?}"),
        }
        world.run(MENDED_MS / 2);
    }
    let struck = world.sites[node].disk.heal();
    let frames = world.sites[node].frames - frames;
    assert!(frames < FRAMES_MAX, "{frames} frames sent by a node that cannot write");
    if !struck.is_empty() {
        world.run_until(10 * SECOND_MS, World::is_whole);
        assert!(world.is_whole(), "it does not recover by itself");
        story::end(&mut world, unanswered);
        story::compare(&mut world);
        for i in 0..world.sites.len() {
            world.check_shown(i);
            world.cut(i);
        }
        world.run(60 * SECOND_MS);
        assert!(world.is_whole(), "it does not start again");
        story::compare(&mut world);
    }
    struck
}

/// Calls of a node's disk in a cycle in which nothing fails.
fn calls(base: &World, at: Time, node: usize) -> u64 {
    clock::set(at);
    let mut world = base.copy(1);
    (0..world.sites.len()).for_each(|i| world.start(i));
    world.run(2 * SECOND_MS);
    let before = world.sites[node].disk.calls();
    for from in [0, 1] {
        story::try_say(&mut world, from, &format!("{from}-sweep")).unwrap().unwrap();
        world.run(MENDED_MS / 2);
    }
    world.sites[node].disk.calls() - before
}

/// Fails every `step`-th call of a node from one on; says how many could fail so.
fn sweep(base: &World, at: Time, node: usize, fault: Fault, step: u64) -> u64 {
    let mut struck = 0;
    for after in (fault.after..=calls(base, at, node)).step_by(usize::try_from(step).unwrap()) {
        let fault = Fault { after, ..fault };
        let case = std::panic::AssertUnwindSafe(|| cycle(base, at, node, fault));
        let calls = std::panic::catch_unwind(case)
            .unwrap_or_else(|_| panic!("node {node}, {fault:?}: a promise was broken"));
        struck += u64::from(!calls.is_empty());
    }
    struck
}

#[test]
#[expect(clippy::print_stderr, reason = "a campaign says what it did")]
fn whichever_call_fails_nothing_acknowledged_is_lost_and_all_goes_on() {
    let step = setting("MURMESH_POWER_STEP", 12);
    let base = story::acquaintances(1);
    let at = clock::now();
    let begun = std::time::Instant::now();
    let (mut struck, mut first) = (0, 0);
    // Sender and recipient in turn, and one that only keeps.
    for node in [0, 1, 2] {
        for kind in [FaultKind::Io, FaultKind::Full, FaultKind::Short] {
            for lasting in [false, true] {
                // Other calls each time, when not all are failed.
                first = first % step + 1;
                struck += sweep(&base, at, node, Fault { kind, after: first, lasting }, step);
            }
        }
    }
    assert!(struck * step > 500, "only {struck} calls failed");
    let seconds = begun.elapsed().as_secs();
    eprintln!(
        "sweep: every {step}th call, three nodes, EIO, ENOSPC and short writes, once and lasting: {struck} \
         faults, {seconds} s: nothing acknowledged is lost"
    );
}
