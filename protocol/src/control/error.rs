//! Errors of the control API: a name and data (SPEC §10.3). What a name says to people, with a hint, a code and
//! an exit status, is in [`words`].

use serde::{Deserialize, Serialize};

use crate::wire::ticket::TicketError;

pub mod exit;
pub mod words;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Stable names of control errors.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "kebab-case")]
        pub enum ErrorName { $($(#[$doc])* $name),* }

        impl ErrorName {
            /// Every name, for tables and tests.
            pub const ALL: &'static [ErrorName] = &[$(ErrorName::$name),*];
        }
    };
}

names! {
    /// The request is not JSON-RPC, its method unknown or its params wrong. `detail` says what.
    BadRequest,
    /// The client speaks a newer API.
    NewerClient,
    /// This data directory has no account.
    NoAccount,
    /// This data directory has an account already. `detail` is its address.
    AlreadyInitialised,
    /// Not a ticket. `detail` says what is wrong, and where if the checksum can tell.
    BadTicket,
    /// A ticket of a newer version.
    NewerTicket,
    /// One's own ticket.
    OwnTicket,
    /// The invite has expired or is used up.
    TicketEnded,
    /// No contact matches. `detail` is what was asked for.
    NoSuchContact,
    /// Several contacts match. `detail` lists them.
    AmbiguousContact,
    /// No message matches.
    NoSuchMessage,
    /// Several messages match.
    AmbiguousMessage,
    /// No invite of this id is open. `detail` is what was asked for.
    NoSuchInvite,
    /// No such request waits. `detail` is what was asked for.
    NoSuchRequest,
    /// `privacy.accept_requests` is `nobody`: a ticket would let nobody in.
    Closed,
    /// No consumer of events has this name. `detail` is what was asked for.
    NoSuchConsumer,
    /// The message is not waiting: it was delivered, or has ended. `detail` is its id.
    NotWaiting,
    /// The message has left this node: it cannot be taken back. `detail` is its id.
    AlreadySent,
    /// Another contact has this name.
    NameTaken,
    /// A name is empty, too long or `me`. `detail` is the limit in bytes.
    BadName,
    /// The text is empty or too long. `detail` is the limit in bytes.
    BadText,
    /// A duration or number is out of range. `detail` names it and its range.
    OutOfRange,
    /// The contact is blocked.
    Blocked,
    /// A bound of this node is reached (contacts, invites, outbox, consumers). `detail` names it.
    TooMany,
    /// The same `client_id` was used for another text or recipient.
    ClientIdReused,
    /// The disk is full or failing: nothing was accepted.
    Disk,
    /// The database is damaged or of a newer version.
    Database,
    /// Wrong passphrase, or none given (`a passphrase is needed`). `detail` says which.
    Locked,
    /// A fault of murmesh; logged.
    Internal,
    /// The node is stopping.
    Stopping,
    /// Another node runs on this data directory. At start, through `startup-error.json`.
    AlreadyRunning,
    /// The path of `api.sock` is too long for a socket. `detail` is the path. At start.
    SocketPath,
    /// A listening address is malformed, taken or not of this machine. `detail` names it. At start.
    Listen,
    /// The configuration or a flag is wrong. `detail` says where. At start.
    BadConfig,
    /// The data directory or a file of it cannot be used by this user. `detail` names it. At start.
    Permission,
}

/// Where in a file something wrong is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FilePlace {
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// The character of that line, from 1.
    pub column: u64,
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ControlError {
    /// Which error.
    pub name: ErrorName,
    /// Data for the text: what was asked for, the limit, the position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The place, of an error in a file that a person wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<FilePlace>,
}

impl ControlError {
    /// An error without data.
    #[must_use]
    pub fn new(name: ErrorName) -> ControlError {
        ControlError { name, detail: None, place: None }
    }

    /// An error with data.
    #[must_use]
    pub fn with(name: ErrorName, detail: impl Into<String>) -> ControlError {
        ControlError { name, detail: Some(detail.into()), place: None }
    }
}

/// In one's own words, whether node or client found it.
impl From<TicketError> for ControlError {
    fn from(error: TicketError) -> ControlError {
        let why = match error {
            TicketError::NewerVersion => return ControlError::new(ErrorName::NewerTicket),
            TicketError::Mistyped { position: Some(position) } => format!("mistyped at character {position}"),
            TicketError::Mistyped { position: None } => "mistyped or cut off".to_owned(),
            TicketError::MistypedAccount => "an account address that is mistyped or cut off".to_owned(),
            TicketError::NotATicket | TicketError::Malformed => "a ticket begins with MURMESH:".to_owned(),
        };
        ControlError::with(ErrorName::BadTicket, why)
    }
}

impl From<ErrorName> for ControlError {
    fn from(name: ErrorName) -> ControlError {
        ControlError::new(name)
    }
}
