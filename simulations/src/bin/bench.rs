//! `bench`: the measures of `scripts/bench.sh`, which is what a person types. One JSON object a line on standard
//! output; the first says what was measured and where, the last hold the figures against the limits of the same run.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use murmesh_simulations::bench::pair::{Node, Pair};
use murmesh_simulations::bench::{Failed, Figure, cost, custody, limits, mail, milliseconds, pair};
use serde::Serialize;

/// Measures messages and nodes on this machine.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Runs of each measure.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Texts of a sustained run.
    #[arg(long, default_value_t = 20_000)]
    texts: usize,
    /// Texts sent one by one in a run.
    #[arg(long, default_value_t = 300)]
    singles: usize,
    /// Texts for somebody who is away: no more than a mailbox holds.
    #[arg(long, default_value_t = 1_500)]
    deposits: usize,
    /// Seconds for which an idle node is watched.
    #[arg(long, default_value_t = 10)]
    idle_seconds: u64,
    /// Peers of the idle node.
    #[arg(long, default_value_t = 20)]
    peers: usize,
    /// What was built.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// What it runs on.
    #[arg(long, default_value = "unknown")]
    machine: String,
}

/// The first line.
#[derive(Serialize)]
struct Head<'a> {
    bench: &'static str,
    commit: &'a str,
    machine: &'a str,
    runs: usize,
    texts: usize,
}

/// A figure held against a limit.
#[derive(Serialize)]
struct Ratio {
    ratio: &'static str,
    value: f64,
    aim: &'static str,
}

/// Everything printed so far, to be held against one another.
#[derive(Default)]
struct Figures(Vec<Figure>);

impl Figures {
    fn add(&mut self, what: &'static str, of: impl Into<String>, unit: &'static str, runs: &[f64]) {
        if let Some(figure) = Figure::of(what, of, unit, runs) {
            print(&figure);
            self.0.push(figure);
        }
    }

    fn median(&self, what: &str, of: &str) -> f64 {
        let found = self.0.iter().find(|figure| figure.what == what && figure.of == of);
        found.map_or(f64::NAN, |figure| figure.median)
    }
}

fn print(line: &impl Serialize) {
    let text = serde_json::to_string(line).unwrap_or_default();
    // Who reads it has gone: nothing is left to do for.
    let _ = writeln!(io::stdout(), "{text}");
}

/// Runs a measure several times.
fn repeat<T>(runs: usize, mut measure: impl FnMut() -> Result<T, Failed>) -> Result<Vec<T>, Failed> {
    (0..runs).map(|_| measure()).collect()
}

fn measure_limits(arguments: &Arguments, figures: &mut Figures) -> Result<(), Failed> {
    let runs = arguments.runs;
    let trips = repeat(runs, || limits::loopback_round_trip().map(milliseconds))?;
    figures.add("limit: loopback round trip", "100 B", "ms", &trips);
    for rows in [1, 100] {
        let commits = repeat(runs, || {
            let directory = tempfile::tempdir().map_err(|_| Failed::because("no temporary directory"))?;
            limits::sqlite_commits(directory.path(), rows)
        })?;
        figures.add("limit: sqlite commits", format!("{rows} rows"), "1/s", &commits);
    }
    for bytes in [100, 1_024] {
        let seals = repeat(runs, || limits::seals(bytes))?;
        figures.add("limit: chacha20-poly1305", format!("{bytes} B"), "1/s", &seals);
    }
    Ok(())
}

fn measure_mail(arguments: &Arguments, figures: &mut Figures) -> Result<(), Failed> {
    let mut memory = Vec::new();
    for bytes in [100, 1_024] {
        let pair = Pair::start()?;
        mail::sustained(&pair, 200, bytes)?;
        let runs = repeat(arguments.runs, || mail::one_by_one(&pair, arguments.singles, bytes))?;
        let p50: Vec<f64> = runs.iter().map(|run| milliseconds(run.p50)).collect();
        let p99: Vec<f64> = runs.iter().map(|run| milliseconds(run.p99)).collect();
        figures.add("send to delivered, p50", format!("{bytes} B"), "ms", &p50);
        figures.add("send to delivered, p99", format!("{bytes} B"), "ms", &p99);
        // New people each time: what one contact may write in a day is bounded (limits::CONTACT_BYTES_RATE).
        let rates = repeat(arguments.runs, || {
            let pair = Pair::start()?;
            mail::sustained(&pair, 200, bytes)?;
            let rate = mail::sustained(&pair, arguments.texts, bytes)?;
            memory.push(cost::memory_mib(&pair.alice)?);
            Ok(rate)
        })?;
        figures.add("sustained, receipts and both disks", format!("{bytes} B"), "1/s", &rates);
    }
    figures.add("memory of the sender after a sustained run", "", "MiB", &memory);
    Ok(())
}

fn measure_start(arguments: &Arguments, figures: &mut Figures) -> Result<(), Failed> {
    let pairs = repeat(arguments.runs, || {
        let pair = Pair::start()?;
        let first = mail::one_by_one(&pair, 1, 100)?.p50;
        Ok((milliseconds(pair.alice.start_up), milliseconds(pair.connecting + first)))
    })?;
    let (starts, firsts): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    figures.add("start-up of a new node", "", "ms", &starts);
    figures.add("ticket to first delivered message", "", "ms", &firsts);
    Ok(())
}

fn measure_custody(arguments: &Arguments, figures: &mut Figures) -> Result<(), Failed> {
    for bytes in [100, 1_024] {
        let runs = repeat(arguments.runs, || custody::measure(arguments.deposits, bytes))?;
        let of = format!("{bytes} B");
        let mut add = |what, value: fn(&custody::Custody) -> f64| {
            figures.add(what, of.clone(), "1/s", &runs.iter().map(value).collect::<Vec<_>>());
        };
        add("deposits of one sender, synced by one custodian", |run| run.deposited);
        add("deposits of one custodian, by its processor time", |run| run.deposited_by_core);
        add("collected and opened by one recipient", |run| run.collected);
        add("collected from one custodian, by its processor time", |run| run.collected_by_core);
    }
    Ok(())
}

fn measure_idle(arguments: &Arguments, figures: &mut Figures) -> Result<(), Failed> {
    let root =
        tempfile::Builder::new().prefix("mm").tempdir().map_err(|_| Failed::because("no directory"))?;
    let alone = Node::start(root.path(), "alone", &[])?;
    let without = cost::memory_mib(&alone)?;
    figures.add("memory of a node without peers", "", "MiB", &[without]);
    let status = repeat(arguments.runs, || cost::status_ms(&alone))?;
    figures.add("murmesh status", "", "ms", &status);
    let mut client = alone.client()?;
    let address = pair::address(&alone)?;
    let name = |i: usize| format!("peer{i}");
    let more = ["--peer", address.as_str()];
    let others = (0..arguments.peers).map(|i| Node::start(root.path(), &name(i), &more));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let connected = |client: &mut _| pair::status(client).map(|status| status.peers.connected);
    let enough = u64::try_from(others.len()).unwrap_or(u64::MAX);
    let start = std::time::Instant::now();
    while connected(&mut client)? < enough && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let peers = format!("{} peers", connected(&mut client)?);
    // Joining is over a while after the last has come.
    std::thread::sleep(Duration::from_secs(arguments.idle_seconds));
    let with = cost::memory_mib(&alone)?;
    figures.add("memory of an idle node", peers.clone(), "MiB", &[with]);
    let share = (with - without) * 1024.0 / f64::from(u32::try_from(enough).unwrap_or(u32::MAX));
    figures.add("memory for each connection", peers.clone(), "KiB", &[share]);
    let time = Duration::from_secs(arguments.idle_seconds);
    let idle = repeat(arguments.runs.min(3), || cost::idle_percent(&alone, time))?;
    figures.add("processor of an idle node", peers, "% of a core", &idle);
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<(), Failed> {
    let mut figures = Figures::default();
    measure_limits(arguments, &mut figures)?;
    measure_mail(arguments, &mut figures)?;
    measure_custody(arguments, &mut figures)?;
    measure_start(arguments, &mut figures)?;
    measure_idle(arguments, &mut figures)?;
    for program in ["murmeshd", "murmesh"] {
        figures.add("size of a program", program, "MiB", &[cost::size_mib(program)?]);
    }
    let commit_ms = 1e3 / figures.median("limit: sqlite commits", "1 rows");
    let trip_ms = figures.median("limit: loopback round trip", "100 B");
    for (ratio, bytes) in [("p50 to three commits and a round trip, 100 B", "100 B"), ("… 1 KiB", "1024 B")]
    {
        let value = figures.median("send to delivered, p50", bytes) / (3.0 * commit_ms + trip_ms);
        print(&Ratio { ratio, value, aim: "at most 1.5" });
    }
    let rows = 100.0 * figures.median("limit: sqlite commits", "100 rows");
    let value = rows / figures.median("sustained, receipts and both disks", "100 B");
    print(&Ratio { ratio: "rows SQLite takes in batches of 100, for each message of 100 B", value, aim: "" });
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Arguments { commit, machine, runs, texts, .. } = &arguments;
    print(&Head { bench: "murmesh", commit, machine, runs: *runs, texts: *texts });
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}
