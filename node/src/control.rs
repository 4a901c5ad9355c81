//! The control API over a Unix socket: JSON-RPC 2.0, one object a line (SPEC §10).
//!
//! Frames, bounds, back-pressure and events; what a request means is the [`Backend`]'s. Nothing here
//! reads a message or knows an account.
//!
//! Bounds: a request line has at most
//! [`REQUEST_LINE_BYTES_MAX`](murmesh_protocol::control::files::REQUEST_LINE_BYTES_MAX) bytes; a connection works on
//! [`CALLS_MAX`] requests at once and stops reading beyond that, so a fast client is slowed by its own
//! socket; a client that takes nothing for [`Limits::stall`] is dropped, as is one that has not said
//! `system.hello` within [`Limits::greet`]: whoever only holds places must not keep others out.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use murmesh_protocol::control::{ControlError, ErrorName, Event, Reply, Request};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::hub::{EventHub, Follower};
pub use self::lock::DirLock;
pub use self::rpc::answer_line;
pub use self::socket::ControlSocket;

mod connection;
pub mod hub;
mod lock;
mod rpc;
mod socket;

#[cfg(test)]
mod tests;

/// What answers requests: the driver of the machines.
///
/// A future of `call` is polled to its end even if its client goes away, and futures of one connection
/// are first polled in the order of their requests: a backend that queues on its first poll keeps the
/// order of a client's pipelined messages.
pub trait Backend: Send + Sync + 'static {
    /// Answers any request but `system.hello` and `events.subscribe` without a name, which the server answers
    /// itself. With a name it says where that consumer goes on, and `events.ack` has the name of the consumer in place
    /// of the subscription, which only the server knows.
    fn call(&self, request: Request) -> impl Future<Output = Result<Reply, ControlError>> + Send;

    /// The first `limit` kept events with a cursor greater than `cursor`, in order.
    fn events_after(
        &self,
        cursor: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Backlog, ControlError>> + Send;
}

/// A page of kept events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// In the order of their cursors.
    pub events: Vec<Event>,
    /// Every event from this cursor on is kept; 0 or 1 if none was ever dropped.
    pub oldest_kept: u64,
}

/// Patience of the server. Tests shorten it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A client that has taken no byte of what waits for it for this long is dropped.
    pub stall: Duration,
    /// How long a client may take to say `system.hello`.
    pub greet: Duration,
    /// At shutdown, how long pending replies may take before connections are cut.
    pub flush: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            stall: Duration::from_secs(20),
            greet: Duration::from_secs(10),
            flush: Duration::from_secs(2),
        }
    }
}

/// Serves clients until `stop` is cancelled; returns when pending replies are flushed.
pub async fn serve<B: Backend>(
    socket: ControlSocket,
    backend: Arc<B>,
    hub: Arc<EventHub>,
    stop: CancellationToken,
    limits: Limits,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
            stream = socket.accept() => {
                let shared = connection::Shared {
                    backend: Arc::clone(&backend),
                    hub: Arc::clone(&hub),
                    stop: stop.clone(),
                    limits,
                };
                let crowded = connections.len() >= CLIENTS_MAX;
                connections.spawn(connection::run(stream, shared, crowded));
            }
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

/// The filter of a subscription: empty lets everything through.
type Kinds = BTreeSet<murmesh_protocol::control::EventKind>;

/// Reads a line, for the list of decoders.
#[cfg(test)]
pub(crate) fn reads(line: &str) -> bool {
    rpc::parse(line).is_ok()
}

/// An error of the `bad-request` kind.
fn bad_request(detail: impl Into<String>) -> ControlError {
    ControlError::with(ErrorName::BadRequest, detail)
}

/// Most clients at once; the next one is told `too-many`.
pub const CLIENTS_MAX: usize = 128;
/// Most requests of one connection that are worked on at once.
pub const CALLS_MAX: usize = 32;
/// Most subscriptions of one connection.
pub const SUBSCRIPTIONS_MAX: usize = 8;
/// Lines that wait for one client to read them.
const OUT_LINES_MAX: usize = 64;
