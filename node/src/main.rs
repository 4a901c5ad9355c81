//! `murmeshd`: the node's process.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use libp2p::Multiaddr;
use murmesh_node::config::{Config, Overrides, Profile, Shown};
use murmesh_node::store::Unlock;
use murmesh_node::{Node, logging, offline};
use murmesh_protocol::control::error::exit;
use murmesh_protocol::control::files::{LOG, REQUEST_LINE_BYTES_MAX};
use murmesh_protocol::control::{ControlError, ErrorName};
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

use self::failed_start::{NO_DATA_DIR, complain};

mod failed_start;

/// The node of murmesh: keeps the connections, the mail of others and the account's messages.
#[derive(Parser)]
#[command(name = "murmeshd", version, args_conflicts_with_subcommands = true, after_help = failed_start::statuses())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    /// Answer one control request from stdin without a running node, then exit.
    Offline(Place),
    /// Print the configuration that a start would use, or what is wrong with it, as one JSON object.
    Config {
        /// Where everything is kept.
        #[arg(long, env = "MURMESH_DATA_DIR", value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Configuration instead of DIR/config.toml.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Place {
    /// Where everything is kept.
    #[arg(long, env = "MURMESH_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// File with the passphrase of the account.
    #[arg(long, env = "MURMESH_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    place: Place,
    /// Configuration instead of DIR/config.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here, in order; port 0 is chosen once and kept.
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// Connect to this peer.
    #[arg(long, value_name = "MULTIADDR")]
    peer: Vec<String>,
    /// What the node is for: sets the defaults.
    #[arg(long)]
    profile: Option<ProfileArgument>,
    /// Format of log lines.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Leave the caller's session and log to DIR/murmeshd.log.
    #[arg(long)]
    detached: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProfileArgument {
    Home,
    Server,
    Phone,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string(), exit::OTHER),
    };
    match arguments.command {
        Some(Command::Config { data_dir: given, config }) => match data_dir(given) {
            Some(data_dir) => show_config(&data_dir, config.as_deref()),
            None => complain(NO_DATA_DIR, exit::USAGE),
        },
        Some(Command::Offline(place)) => match data_dir(place.data_dir) {
            Some(data_dir) => runtime.block_on(answer_offline(&data_dir, place.passphrase_file.as_deref())),
            None => complain(NO_DATA_DIR, exit::USAGE),
        },
        None => match data_dir(arguments.run.place.data_dir.clone()) {
            Some(data_dir) => runtime.block_on(run(&data_dir, arguments.run)),
            None => complain(NO_DATA_DIR, exit::USAGE),
        },
    }
}

/// The one given, or the user's.
fn data_dir(given: Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    given
        .or_else(|| Some(absolute("XDG_DATA_HOME")?.join("murmesh")))
        .or_else(|| Some(absolute("HOME")?.join(".local/share/murmesh")))
}

/// In the form of an answer of the control API, to which it does not belong: a client runs this.
fn show_config(data_dir: &Path, file: Option<&Path>) -> ExitCode {
    let answer = match Shown::load(data_dir, file, Overrides::default()) {
        Ok(shown) => serde_json::json!({"result": shown}),
        Err(error) => serde_json::json!({"error": {"data": error}}),
    };
    match std::io::stdout().lock().write_all(format!("{answer}\n").as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string(), exit::OTHER),
    }
}

async fn answer_offline(data_dir: &Path, passphrase_file: Option<&Path>) -> ExitCode {
    let mut line = Vec::new();
    let limit = u64::try_from(REQUEST_LINE_BYTES_MAX).unwrap_or(u64::MAX);
    if let Err(error) = std::io::stdin().lock().take(limit).read_to_end(&mut line) {
        return complain(&error.to_string(), exit::OTHER);
    }
    let text = String::from_utf8_lossy(&line);
    let unlock = read_passphrase(passphrase_file);
    let answer = offline::answer(data_dir, unlock, text.lines().next().unwrap_or_default()).await;
    match std::io::stdout().lock().write_all(answer.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string(), exit::OTHER),
    }
}

/// The file's first line.
fn read_passphrase(file: Option<&Path>) -> Result<Unlock, ControlError> {
    let Some(file) = file else { return Ok(Unlock::default()) };
    let bytes = std::fs::read(file)
        .map(Zeroizing::new)
        .map_err(|error| ControlError::with(ErrorName::Permission, format!("{}: {error}", file.display())))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(ControlError::with(ErrorName::Locked, "the passphrase file is empty"));
    }
    Ok(Unlock { passphrase: Some(Zeroizing::new(line.to_vec())) })
}

async fn run(data_dir: &Path, arguments: Run) -> ExitCode {
    // Before anything else: a signal during the start must end the node as cleanly as a later one.
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => return complain(&error.to_string(), exit::OTHER),
    };
    match started(data_dir, &arguments).await {
        Ok(node) => {
            if !arguments.detached {
                say_where(&node).await;
            }
            until_asked(&node, signals).await;
            node.stop().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            if arguments.detached {
                // In the foreground the log is on the terminal, where the words below are.
                tracing::error!(error = error.name.row().name, detail = error.detail, "not started");
            }
            failed_start::tell(data_dir, arguments.place.data_dir.is_some(), &error)
        }
    }
}

/// On a terminal and in a supervisor's journal, as `murmesh up` says it.
async fn say_where(node: &Node) {
    let Ok(status) = node.status().await else { return };
    let bare = |address: &String| format!("listen   {}\n", address.split("/p2p/").next().unwrap_or_default());
    let listen = status.listen.iter().map(bare).collect::<String>();
    let text = format!("running: process {}\npeer     {}\n{listen}", status.pid, status.peer_id);
    // Whoever closed it does not want to know.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

async fn started(data_dir: &Path, arguments: &Run) -> Result<Node, ControlError> {
    if arguments.detached {
        // Fails when this process leads its session already, which is as good.
        let _ = rustix::process::setsid();
    }
    let unlock = read_passphrase(arguments.place.passphrase_file.as_deref())?;
    let profile = arguments.profile.map(|profile| match profile {
        ProfileArgument::Home => Profile::Home,
        ProfileArgument::Server => Profile::Server,
        ProfileArgument::Phone => Profile::Phone,
    });
    let listen = addresses(ErrorName::Listen, &arguments.listen)?;
    let peers = addresses(ErrorName::BadConfig, &arguments.peer)?;
    let flags = Overrides { profile, listen, peers, ..Overrides::default() };
    let config = Config::load(data_dir, arguments.config.as_deref(), flags)?;
    let json = arguments.log_format.map_or(config.log_json, |format| format == LogFormat::Json);
    let log = arguments.detached.then(|| data_dir.join(LOG));
    start_log(data_dir, log.as_deref(), &config.log_level, json)?;
    Node::start(&config, &unlock).await
}

/// Read here and not by clap, so that a mistake reaches the client that started this.
fn addresses(name: ErrorName, texts: &[String]) -> Result<Vec<Multiaddr>, ControlError> {
    let read = |text: &String| text.parse().map_err(|e| ControlError::with(name, format!("{text}: {e}")));
    texts.iter().map(read).collect()
}

fn start_log(data_dir: &Path, file: Option<&Path>, level: &str, json: bool) -> Result<(), ControlError> {
    let cannot = |error: std::io::Error| {
        ControlError::with(ErrorName::Permission, format!("{}: {error}", data_dir.display()))
    };
    if file.is_some() {
        murmesh_node::make_data_dir(data_dir).map_err(cannot)?;
    }
    logging::start(file, level, json).map_err(cannot)
}

/// SIGTERM, SIGINT or `node.stop`.
async fn until_asked(node: &Node, (mut term, mut int): (Signal, Signal)) {
    tokio::select! {
        _ = term.recv() => tracing::info!("asked to end by SIGTERM"),
        _ = int.recv() => tracing::info!("asked to end by SIGINT"),
        () = node.stop_asked() => tracing::info!("asked to end by a client"),
    }
}
