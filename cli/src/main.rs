//! `murmesh`: the command line of a murmesh node.
//!
//! A thin client of the control socket: it can do nothing that a bot on the same socket cannot. It
//! never opens the node's database, never dials a peer, and starts in milliseconds.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use self::args::Args;
use self::error::{Failure, Problem};
use self::output::Output;

mod args;
mod ask;
mod client;
mod commands;
mod context;
mod duration;
mod error;
mod output;
mod qr;
mod start;
mod text;
mod words;

fn main() -> ExitCode {
    let raw = std::env::args_os().collect::<Vec<_>>();
    let early = Output::before_parsing(&raw);
    let command = Args::command().color(early.clap_color());
    let parsed = command.try_get_matches_from(&raw).and_then(|matches| Args::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => return ExitCode::from(on_parse_error(&early, &error)),
    };
    let output = Output::new(&args.global);
    let result = commands::run(args, &output);
    ExitCode::from(result.unwrap_or_else(|failure| output.fail(&failure)))
}

/// Help and version are answers; the rest is usage.
fn on_parse_error(output: &Output, error: &clap::Error) -> u8 {
    let answer = !error.use_stderr();
    let result = match (answer, output.is_json()) {
        (true, _) => output.text_answer(&error.render(), 0),
        (false, true) => Err(Failure::with(Problem::Usage, first_line(&error.render().to_string()))),
        (false, false) => {
            output.usage(&error.render());
            Ok(error::exit::USAGE)
        }
    };
    result.unwrap_or_else(|failure| output.fail(&failure))
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
