//! `kill9`: the campaign of `scripts/kill9.sh`, which is what a person types. Runs rounds until there are
//! enough kills, keeps what each came to, and prints the table. Exit status 1: a promise was broken.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use murmesh_simulations::history::{self, Anomaly};
use murmesh_simulations::kill9::{ROUND_KILLS_MAX, Round, Setting, Tally, plan, run_round};
use serde::{Deserialize, Serialize};

/// Kills nodes at random moments and holds what is left against what was acknowledged.
#[derive(Parser)]
#[command(name = "kill9", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    /// Check a history that was recorded.
    Check {
        /// A `history.jsonl` that a failed round left.
        file: PathBuf,
    },
}

#[derive(clap::Args)]
struct Run {
    /// Processes to kill.
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// Draws the schedule; without one the clock gives it.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this round, to replay a failed one.
    #[arg(long, value_name = "NUMBER")]
    round: Option<u32>,
    /// Nodes' directories and records; its path must be short.
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    work: PathBuf,
    /// Rounds that are in this file are not run again; each that ends is added.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Keep the directories of rounds that went well, too.
    #[arg(long)]
    keep: bool,
    /// Write the table here too.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// What was built, for the table.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// What it runs on, for the table.
    #[arg(long, default_value = "unknown")]
    machine: String,
}

/// A line of the resume file. Rounds of another seed, size or build are others.
#[derive(Serialize, Deserialize)]
struct Done {
    seed: u64,
    round: u32,
    kills: u32,
    commit: String,
    tally: Tally,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.command {
        Some(Command::Check { file }) => check(&file),
        None => run(&arguments.run),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("kill9: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn check(file: &Path) -> io::Result<bool> {
    let history = history::from_file(file)?;
    let anomalies = history::check(&history);
    anomalies.iter().for_each(|anomaly| say(&tell(anomaly)));
    say(&format!("{} entries, {} anomalies", history.len(), anomalies.len()));
    Ok(anomalies.is_empty())
}

fn run(run: &Run) -> io::Result<bool> {
    let clock = std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_secs());
    let seed = run.seed.unwrap_or(clock);
    let setting = Setting {
        command: format!("simulations/scripts/kill9.sh {} --seed {seed}", run.kills),
        seed,
        commit: run.commit.clone(),
        machine: run.machine.clone(),
    };
    let mut total = Tally::default();
    let mut green = true;
    let sizes = (0..run.kills.div_ceil(ROUND_KILLS_MAX))
        .map(|round| (round, ROUND_KILLS_MAX.min(run.kills - round * ROUND_KILLS_MAX)));
    for (round, kills) in sizes.filter(|(round, _)| run.round.is_none_or(|only| only == *round)) {
        if let Some(done) = resumed(run, seed, round, kills)? {
            say(&format!("round {round}: done before"));
            total.add(&done.tally);
            continue;
        }
        let directory = run.work.join(format!("round{round}"));
        fs::create_dir_all(&directory)?;
        let ended = one_round(&directory, seed, round, kills)?;
        total.add(&ended.tally);
        if ended.is_green() {
            if !run.keep {
                fs::remove_dir_all(&directory)?;
            }
            let commit = run.commit.clone();
            remember(run, &Done { seed, round, kills, commit, tally: ended.tally })?;
            continue;
        }
        green = false;
        ended.anomalies.iter().take(TOLD_MAX).for_each(|anomaly| say(&tell(anomaly)));
        ended.fault.iter().for_each(|fault| say(&format!("  fault: {fault}")));
        say(&format!("round {round} broke a promise; everything is kept: {}", directory.display()));
        say(&format!("replay: {} --round {round}", setting.command));
        break;
    }
    let table = total.table(&setting);
    say(&format!("\n{table}"));
    if let Some(record) = &run.record {
        let verdict = if green { "every promise was kept" } else { "A PROMISE WAS BROKEN" };
        fs::write(record, format!("kill -9 at random moments: {verdict}\n\n{table}"))?;
    }
    Ok(green)
}

fn one_round(directory: &Path, seed: u64, round: u32, kills: u32) -> io::Result<Round> {
    let began = Instant::now();
    let mut told = 0;
    let mut progress = |done: u64| {
        if done >= told + PROGRESS_EVERY || done == u64::from(kills) {
            told = done;
            say(&format!("round {round}: {done} of {kills} kills, {} s", began.elapsed().as_secs()));
        }
    };
    let plan = plan(seed, round, kills);
    let ended = run_round(directory, (seed, round), &plan, &mut progress).map_err(io::Error::other)?;
    let Tally { acknowledged, drains_ms, .. } = &ended.tally;
    say(&format!(
        "round {round}: {} messages acknowledged, {} anomalies, restart p99 {} ms, outboxes empty after {} ms",
        acknowledged,
        ended.anomalies.len(),
        ended.tally.restart_ms(990),
        drains_ms.first().map_or_else(|| "?".to_owned(), ToString::to_string)
    ));
    Ok(ended)
}

fn resumed(run: &Run, seed: u64, round: u32, kills: u32) -> io::Result<Option<Done>> {
    let Some(file) = run.resume.as_ref().filter(|file| file.exists()) else { return Ok(None) };
    let text = fs::read_to_string(file)?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Done>(line).ok());
    let same = |done: &Done| {
        (done.seed, done.round, done.kills, done.commit.as_str()) == (seed, round, kills, run.commit.as_str())
    };
    Ok(lines.into_iter().find(same))
}

fn remember(run: &Run, done: &Done) -> io::Result<()> {
    let Some(file) = &run.resume else { return Ok(()) };
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all((serde_json::to_string(done)? + "\n").as_bytes())
}

fn tell(anomaly: &Anomaly) -> String {
    format!("  {}: {anomaly:?}", anomaly.kind())
}

fn say(text: &str) {
    // Nobody to tell if stdout is closed.
    let _ = writeln!(io::stdout(), "{text}");
}

/// Anomalies that are told of one round.
const TOLD_MAX: usize = 20;
/// Kills between two lines of progress.
const PROGRESS_EVERY: u64 = 50;
