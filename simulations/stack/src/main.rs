//! The node's own swarm, machines and stores under virtual time: `stack SCENARIO [--seed S] [--nodes N]`.
//!
//! See README.md.

mod entropy;
mod net;
mod scenario;
mod trace;
mod world;

use clap::Parser;

use crate::scenario::Scenario;

/// Plays a scenario of the real stack under virtual time.
#[derive(Parser)]
struct Arguments {
    /// Which one.
    scenario: Scenario,
    /// What all chance follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How large.
    #[arg(long)]
    nodes: Option<usize>,
    /// Print what is traced, with its virtual time in ms.
    #[arg(long)]
    verbose: bool,
}

fn main() {
    let arguments = Arguments::parse();
    entropy::seed(arguments.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("nothing of the system is needed");
    runtime.block_on(async {
        trace::begin(arguments.verbose);
        arguments.scenario.play(arguments.seed, arguments.nodes).await;
    });
    let (hash, notes) = trace::hash();
    println!("trace: {hash:016x} of {notes} notes");
}
