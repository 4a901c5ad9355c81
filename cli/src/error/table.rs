//! The table of errors: the only place with their words. Codes and names are stable: scripts and search
//! engines know them; a row is never given another meaning. Documented by `murmesh help CODE`.
//!
//! `E00` this client · `E01` the node · `E02` accounts, contacts, tickets · `E03` messages · `E04` disk.

use murmesh_protocol::control::ErrorName;

use super::Problem;
use super::exit;

/// One row.
#[derive(Debug)]
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
        /// All rows.
        pub(crate) const TABLE: &[Entry] = &[$(Entry {
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

use ErrorName as N;
use Problem::Node;

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
    "E0007" "bad-request" Node(N::BadRequest), OTHER, false,
        "the node did not understand the request[: {}]", "murmesh --version",
        "The node and the command line do not agree on a request: mostly they are of different versions. \
         Restart the node after an update with `murmesh down` and `murmesh up`.";
    "E0008" "newer-client" Node(N::NewerClient), NODE, false,
        "the running node is older than this command line; nothing was done", "murmesh down",
        "The node speaks an older control API. Stop it, and start the one that came with this command line.";
    "E0009" "internal" Node(N::Internal), OTHER, true,
        "a fault inside the node[: {}]; it is in the node's log", "murmesh status",
        "Something happened that should not. Messages that were accepted are on disk. Please report the lines of \
         murmeshd.log around this time.";
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
    "E0104" "already-running" Node(N::AlreadyRunning), NODE, false,
        "another node is running on this data directory", "murmesh status",
        "A data directory belongs to one node at a time. Use another one with --data-dir, or stop the node that runs.";
    "E0105" "start-timeout" Problem::StartTimedOut, NODE, true,
        "the node did not come up within 10 s[; see {}]", "murmesh status",
        "murmeshd was started and is not ready. It may still become so: `murmesh status` tells. Its log says what it \
         is doing.";
    "E0106" "node-died" Problem::NodeDied, NODE, false,
        "the node ended while starting[; see {}]", "murmesh up --foreground",
        "murmeshd ended without saying why. In the foreground its words are on the terminal.";
    "E0107" "socket-path" Node(N::SocketPath), NODE, false,
        "the path of the control socket is over 100 bytes[: {}]", "murmesh up --data-dir ~/.murmesh",
        "Sockets have short paths on every Unix. Choose a data directory with a shorter one, in a place that only you can \
         write to.";
    "E0108" "listen" Node(N::Listen), NODE, false,
        "cannot listen[ on {}]", "murmesh help up",
        "The address is malformed, taken by another program, or not of this machine. Port 0 lets the node choose a \
         free port, which it keeps.";
    "E0109" "bad-config" Node(N::BadConfig), USAGE, false,
        "the configuration is wrong[: {}]", "murmesh help up",
        "A flag or a line of config.toml is not understood. The node did not start.";
    "E0110" "stopping" Node(N::Stopping), NODE, true,
        "the node is stopping; nothing was accepted", "murmesh up",
        "The node was told to stop and finishes what it had begun.";
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
    "E0114" "no-such-consumer" Node(N::NoSuchConsumer), NOT_FOUND, false,
        "no consumer of events is called[ \"{}\"]", "murmesh api call events.consumers",
        "A consumer is kept from its first `murmesh listen --name NAME` until it is forgotten.";

    "E0201" "no-account" Node(N::NoAccount), NOT_FOUND, false,
        "there is no account in this data directory", "murmesh init",
        "This needs an account, and the node is a custodian only. `murmesh init` makes one.";
    "E0202" "already-initialised" Node(N::AlreadyInitialised), REFUSED, false,
        "there is an account in this data directory already[: {}]; nothing was changed", "murmesh id show",
        "An account is never overwritten. Use another data directory for another account.";
    "E0203" "no-such-contact" Node(N::NoSuchContact), NOT_FOUND, false,
        "no contact matches[ \"{}\"]; nothing was done", "murmesh contact list",
        "WHO is a contact's name, its account address, or a unique beginning of either.";
    "E0204" "ambiguous-contact" Node(N::AmbiguousContact), NOT_FOUND, false,
        "several contacts match[: {}]; nothing was done", "murmesh contact list",
        "The beginning that was given fits several contacts. Give more of the name.";
    "E0205" "name-taken" Node(N::NameTaken), REFUSED, false,
        "another contact has this name[: {}]; nothing was changed", "murmesh contact list",
        "Names of contacts are unique in a data directory, and yours to choose.";
    "E0206" "bad-name" Node(N::BadName), USAGE, false,
        "a name has 1 to {} bytes that can be shown, is not \"me\", and begins neither with # nor with mur1; nothing was done", "murmesh help E0206",
        "Names are stripped of control characters and escape sequences; something must be left, and not too much. \"me\" \
         stands for yourself, mur1 begins an account address, and # is kept for groups. Only the name of a consumer of \
         events may begin so.";
    "E0207" "blocked" Node(N::Blocked), REFUSED, false,
        "this contact is blocked[: {}]; nothing was sent", "murmesh contact list",
        "You blocked this contact. Nothing is sent to it or taken from it.";
    "E0208" "too-many" Node(N::TooMany), REFUSED, true,
        "a bound of this node is reached[: {}]; nothing was accepted", "murmesh status",
        "The node keeps a bounded number of contacts, invites, queued messages, clients and named consumers of events. \
         `murmesh api call events.forget` with a name makes room for another consumer.";
    "E0211" "bad-ticket" Node(N::BadTicket), USAGE, false,
        "this is not a ticket[: {}]; nothing was done", "murmesh help add",
        "A ticket is one line that begins with MURMESH:MT1, an account address one that begins with mur1. Their checksums \
         find mistyped characters. Ask for it again, or scan its QR code.";
    "E0212" "newer-ticket" Node(N::NewerTicket), USAGE, false,
        "this ticket is of a newer version of murmesh; nothing was done", "murmesh --version",
        "Whoever made the ticket has a newer version. Update murmesh.";
    "E0213" "own-ticket" Node(N::OwnTicket), REFUSED, false,
        "this is your own ticket; nothing was done: give it to somebody else, and add theirs", "murmesh add",
        "A ticket lets somebody else add you: they type `murmesh add` and yours. To add them, ask for theirs, or let them \
         add you: one of the two is enough.";
    "E0214" "ticket-ended" Node(N::TicketEnded), ENDED, false,
        "this ticket has expired or is used up; nothing was done", "murmesh help invite",
        "A ticket serves a number of people for a time. Ask for a new one.";

    "E0215" "no-such-invite" Node(N::NoSuchInvite), NOT_FOUND, false,
        "no open invite has the id[ \"{}\"]", "murmesh invite list",
        "An invite that was used up, has expired or was revoked lets nobody in and is not listed.";

    "E0216" "no-such-request" Node(N::NoSuchRequest), NOT_FOUND, false,
        "no request matches[ \"{}\"]; nothing was done", "murmesh request list",
        "A request is named by its id, a unique beginning of it, or the account that asks. One that was answered, or was \
         not answered in 14 days, is gone.";
    "E0217" "closed" Node(N::Closed), REFUSED, false,
        "accept_requests is \"nobody\": a ticket would let nobody in; none was made", "murmesh config show",
        "The configuration says that nobody becomes a contact of this account unless you add them yourself, not even with a \
         ticket.";

    "E0301" "no-such-message" Node(N::NoSuchMessage), NOT_FOUND, false,
        "no message matches[ \"{}\"]", "murmesh outbox list",
        "A message is named by its id or a unique beginning of at least six digits. Delivered messages are not in the \
         outbox: `murmesh read` shows them.";
    "E0302" "ambiguous-message" Node(N::AmbiguousMessage), NOT_FOUND, false,
        "several messages match[ \"{}\"]", "murmesh outbox list",
        "The beginning that was given fits several messages. Give more of the id.";
    "E0303" "bad-text" Node(N::BadText), USAGE, false,
        "the text cannot be sent[: {}]; nothing was sent", "murmesh help send",
        "The text is empty, only white space, or too long for one message.";
    "E0304" "client-id-reused" Node(N::ClientIdReused), REFUSED, false,
        "this --request-id was used for another message; nothing was sent", "murmesh help send",
        "The same request id never sends twice. For another text or contact it must be another one.";
    "E0305" "out-of-range" Node(N::OutOfRange), USAGE, false,
        "a value is out of range[: {}]; nothing was done", "murmesh help",
        "A duration or number is larger or smaller than the node takes.";
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

    "E0309" "not-waiting" Node(N::NotWaiting), REFUSED, false,
        "the message is not waiting: it was delivered, or has ended", "murmesh outbox list",
        "Only a message in the outbox can be tried again or taken back.";
    "E0310" "already-sent" Node(N::AlreadySent), REFUSED, false,
        "the message has left this machine and cannot be taken back", "murmesh outbox list",
        "Custodians or the recipient have it. What others have nobody can take away; the message goes its way.";

    "E0401" "disk" Node(N::Disk), REFUSED, true,
        "the disk is full or failing[: {}]; nothing was accepted", "murmesh status",
        "Nothing is acknowledged that is not on disk. Make room, then try again.";
    "E0402" "database" Node(N::Database), LOCKED, false,
        "the database is damaged or of a newer version[: {}]; it was not touched", "murmesh help E0402",
        "A newer version of murmesh has been here, or the disk has lost data. The file is left as it is: update \
         murmesh, or restore a backup.";
    "E0403" "locked" Node(N::Locked), LOCKED, false,
        "the account is locked[: {}]; nothing was changed", "murmesh up --passphrase-file -",
        "The keys of this data directory are sealed with a passphrase. `--passphrase-file -` asks for it on a terminal and \
         reads it from standard input elsewhere; --passphrase-file FILE and MURMESH_PASSPHRASE_FILE name a file whose \
         first line it is. Once the node runs, no command needs it.";
    "E0404" "permission" Node(N::Permission), LOCKED, false,
        "the data directory cannot be used[: {}]; nothing was changed", "murmesh help E0404",
        "The data directory or a file in it cannot be made, written or entered by this user: `ls -ld` shows whose it is. \
         Another directory is chosen with --data-dir, for example --data-dir ~/.murmesh, or MURMESH_DATA_DIR.";
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
