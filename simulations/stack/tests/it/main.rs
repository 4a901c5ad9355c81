//! Every scenario, each in a process of its own: what a process counts (connections, tasks) is part of what is
//! the same in every run with one seed.

use std::process::Command;

/// What a scenario printed.
fn play(scenario: &str, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_stack")).arg(scenario).args(arguments).output().unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "stack {scenario} {arguments:?}\n{told}{errors}");
    println!("{told}");
    told.into_owned()
}

/// The line that stands for all that happened.
fn trace(told: &str) -> &str {
    told.lines().find(|line| line.starts_with("trace: ")).expect("a trace is printed")
}

#[test]
fn newcomers_find_everybody_and_a_join_costs_what_it_should() {
    play("join", &[]);
}

#[test]
fn a_storm_of_dials_disturbs_no_friends_and_newcomers_get_in() {
    play("storm", &["--nodes", "15"]);
}

#[test]
fn peers_stay_within_bounds_at_rest_and_the_dead_are_replaced() {
    play("peers", &["--nodes", "25"]);
}

#[test]
fn sessions_in_use_are_closed_last() {
    play("kept", &[]);
}

#[test]
fn links_cut_in_the_middle_of_frames_lose_nothing() {
    play("loss", &[]);
}

#[test]
fn announcements_reach_every_custodian_and_a_lie_nobody() {
    play("regions", &[]);
}

#[test]
fn mail_is_collected_though_most_of_its_holders_died() {
    play("custody", &[]);
}

#[test]
fn one_seed_is_one_trace_and_another_is_another() {
    for scenario in ["join", "loss", "custody"] {
        let small = |seed| play(scenario, &["--seed", seed, "--nodes", "12"]);
        let (first, again, other) = (small("5"), small("5"), small("6"));
        assert_eq!(trace(&first), trace(&again), "{scenario}: the same seed, the same trace");
        assert_ne!(trace(&first), trace(&other), "{scenario}: another seed, another trace");
    }
}
