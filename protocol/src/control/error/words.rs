//! What each error of a node says to a person: the only place with these words, for the CLI, which shows them
//! to who typed a command, and for `murmeshd`, whose start can fail where no CLI is. SPEC §10.3.
//!
//! Codes and names are stable: scripts and search engines know them; a row is never given another meaning.

use super::ErrorName;
use super::exit;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct ErrorWords {
    /// Code to quote and to look up.
    pub code: &'static str,
    /// Name in JSON.
    pub name: &'static str,
    /// Exit status of a program that ends with it.
    pub exit: u8,
    /// The same request may work later without any change.
    pub retryable: bool,
    /// What happened and what is safe: a lower-case fragment; `{}` is the detail, `[…]` goes without it.
    pub words: &'static str,
    /// What to type next.
    pub hint: &'static str,
    /// Sentences that explain it.
    pub explain: &'static str,
}

impl ErrorName {
    /// Its row.
    #[must_use]
    pub const fn row(self) -> &'static ErrorWords {
        row(self)
    }
}

impl ErrorWords {
    /// What happened, with the detail filled in as it is: of strangers' text the caller makes one harmless line first.
    #[must_use]
    pub fn message(&self, detail: Option<&str>) -> String {
        fill(self.words, detail)
    }
}

/// Fills `{}`; a part in brackets goes when there is nothing to fill in.
#[must_use]
pub fn fill(template: &str, detail: Option<&str>) -> String {
    let text = match (template.split_once('['), detail) {
        (None, _) => template.to_owned(),
        (Some(_), Some(_)) => template.replace(['[', ']'], ""),
        (Some((before, rest)), None) => {
            let after = rest.split_once(']').map_or("", |(_, after)| after);
            format!("{before}{after}")
        }
    };
    text.replace("{}", detail.unwrap_or("it"))
}

/// The command line with this data directory in it, unless it is about none or names its own.
#[must_use]
pub fn hint_for(hint: &str, data_dir: &str) -> String {
    let elsewhere = ["--data-dir", "murmesh help", "--version"].iter().any(|part| hint.contains(part));
    if elsewhere { hint.to_owned() } else { format!("{hint}{data_dir}") }
}

/// As a shell takes it back: quoted only where it must be.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':');
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A port that is taken: another one on the same interface, not on all of them. `detail` is that of
/// [`ErrorName::Listen`].
#[must_use]
pub fn hint_of_free_port(detail: &str) -> Option<String> {
    let (address, _) = detail.split_once(' ').filter(|(_, why)| why.contains("in use"))?;
    match *address.trim_end_matches(':').split('/').collect::<Vec<_>>() {
        ["", ip, host, kind @ ("tcp" | "udp"), _, ref rest @ ..] => {
            let rest: String = rest.iter().map(|part| format!("/{part}")).collect();
            Some(format!("murmesh up --listen /{ip}/{host}/{kind}/0{rest}"))
        }
        _ => None,
    }
}

macro_rules! rows {
    ($($error:ident $code:literal $name:literal, $exit:ident, $retryable:literal,
        $words:literal, $hint:literal, $explain:literal;)*) => {
        const fn row(name: ErrorName) -> &'static ErrorWords {
            match name {$(
                ErrorName::$error => &ErrorWords {
                    code: $code,
                    name: $name,
                    exit: exit::$exit,
                    retryable: $retryable,
                    words: $words,
                    hint: $hint,
                    explain: $explain,
                },
            )*}
        }
    };
}

rows! {
    BadRequest "E0007" "bad-request", OTHER, false,
        "the node did not understand the request[: {}]", "murmesh --version",
        "The node and the command line do not agree on a request: mostly they are of different versions. \
         Restart the node after an update with `murmesh down` and `murmesh up`.";
    NewerClient "E0008" "newer-client", NODE, false,
        "the running node is older than this command line; nothing was done", "murmesh down",
        "The node speaks an older control API. Stop it, and start the one that came with this command line.";
    Internal "E0009" "internal", OTHER, true,
        "a fault inside the node[: {}]; it is in the node's log", "murmesh status",
        "Something happened that should not. Messages that were accepted are on disk. Please report the lines of \
         murmeshd.log around this time.";
    AlreadyRunning "E0104" "already-running", NODE, false,
        "another node is running on this data directory", "murmesh status",
        "A data directory belongs to one node at a time. Use another one with --data-dir, or stop the node that runs.";
    SocketPath "E0107" "socket-path", NODE, false,
        "the path of the control socket is over 100 bytes[: {}]", "murmesh up --data-dir ~/.murmesh",
        "Sockets have short paths on every Unix. Choose a data directory with a shorter one, in a place that only you can \
         write to.";
    Listen "E0108" "listen", NODE, false,
        "cannot listen[ on {}]", "murmesh help up",
        "The address is malformed, taken by another program, or not of this machine. Port 0 lets the node choose a \
         free port, which it keeps.";
    BadConfig "E0109" "bad-config", USAGE, false,
        "the configuration is wrong[: {}]", "murmesh help up",
        "A flag or a line of config.toml is not understood. The node did not start.";
    Stopping "E0110" "stopping", NODE, true,
        "the node is stopping; nothing was accepted", "murmesh up",
        "The node was told to stop and finishes what it had begun.";
    NoSuchConsumer "E0114" "no-such-consumer", NOT_FOUND, false,
        "no consumer of events is called[ \"{}\"]", "murmesh api call events.consumers",
        "A consumer is kept from its first `murmesh listen --name NAME` until it is forgotten.";
    NoAccount "E0201" "no-account", NOT_FOUND, false,
        "there is no account in this data directory", "murmesh init",
        "This needs an account, and the node is a custodian only. `murmesh init` makes one.";
    AlreadyInitialised "E0202" "already-initialised", REFUSED, false,
        "there is an account in this data directory already[: {}]; nothing was changed", "murmesh id show",
        "An account is never overwritten. Use another data directory for another account.";
    NoSuchContact "E0203" "no-such-contact", NOT_FOUND, false,
        "no contact matches[ \"{}\"]; nothing was done", "murmesh contact list",
        "WHO is a contact's name, its account address, or a unique beginning of either.";
    AmbiguousContact "E0204" "ambiguous-contact", NOT_FOUND, false,
        "several contacts match[: {}]; nothing was done", "murmesh contact list",
        "The beginning that was given fits several contacts. Give more of the name.";
    NameTaken "E0205" "name-taken", REFUSED, false,
        "another contact has this name[: {}]; nothing was changed", "murmesh contact list",
        "Names of contacts are unique in a data directory, and yours to choose.";
    BadName "E0206" "bad-name", USAGE, false,
        "a name has 1 to {} bytes that can be shown, is not \"me\", and begins neither with # nor with mur1; nothing was done", "murmesh help E0206",
        "Names are stripped of control characters and escape sequences; something must be left, and not too much. \"me\" \
         stands for yourself, mur1 begins an account address, and # is kept for groups. Only the name of a consumer of \
         events may begin so.";
    Blocked "E0207" "blocked", REFUSED, false,
        "this contact is blocked[: {}]; nothing was sent", "murmesh contact list",
        "You blocked this contact. Nothing is sent to it or taken from it.";
    TooMany "E0208" "too-many", REFUSED, true,
        "a bound of this node is reached[: {}]; nothing was accepted", "murmesh status",
        "The node keeps a bounded number of contacts, invites, queued messages, clients and named consumers of events. \
         `murmesh api call events.forget` with a name makes room for another consumer.";
    BadTicket "E0211" "bad-ticket", USAGE, false,
        "this is not a ticket[: {}]; nothing was done", "murmesh help add",
        "A ticket is one line that begins with MURMESH:MT1, an account address one that begins with mur1. Their checksums \
         find mistyped characters. Ask for it again, or scan its QR code.";
    NewerTicket "E0212" "newer-ticket", USAGE, false,
        "this ticket is of a newer version of murmesh; nothing was done", "murmesh --version",
        "Whoever made the ticket has a newer version. Update murmesh.";
    OwnTicket "E0213" "own-ticket", REFUSED, false,
        "this is your own ticket; nothing was done: give it to somebody else, and add theirs", "murmesh add",
        "A ticket lets somebody else add you: they type `murmesh add` and yours. To add them, ask for theirs, or let them \
         add you: one of the two is enough.";
    TicketEnded "E0214" "ticket-ended", ENDED, false,
        "this ticket has expired or is used up; nothing was done", "murmesh help invite",
        "A ticket serves a number of people for a time. Ask for a new one.";
    NoSuchInvite "E0215" "no-such-invite", NOT_FOUND, false,
        "no open invite has the id[ \"{}\"]", "murmesh invite list",
        "An invite that was used up, has expired or was revoked lets nobody in and is not listed.";
    NoSuchRequest "E0216" "no-such-request", NOT_FOUND, false,
        "no request matches[ \"{}\"]; nothing was done", "murmesh request list",
        "A request is named by its id, a unique beginning of it, or the account that asks. One that was answered, or was \
         not answered in 14 days, is gone.";
    Closed "E0217" "closed", REFUSED, false,
        "accept_requests is \"nobody\": a ticket would let nobody in; none was made", "murmesh config show",
        "The configuration says that nobody becomes a contact of this account unless you add them yourself, not even with a \
         ticket.";
    NoSuchMessage "E0301" "no-such-message", NOT_FOUND, false,
        "no message matches[ \"{}\"]", "murmesh outbox list",
        "A message is named by its id or a unique beginning of at least six digits. Delivered messages are not in the \
         outbox: `murmesh read` shows them.";
    AmbiguousMessage "E0302" "ambiguous-message", NOT_FOUND, false,
        "several messages match[ \"{}\"]", "murmesh outbox list",
        "The beginning that was given fits several messages. Give more of the id.";
    BadText "E0303" "bad-text", USAGE, false,
        "the text cannot be sent[: {}]; nothing was sent", "murmesh help send",
        "The text is empty, only white space, or too long for one message.";
    ClientIdReused "E0304" "client-id-reused", REFUSED, false,
        "this --request-id was used for another message; nothing was sent", "murmesh help send",
        "The same request id never sends twice. For another text or contact it must be another one.";
    OutOfRange "E0305" "out-of-range", USAGE, false,
        "a value is out of range[: {}]; nothing was done", "murmesh help",
        "A duration or number is larger or smaller than the node takes.";
    NotWaiting "E0309" "not-waiting", REFUSED, false,
        "the message is not waiting: it was delivered, or has ended", "murmesh outbox list",
        "Only a message in the outbox can be tried again or taken back.";
    AlreadySent "E0310" "already-sent", REFUSED, false,
        "the message has left this machine and cannot be taken back", "murmesh outbox list",
        "Custodians or the recipient have it. What others have nobody can take away; the message goes its way.";
    Disk "E0401" "disk", REFUSED, true,
        "the disk is full or failing[: {}]; nothing was accepted", "murmesh status",
        "Nothing is acknowledged that is not on disk. Make room, then try again.";
    Database "E0402" "database", LOCKED, false,
        "the database is damaged or of a newer version[: {}]; it was not touched", "murmesh help E0402",
        "A newer version of murmesh has been here, or the disk has lost data. The file is left as it is: update \
         murmesh, or restore a backup.";
    Locked "E0403" "locked", LOCKED, false,
        "the account is locked[: {}]; nothing was changed", "murmesh up --passphrase-file -",
        "The keys of this data directory are sealed with a passphrase. `--passphrase-file -` asks for it on a terminal and \
         reads it from standard input elsewhere; --passphrase-file FILE and MURMESH_PASSPHRASE_FILE name a file whose \
         first line it is. Once the node runs, no command needs it.";
    Permission "E0404" "permission", LOCKED, false,
        "the data directory cannot be used[: {}]; nothing was changed", "murmesh help E0404",
        "The data directory or a file in it cannot be made, written or entered by this user: `ls -ld` shows whose it is. \
         Another directory is chosen with --data-dir, for example --data-dir ~/.murmesh, or MURMESH_DATA_DIR.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_those_of_the_json_and_codes_are_used_once() {
        for name in ErrorName::ALL {
            assert_eq!(serde_json::to_value(name).unwrap(), name.row().name);
        }
        let codes = ErrorName::ALL.iter().map(|name| name.row().code).collect::<BTreeSet<_>>();
        assert_eq!(codes.len(), ErrorName::ALL.len());
    }

    #[test]
    fn a_part_in_brackets_goes_without_detail() {
        assert_eq!(fill("not a ticket[: {}]; nothing", Some("x")), "not a ticket: x; nothing");
        assert_eq!(fill("not a ticket[: {}]; nothing", None), "not a ticket; nothing");
    }
}
