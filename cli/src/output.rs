//! Everything that is printed. Standard output is data, standard error is talk; a bot sees one JSON
//! document, a person sees words. State is never told by colour alone.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::ColorChoice;
use clap::builder::StyledStr;
use murmesh_protocol::control::error::words;
use serde::Serialize;

use crate::args::{Global, When};
use crate::error::{Failure, Problem, exit};
use crate::text::{SafeJson, one_line};

/// Version of the JSON documents.
const VERSION: u32 = 1;

/// How and where to print.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    color: When,
    /// Repeats the caller's `--data-dir` behind hints.
    hint_suffix: String,
}

/// A document: `v` first, then the fields of the body.
#[derive(Serialize)]
struct Document<'a, T> {
    v: u32,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Serialize)]
struct FailureDocument<'a> {
    error: FailureBody<'a>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    beside: Option<&'a serde_json::Value>,
}

#[derive(Serialize)]
struct FailureBody<'a> {
    code: &'a str,
    name: &'a str,
    message: String,
    hint: String,
    retryable: bool,
}

/// An answer that is text by nature: help, a version, a completion script.
#[derive(Serialize)]
struct TextDocument {
    text: String,
}

impl Output {
    /// As the parsed flags say.
    pub(crate) fn new(global: &Global) -> Output {
        let from_environment = std::env::var_os("MURMESH_DATA_DIR");
        let data_dir =
            global.data_dir.as_deref().filter(|dir| from_environment.as_deref() != Some(dir.as_os_str()));
        Output {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            color: global.color,
            hint_suffix: data_dir
                .map(|dir| format!(" --data-dir {}", quoted(&dir.display().to_string())))
                .unwrap_or_default(),
        }
    }

    /// As far as raw arguments tell: for errors of the parser itself.
    pub(crate) fn before_parsing(raw: &[OsString]) -> Output {
        let flags = raw.iter().take_while(|arg| *arg != "--").collect::<Vec<_>>();
        let says = |text: &str| flags.iter().any(|flag| *flag == text);
        let pair = |value: &str| {
            says(&format!("--color={value}")) || flags.windows(2).any(|w| w[0] == "--color" && w[1] == value)
        };
        let color = match (pair("never"), pair("always")) {
            (true, _) => When::Never,
            (false, true) => When::Always,
            (false, false) => When::Auto,
        };
        Output { json: says("--json"), quiet: false, verbose: false, color, hint_suffix: String::new() }
    }

    /// For clap's own help and errors.
    pub(crate) fn clap_color(&self) -> ColorChoice {
        match self.color {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        }
    }

    /// ` --data-dir DIR` when this call was given one.
    pub(crate) fn hint_suffix(&self) -> &str {
        &self.hint_suffix
    }

    /// A bot reads.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A person reads standard output.
    pub(crate) fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Shows progress in place of the progress before, if a person reads standard error; the empty text
    /// ends it.
    pub(crate) fn progress(&self, text: &str) {
        if !self.quiet && !self.json && io::stderr().is_terminal() {
            // Progress that cannot be seen is no loss.
            let _unwritable = io::stderr().write_all(format!("\r\u{1b}[K{text}").as_bytes());
        }
    }

    /// Prints `body` as a document for a bot, or `words` for a person.
    pub(crate) fn answer(
        &self,
        body: &impl Serialize,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { self.document(body) } else { self.lines(&words()) }
    }

    /// One JSON document on one line, its `v` first.
    pub(crate) fn document(&self, body: &impl Serialize) -> Result<(), Failure> {
        write_out(&document_line(body)?)
    }

    /// JSON on one line, as it is.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        write_out(&json_line(value)?)
    }

    /// What went wrong without ending the command: said to bots too.
    pub(crate) fn complain(&self, text: &str) {
        write_err(text);
    }

    /// Text for a person; nothing for the empty text.
    pub(crate) fn lines(&self, text: &str) -> Result<(), Failure> {
        match text.trim_end_matches('\n') {
            "" => Ok(()),
            text => write_out(format!("{text}\n").as_bytes()),
        }
    }

    /// Help, a version, a script.
    pub(crate) fn text_answer(&self, text: &StyledStr, status: u8) -> Result<u8, Failure> {
        if self.json {
            self.document(&TextDocument { text: text.to_string() })?;
        } else if self.colors(io::stdout().is_terminal()) {
            write_out(text.ansi().to_string().as_bytes())?;
        } else {
            write_out(text.to_string().as_bytes())?;
        }
        Ok(status)
    }

    /// What a person would like to know beside the data.
    pub(crate) fn talk(&self, text: &str) {
        if !self.quiet && !self.json {
            write_err(text);
        }
    }

    /// What only a curious person would like to know.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            write_err(text);
        }
    }

    /// A screen in place of the one before.
    pub(crate) fn redraw(&self, text: &str) -> Result<(), Failure> {
        write_out(format!("\u{1b}[H\u{1b}[2J{}\n", text.trim_end_matches('\n')).as_bytes())
    }

    /// A question on the terminal, without a line break.
    pub(crate) fn question(&self, text: &str) {
        // A terminal that cannot be written to cannot be asked either: the read that follows fails.
        let _unwritable = io::stderr().write_all(text.as_bytes());
    }

    /// Tells a failure and returns the exit status.
    pub(crate) fn fail(&self, failure: &Failure) -> u8 {
        let entry = failure.entry();
        if exit::is_silent(entry.exit) {
            return entry.exit;
        }
        let (message, hint) = (failure.message(), failure.hint(&self.hint_suffix));
        if self.json {
            let error =
                FailureBody { code: entry.code, name: entry.name, message, hint, retryable: entry.retryable };
            let told = self.document(&FailureDocument { error, beside: failure.beside.as_deref() });
            return told.map_or_else(|unwritable| unwritable.entry().exit, |()| entry.exit);
        }
        let (red, off) =
            if self.colors(io::stderr().is_terminal()) { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        write_err(&format!("{red}error:{off} {message} ({})\n  next: {hint}", entry.code));
        entry.exit
    }

    fn colors(&self, terminal: bool) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto if set("NO_COLOR") => false,
            When::Auto if set("CLICOLOR_FORCE") => true,
            When::Auto => terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}

/// As a shell takes it back, on one line.
pub(crate) fn quoted(text: &str) -> String {
    words::quoted(&one_line(text))
}

/// The line of a document, for whoever is given it otherwise than on standard output.
pub(crate) fn document_line(body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    json_line(&Document { v: VERSION, body })
}

fn json_line(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, SafeJson);
    value.serialize(&mut serializer).map_err(|error| Failure::with(Problem::Client, error.to_string()))?;
    line.push(b'\n');
    Ok(line)
}

fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            Failure::new(Problem::PipeClosed)
        } else {
            Failure::with(Problem::Output, error.to_string())
        }
    })
}

fn write_err(text: &str) {
    // Nobody is left to be told.
    let _unwritable = io::stderr().write_all(format!("{text}\n").as_bytes());
}
