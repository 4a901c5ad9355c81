//! `murmesh`: the command line of a murmesh node.
//!
//! A thin client of the control socket: it can do nothing that a bot on the same socket cannot. It
//! never opens the node's database, never dials a peer, and starts in milliseconds.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use self::args::Args;
use self::output::Output;

mod args;
mod ask;
mod client;
mod commands;
mod context;
mod data_dir;
#[cfg(test)]
mod decoders;
mod duration;
mod error;
mod multiaddr;
mod output;
mod passphrase;
mod qr;
mod start;
mod text;
mod usage;
mod words;

fn main() -> ExitCode {
    let raw = std::env::args_os().collect::<Vec<_>>();
    let early = Output::before_parsing(&raw);
    let command = Args::command().color(early.clap_color());
    let parsed = command.try_get_matches_from(&raw).and_then(|matches| Args::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => return ExitCode::from(on_parse_error(&early, &error, &raw)),
    };
    let output = Output::new(&args.global);
    let result = commands::run(args, &output);
    ExitCode::from(result.unwrap_or_else(|failure| output.fail(&failure)))
}

/// Help and version are answers; the rest is usage.
fn on_parse_error(output: &Output, error: &clap::Error, raw: &[OsString]) -> u8 {
    let result = if error.use_stderr() {
        Err(usage::failure(error, raw))
    } else if error.kind() == ErrorKind::DisplayHelp
        && let Some(failure) = usage::mistaken_for_help(raw)
    {
        Err(failure)
    } else {
        output.text_answer(&error.render(), error::exit::DONE)
    };
    result.unwrap_or_else(|failure| output.fail(&failure))
}
