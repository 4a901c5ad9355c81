//! Arguments of the commands for operators and programs.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

/// `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Which file is read.
    Path,
    /// Every setting as the next start uses it, and where its value comes from.
    #[command(
        after_help = "default, profile, file, environment, flag: the later wins. A flag here is --listen of an earlier \
                      start, which is remembered. What it prints is a file that says the same.\n\n\
                      Example:\n  murmesh config show"
    )]
    Show,
    /// Whether a file can be used; if not, line, column and the nearest key.
    #[command(after_help = "Example:\n  murmesh config check new.toml")]
    Check {
        /// The file; the one that is read unless given.
        file: Option<PathBuf>,
    },
}

/// `api`.
#[derive(Debug, Subcommand)]
pub(crate) enum Api {
    /// All methods with their params and results, as an OpenRPC document.
    Schema,
    /// Send one request to the running node and print its result as it is.
    #[command(
        after_help = "Examples:\n  murmesh api call node.status\n  murmesh api call contact.show '{\"who\":\"bob\"}'\n  \
                      murmesh api call message.send - < params.json\n\n\
                      A refusal has the exit status of its error, as with any command. A ticket is a secret: it comes by \
                      standard input."
    )]
    Call {
        /// Its name, like `message.send`.
        method: String,
        /// Its params, one JSON object; `-` for standard input; none unless given.
        #[arg(value_name = "JSON|-")]
        params: Option<String>,
    },
}

/// `listen`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Listen {
    /// Begin after this cursor instead of now; with --name only the first time.
    #[arg(long, value_name = "CURSOR", value_parser = parse_cursor)]
    pub(crate) since: Option<u64>,
    /// Go on where the consumer of this name was at its last acknowledged event.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Run a shell command for each event, one at a time, with the event on standard input, instead of printing it.
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
}

/// `man`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// Write one page a command into this directory instead of the main page to standard output.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// A place in the stream of events.
fn parse_cursor(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_error| "a cursor is a whole number, as an event tells it".to_owned())
}
