//! Exit statuses of `murmesh` and `murmeshd`: a contract with scripts. Every error has one of them.

macro_rules! statuses {
    ($($name:ident $status:literal $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: u8 = $status;)*

        /// Every status and what it means.
        pub const ALL: &[(u8, &str)] = &[$(($status, $meaning)),*];
    };
}

statuses! {
    DONE 0 "done";
    OTHER 1 "anything without a status of its own";
    USAGE 2 "usage, a malformed name, text or ticket, a wrong configuration";
    NODE 3 "the node is not running or reachable, or runs already on this directory";
    NOT_FOUND 4 "no such contact, message, file or account";
    ENDED 5 "expired, used up, undeliverable";
    LOCKED 7 "locked, wrong passphrase, no permission, a damaged or newer database";
    REFUSED 8 "refused: own ticket, already initialised, blocked, a quota, a full disk";
    DEGRADED 9 "degraded: `status` found something to do";
    TIMED_OUT 124 "the time-out passed; what was accepted goes on";
    INTERRUPTED 130 "Ctrl-C (silent)";
    PIPE_CLOSED 141 "the reader of the output has gone (silent)";
}

/// Ends without a word.
#[must_use]
pub fn is_silent(status: u8) -> bool {
    matches!(status, INTERRUPTED | PIPE_CLOSED)
}
