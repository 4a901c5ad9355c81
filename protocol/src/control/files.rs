//! Files of a data directory that the node and its clients agree on (SPEC §10.1).

/// The account's database: where it is, there is or may be an account.
pub const PRIVATE_DATABASE: &str = "private.db";

/// The database of mail and records kept for others.
pub const CUSTODY_DATABASE: &str = "custody.db";

/// The socket of the control API: mode 0600 in a directory of mode 0700.
pub const SOCKET: &str = "api.sock";

/// Held with an exclusive `flock` by the running node for as long as it runs; its text is the process
/// id in decimal. A killed node leaves the file but not the lock.
pub const LOCK: &str = "lock";

/// The node's log, when it was started detached.
pub const LOG: &str = "murmeshd.log";

/// Why the last start failed: a [`ControlError`](super::ControlError) as JSON. Deleted by a good start.
pub const STARTUP_ERROR: &str = "startup-error.json";

/// Longest path of the socket in bytes: a little under the least that any Unix allows (104).
pub const SOCKET_PATH_BYTES_MAX: usize = 100;

/// Longest line of a request in bytes, its newline included. Replies may be longer.
pub const REQUEST_LINE_BYTES_MAX: usize = 256 * 1024;
