//! Errors as people and bots meet them: a stable code, a name, words, a command to type next, and an
//! exit status. The words are in [`table`]; this file looks them up and fills them in.

pub(crate) use murmesh_protocol::control::error::exit;
use murmesh_protocol::control::error::words::{fill, hint_for, hint_of_free_port};
use murmesh_protocol::control::{ControlError, ErrorName};
use serde::Serialize;

pub(crate) use self::table::{Entry, TABLE};

mod table;

/// What went wrong: the node's errors, and those that only a client can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The node answered with it.
    Node(ErrorName),
    /// The command line is wrong.
    Usage,
    /// A file or standard input cannot be read.
    Input,
    /// A file named on the command line does not exist.
    NoFile,
    /// A file or standard output cannot be written.
    Output,
    /// Standard output was closed by its reader.
    PipeClosed,
    /// Ctrl-C at a question.
    Interrupted,
    /// A fault of this client.
    Client,
    /// `--timeout` passed.
    TimedOut,
    /// No node runs on the data directory.
    NotRunning,
    /// A node runs and does not answer, or its answers make no sense.
    Unreachable,
    /// `murmeshd` is not installed where it is looked for.
    NoNodeBinary,
    /// `murmeshd` did not come up in time.
    StartTimedOut,
    /// `murmeshd` ended while starting, without saying why.
    NodeDied,
    /// The node ended while a command was listening to it.
    NodeEnded,
    /// `murmeshd` could not be made to end.
    NotStopped,
    /// No data directory can be derived from the environment.
    NoDataDir,
    /// The message expired before it was delivered.
    Expired,
    /// The message was refused for good.
    Refused,
    /// The message cannot be sent.
    Failed,
    /// The passphrase cannot be read from where it should be.
    Passphrase,
}

/// A problem and what is known about it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Which.
    pub(crate) problem: Problem,
    /// What to fill into its words: a name, a path, a limit.
    pub(crate) detail: Option<String>,
    /// For bots: fields that stand beside `error` in the document, such as the id of the message that
    /// is still queued.
    pub(crate) beside: Option<Box<serde_json::Value>>,
    /// A command that fits better than that of the table.
    pub(crate) next: Option<String>,
    /// What may have been meant.
    pub(crate) meant: Option<String>,
}

impl Failure {
    /// A problem without detail.
    pub(crate) fn new(problem: Problem) -> Failure {
        Failure { problem, detail: None, beside: None, next: None, meant: None }
    }

    /// A problem with detail.
    pub(crate) fn with(problem: Problem, detail: impl Into<String>) -> Failure {
        Failure { detail: Some(detail.into()), ..Failure::new(problem) }
    }

    /// Adds what was reached in spite of it.
    pub(crate) fn beside(mut self, reached: &impl Serialize) -> Failure {
        self.beside = serde_json::to_value(reached).ok().map(Box::new);
        self
    }

    /// Gives it a hint of its own.
    pub(crate) fn next(mut self, command: impl Into<String>) -> Failure {
        self.next = Some(command.into());
        self
    }

    /// The page that tells the range of a value, if it is one that is out of range.
    pub(crate) fn out_of_range(self, page: &str) -> Failure {
        if self.problem == Problem::Node(ErrorName::OutOfRange) { self.next(page) } else { self }
    }

    /// Its row of the table.
    pub(crate) fn entry(&self) -> &'static Entry {
        entry(self.problem)
    }

    /// What happened, in words.
    pub(crate) fn message(&self) -> String {
        let detail = self.detail.as_deref().map(crate::text::one_line);
        let words = fill(self.entry().words, detail.as_deref());
        match &self.meant {
            Some(meant) => format!("{words}; did you mean {}?", crate::text::one_line(meant)),
            None => words,
        }
    }

    /// The command to type next; `global` repeats the `--data-dir` of this call, so that the hint can
    /// be pasted.
    pub(crate) fn hint(&self, global: &str) -> String {
        hint_for(self.next.as_deref().unwrap_or(self.entry().hint), global)
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Failure {
        let next =
            error.detail.as_deref().filter(|_| error.name == ErrorName::Listen).and_then(hint_of_free_port);
        let detail = if error.name == ErrorName::BadText {
            error.detail.map(|most| format!("it has to have 1 to {most} bytes"))
        } else {
            error.detail
        };
        let failure = Failure { detail, next, ..Failure::new(Problem::Node(error.name)) };
        match &error.place {
            Some(place) => failure.beside(place),
            None => failure,
        }
    }
}

/// The row of a problem. A test proves that there is one for each.
fn entry(problem: Problem) -> &'static Entry {
    TABLE.iter().find(|entry| entry.problem == problem).unwrap_or(&table::UNKNOWN)
}

/// The row of a code like `E0203`, in any case.
pub(crate) fn entry_of_code(code: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

/// The row of a name like `no-such-contact`.
pub(crate) fn entry_of_name(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;

    use super::*;
    use crate::args::Args;

    const LOCAL: &[Problem] = &[
        Problem::Usage,
        Problem::Input,
        Problem::NoFile,
        Problem::Output,
        Problem::PipeClosed,
        Problem::Interrupted,
        Problem::Client,
        Problem::TimedOut,
        Problem::NotRunning,
        Problem::Unreachable,
        Problem::NoNodeBinary,
        Problem::StartTimedOut,
        Problem::NodeDied,
        Problem::NodeEnded,
        Problem::NotStopped,
        Problem::NoDataDir,
        Problem::Expired,
        Problem::Refused,
        Problem::Failed,
        Problem::Passphrase,
    ];

    #[test]
    fn a_taken_port_hints_at_another_one_of_the_same_interface_only() {
        let hint = |detail: &str| Failure::from(ControlError::with(ErrorName::Listen, detail)).hint("");
        for (taken, free) in [
            ("/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/0"),
            ("/ip6/::1/udp/4001/quic-v1", "/ip6/::1/udp/0/quic-v1"),
        ] {
            let told = hint(&format!("{taken}: Address already in use (os error 98)"));
            assert_eq!(told, format!("murmesh up --listen {free}"));
        }
        assert_eq!(hint("/ip4/8.8.8.8/tcp/1: Cannot assign requested address"), "murmesh help up");
        assert_eq!(hint("nonsense"), "murmesh help up");
    }

    #[test]
    fn every_problem_has_exactly_one_row_with_codes_and_names_of_its_own() {
        let all = ErrorName::ALL.iter().map(|name| Problem::Node(*name)).chain(LOCAL.iter().copied());
        let all = all.collect::<Vec<_>>();
        for problem in &all {
            let rows = TABLE.iter().filter(|entry| entry.problem == *problem).count();
            assert_eq!(rows, 1, "{problem:?}");
        }
        assert_eq!(TABLE.len(), all.len());
        assert_eq!(TABLE.iter().map(|entry| entry.code).collect::<BTreeSet<_>>().len(), TABLE.len());
        assert_eq!(TABLE.iter().map(|entry| entry.name).collect::<BTreeSet<_>>().len(), TABLE.len());
    }

    /// The contract, code by code: a script that knows a status must never meet another one.
    const EXITS: &[(u8, &str)] = &[
        (exit::OTHER, "E0004 E0006 E0007 E0009"),
        (exit::USAGE, "E0001 E0002 E0109 E0112 E0206 E0211 E0212 E0303 E0305"),
        (exit::NODE, "E0008 E0101 E0102 E0103 E0104 E0105 E0106 E0107 E0108 E0110 E0111 E0113"),
        (exit::NOT_FOUND, "E0010 E0114 E0201 E0203 E0204 E0215 E0216 E0301 E0302"),
        (exit::ENDED, "E0214 E0306 E0307 E0308"),
        (exit::LOCKED, "E0402 E0403 E0404 E0405"),
        (exit::REFUSED, "E0202 E0205 E0207 E0208 E0213 E0217 E0304 E0309 E0310 E0401"),
        (exit::TIMED_OUT, "E0003"),
        (exit::INTERRUPTED, "E0011"),
        (exit::PIPE_CLOSED, "E0005"),
    ];

    #[test]
    fn every_code_has_the_exit_status_of_the_contract() {
        for (status, codes) in EXITS {
            let rows = TABLE.iter().filter(|entry| entry.exit == *status).map(|entry| entry.code);
            let mut rows = rows.collect::<Vec<_>>();
            rows.sort_unstable();
            assert_eq!(rows.join(" "), *codes, "status {status}");
            assert!(exit::ALL.iter().any(|(known, _)| known == status), "status {status}");
        }
        let told: usize = EXITS.iter().map(|(_, codes)| codes.split(' ').count()).sum();
        assert_eq!(told, TABLE.len());
    }

    #[test]
    fn rows_are_in_style() {
        for entry in TABLE.iter() {
            assert!(entry.code.len() == 5 && entry.code.starts_with('E'), "{}", entry.code);
            let first = entry.words.chars().next().unwrap();
            assert!(!first.is_uppercase() && !entry.words.ends_with('.'), "{}", entry.words);
            assert!(!entry.explain.is_empty() && entry.explain.ends_with('.'), "{}", entry.code);
            for detail in [None, Some("zed\u{1b}")] {
                let failure = Failure { detail: detail.map(str::to_owned), ..Failure::new(entry.problem) };
                let text = failure.message() + &failure.hint("");
                assert!(!text.contains(['{', '[', '\u{1b}']), "{text}");
            }
        }
    }

    #[test]
    fn every_hint_is_a_command_that_the_parser_takes() {
        for entry in TABLE.iter() {
            for detail in [None, Some("/tmp/a dir; rm"), Some("m-1"), Some("64")] {
                let failure = Failure { detail: detail.map(str::to_owned), ..Failure::new(entry.problem) };
                let hint = failure.hint(" --data-dir /tmp/d");
                let words = hint.split(' ').collect::<Vec<_>>();
                assert_eq!(words.first(), Some(&"murmesh"), "{hint}");
                assert!(!hint.contains(|c: char| c.is_uppercase() && c != 'E'), "no placeholder: {hint}");
                if let Err(error) = Args::try_parse_from(words)
                    && error.use_stderr()
                {
                    panic!("{}: {hint}: {error}", entry.code);
                }
            }
        }
    }
}
