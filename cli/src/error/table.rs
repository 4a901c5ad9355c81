//! The table of errors: those of the node, whose words are in the protocol, and those that only a client can
//! have, whose words are here. Codes and names are stable: scripts and search engines know them; a row is never
//! given another meaning. Documented by `murmesh help CODE`.
//!
//! `E00` this client · `E01` the node · `E02` accounts, contacts, tickets · `E03` messages · `E04` disk.

use std::sync::LazyLock;

use murmesh_protocol::control::ErrorName;
use murmesh_protocol::control::error::words::ErrorWords;

use super::Problem;
use super::exit;

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Code to quote and to look up.
    pub(crate) code: &'static str,
    /// Name in JSON.
    pub(crate) name: &'static str,
    /// What it is the row of.
    pub(crate) problem: Problem,
    /// Exit status.
    pub(crate) exit: u8,
    /// The same command may work later without any change.
    pub(crate) retryable: bool,
    /// What happened and what is safe: a lower-case fragment; `{}` is the detail, `[…]` goes without it.
    pub(crate) words: &'static str,
    /// What to type next.
    pub(crate) hint: &'static str,
    /// Sentences for `murmesh help CODE`.
    pub(crate) explain: &'static str,
}

macro_rules! table {
    ($($code:literal $name:literal $problem:expr, $exit:ident, $retryable:literal,
        $words:literal, $hint:literal, $explain:literal;)*) => {
        const OF_A_CLIENT: &[Entry] = &[$(Entry {
            code: $code,
            name: $name,
            problem: $problem,
            exit: exit::$exit,
            retryable: $retryable,
            words: $words,
            hint: $hint,
            explain: $explain,
        }),*];
    };
}

/// All rows, in the order of their codes.
pub(crate) static TABLE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let mut rows = OF_A_CLIENT.to_vec();
    rows.extend(ErrorName::ALL.iter().copied().map(of_the_node));
    rows.sort_unstable_by_key(|row| row.code);
    rows
});

fn of_the_node(error: ErrorName) -> Entry {
    let ErrorWords { code, name, exit, retryable, words, hint, explain } = *error.row();
    Entry { code, name, problem: Problem::Node(error), exit, retryable, words, hint, explain }
}

table! {
    "E0001" "usage" Problem::Usage, USAGE, false,
        "[{}]", "murmesh help",
        "The command line is not one that murmesh knows. Nothing was done.";
    "E0002" "input" Problem::Input, USAGE, false,
        "cannot read the input[: {}]; nothing was done", "murmesh help errors",
        "A file named on the command line or standard input could not be read as text.";
    "E0003" "timeout" Problem::TimedOut, TIMED_OUT, true,
        "the time-out passed[: {}]", "murmesh outbox list",
        "The state asked for with --wait was not reached within --timeout. A message that is not \
         delivered stays in the outbox and is tried until it expires; a request to a contact goes on too.";
    "E0004" "output" Problem::Output, OTHER, false,
        "cannot write[: {}]", "murmesh help",
        "A file or standard output could not be written. What the command did before is done.";
    "E0005" "pipe-closed" Problem::PipeClosed, PIPE_CLOSED, false,
        "the reader of the output has gone", "murmesh help",
        "Never shown: the command ends silently with status 141, as any filter does.";
    "E0006" "client" Problem::Client, OTHER, false,
        "murmesh cannot do this[: {}]", "murmesh help",
        "A limit or a fault of the command line itself. If it looks like a fault, please report it.";
    "E0010" "no-such-file" Problem::NoFile, NOT_FOUND, false,
        "there is no file[ {}]; nothing was done", "murmesh help errors",
        "A file named on the command line does not exist.";
    "E0011" "interrupted" Problem::Interrupted, INTERRUPTED, false,
        "interrupted", "murmesh help",
        "Never shown: Ctrl-C at a question ends the command silently with status 130.";
    "E0101" "not-running" Problem::NotRunning, NODE, true,
        "no node is running on this data directory", "murmesh up",
        "This command asks a running node and starts none. `murmesh up` starts one.";
    "E0102" "unreachable" Problem::Unreachable, NODE, true,
        "the node does not answer[: {}]", "murmesh down",
        "Something listens on the control socket and gives no sensible answer in time. `murmesh down` ends it, with \
         force after five seconds; messages that were accepted are on disk.";
    "E0103" "no-node-binary" Problem::NoNodeBinary, NODE, false,
        "murmeshd is neither beside murmesh nor on PATH", "murmesh help up",
        "The node is a program of its own, murmeshd. Install both in one directory.";
    "E0105" "start-timeout" Problem::StartTimedOut, NODE, true,
        "the node did not come up within 10 s[; see {}]", "murmesh status",
        "murmeshd was started and is not ready. It may still become so: `murmesh status` tells. Its log says what it \
         is doing.";
    "E0106" "node-died" Problem::NodeDied, NODE, false,
        "the node ended while starting[; see {}]", "murmesh up --foreground",
        "murmeshd ended without saying why. In the foreground its words are on the terminal.";
    "E0111" "not-stopped" Problem::NotStopped, NODE, true,
        "the node did not end[: {}]", "murmesh status",
        "The node neither ended when asked nor could be killed. Another user may have started it.";
    "E0112" "no-data-dir" Problem::NoDataDir, USAGE, false,
        "neither --data-dir, MURMESH_DATA_DIR, XDG_DATA_HOME nor HOME says where to keep data",
        "murmesh --data-dir ~/.murmesh",
        "A node keeps its keys and messages in one directory, and nothing says which.";
    "E0113" "node-ended" Problem::NodeEnded, NODE, true,
        "the node has stopped; what it had accepted is on disk", "murmesh up",
        "The command was listening to the node when it ended: somebody typed `murmesh down`, or the machine is shutting \
         down.";
    "E0306" "expired" Problem::Expired, ENDED, false,
        "the message expired before it was delivered", "murmesh outbox list",
        "Its life (--expire, 14 days unless said otherwise) ended before the recipient was seen. It will not be \
         delivered.";
    "E0307" "refused" Problem::Refused, ENDED, false,
        "the message was refused for good", "murmesh contact list",
        "The recipient or every custodian refused it. `murmesh why ID` shows by whom.";
    "E0308" "failed" Problem::Failed, ENDED, false,
        "the message cannot be sent", "murmesh outbox list",
        "`murmesh why ID` shows the attempts and what came of them.";
    "E0405" "passphrase" Problem::Passphrase, LOCKED, false,
        "cannot read the passphrase[: {}]; nothing was done", "murmesh up --passphrase-file -",
        "The file of --passphrase-file or MURMESH_PASSPHRASE_FILE cannot be read, or its first line is empty. \
         `--passphrase-file -` asks for the passphrase on a terminal and reads it from standard input elsewhere.";
}

/// What a problem without a row would show; a test proves that there is none.
pub(super) const UNKNOWN: Entry = Entry {
    code: "E0000",
    name: "unknown",
    problem: Problem::Client,
    exit: exit::OTHER,
    retryable: false,
    words: "an error without words[: {}]",
    hint: "murmesh help",
    explain: "A fault of the command line.",
};
