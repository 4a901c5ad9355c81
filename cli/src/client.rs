//! The client's side of the control socket: one blocking connection, answers by id, events in between.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use murmesh_protocol::control::files::{SOCKET, SOCKET_PATH_BYTES_MAX};
use murmesh_protocol::control::{
    API_VERSION, ContactsReply, ControlError, ErrorName, Event, EventKind, HelloParams, HelloReply, NoParams,
    Request, StatusReply, SubscribeParams, SubscribeReply,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data_dir::{system_words, unusable};
use crate::error::{Failure, Problem};
use crate::words::is_near;

/// How long an answer may take. The node answers from memory and disk, never from the network.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// A greeted connection to a running node.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    /// Bytes read and not yet taken as lines; no line break is before `scanned`.
    buffer: Vec<u8>,
    scanned: usize,
    events: VecDeque<Value>,
    next_id: u64,
    hello: HelloReply,
    /// No answer is waited for beyond it.
    give_up_at: Option<Instant>,
    /// The node has closed the connection.
    closed: bool,
}

#[derive(Serialize)]
struct Call<'a, T> {
    jsonrpc: &'static str,
    id: u64,
    #[serde(flatten)]
    request: &'a T,
}

#[derive(Serialize)]
struct AnyRequest<'a> {
    method: &'a str,
    params: serde_json::Map<String, Value>,
}

/// A line from the node: an answer or an event.
#[derive(Deserialize)]
struct Incoming {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<IncomingError>,
    #[serde(default)]
    params: Option<Value>,
}

#[derive(Deserialize)]
struct IncomingError {
    data: ErrorData,
}

/// The names of a newer node may be unknown here.
#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorData {
    Known(ControlError),
    Unknown { name: String },
}

impl From<IncomingError> for Failure {
    fn from(error: IncomingError) -> Failure {
        match error.data {
            ErrorData::Known(error) => error.into(),
            ErrorData::Unknown { name } => Failure::with(Problem::Client, format!("the node says {name}")),
        }
    }
}

impl Client {
    /// Connects and greets; `None` when no node runs on `data_dir`. Neither the greeting nor any later call
    /// waits beyond `give_up_at`.
    pub(crate) fn connect(data_dir: &Path, give_up_at: Option<Instant>) -> Result<Option<Client>, Failure> {
        let path = data_dir.join(SOCKET);
        if path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
            return Err(ControlError::with(ErrorName::SocketPath, path.display().to_string()).into());
        }
        let stream = match UnixStream::connect(&path) {
            Ok(stream) => stream,
            Err(error) if is_nobody_there(&error) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(unusable(&path, &error));
            }
            Err(error) => return Err(unreachable(&error)),
        };
        let hello = HelloReply { api: API_VERSION, version: String::new(), pid: 0 };
        let mut client = Client {
            stream,
            buffer: Vec::new(),
            scanned: 0,
            events: VecDeque::new(),
            next_id: 1,
            hello,
            give_up_at,
            closed: false,
        };
        let params = HelloParams { client: CLIENT_NAME.to_owned(), api: API_VERSION };
        client.hello = client.call(&Request::Hello(params))?;
        Ok(Some(client))
    }

    /// Process id of the node.
    pub(crate) fn pid(&self) -> u32 {
        self.hello.pid
    }

    /// The node's PeerId, to tell it from others on the screen; empty if it does not say.
    pub(crate) fn own_peer(&mut self) -> String {
        self.call::<StatusReply>(&Request::Status(NoParams {}))
            .map(|status| status.peer_id)
            .unwrap_or_default()
    }

    /// Asks, and waits for the answer. Events that come first are kept for [`Client::next_event`].
    pub(crate) fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        let patience = Instant::now() + ANSWER_PATIENCE;
        let deadline = self.give_up_at.map_or(patience, |at| at.min(patience));
        self.call_until(request, deadline)?.ok_or(Failure::with(Problem::Unreachable, "no answer in time"))
    }

    /// Asks, and waits for the answer until `deadline`; `None` when it passes. The node may still do what
    /// it was asked.
    pub(crate) fn call_until<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Option<T>, Failure> {
        match self.exchange(request, deadline) {
            Err(failure) if failure.problem == Problem::Node(ErrorName::NoSuchContact) => {
                Err(self.with_nearest(failure, deadline))
            }
            answered => answered?.map(shaped).transpose(),
        }
    }

    /// Adds the one contact whose name is nearly what was typed.
    fn with_nearest(&mut self, failure: Failure, deadline: Instant) -> Failure {
        let Some(typed) = failure.detail.clone() else { return failure };
        let contacts = self.exchange(&Request::Contacts(NoParams {}), deadline);
        // Without an answer the failure is told as it is.
        let reply = contacts.ok().flatten().and_then(|answer| shaped::<ContactsReply>(answer).ok());
        let names = reply.into_iter().flat_map(|reply| reply.contacts).map(|contact| contact.name);
        let mut near = names.filter(|name| is_near(&typed, name));
        match (near.next(), near.next()) {
            (Some(name), None) => Failure { meant: Some(name), ..failure },
            _ => failure,
        }
    }

    /// Asks by the name of a method, which this version need not know.
    pub(crate) fn call_method(
        &mut self,
        method: &str,
        params: serde_json::Map<String, Value>,
    ) -> Result<Value, Failure> {
        let answer = self.exchange(&AnyRequest { method, params }, Instant::now() + ANSWER_PATIENCE)?;
        answer.ok_or(Failure::with(Problem::Unreachable, "no answer in time"))
    }

    fn exchange(&mut self, request: &impl Serialize, deadline: Instant) -> Result<Option<Value>, Failure> {
        let id = self.next_id;
        self.next_id += 1;
        let line = line_of(id, request)?;
        self.stream.write_all(line.as_bytes()).map_err(|error| unreachable(&error))?;
        while let Some(incoming) = self.read_incoming(Some(deadline))? {
            if let Some(answer) = self.sort(incoming, id) {
                return answer.map(Some);
            }
        }
        Ok(None)
    }

    /// Follows events of these types, all if none is named, from `since` or from now.
    pub(crate) fn subscribe(
        &mut self,
        since: Option<String>,
        types: &[EventKind],
    ) -> Result<SubscribeReply, Failure> {
        self.follow(SubscribeParams { since, types: types.to_vec(), name: None })
    }

    /// Follows events as told.
    pub(crate) fn follow(&mut self, params: SubscribeParams) -> Result<SubscribeReply, Failure> {
        self.call(&Request::Subscribe(params))
    }

    /// The next event as the node wrote it, whatever its type; `None` when `deadline` passes first.
    pub(crate) fn next_event_raw(&mut self, deadline: Option<Instant>) -> Result<Option<Value>, Failure> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let incoming = self.read_incoming(deadline);
            match incoming
                .map_err(|failure| if self.closed { Failure::new(Problem::NodeEnded) } else { failure })?
            {
                // An answer to a call that was given up.
                Some(incoming) => drop(self.sort(incoming, 0)),
                None => return Ok(None),
            }
        }
    }

    /// The next event of a type known here; `None` when `deadline` passes first.
    pub(crate) fn next_event(&mut self, deadline: Option<Instant>) -> Result<Option<Event>, Failure> {
        while let Some(raw) = self.next_event_raw(deadline)? {
            if let Ok(event) = serde_json::from_value(raw) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// An answer to `id`, or nothing: an event is kept for later.
    fn sort(&mut self, incoming: Incoming, id: u64) -> Option<Result<Value, Failure>> {
        if let Some(event) = incoming.params {
            self.events.push_back(event);
            return None;
        }
        // The node answers null where it could not read the id.
        if incoming.id.is_some_and(|answered| answered != id) {
            return None;
        }
        Some(match incoming.error {
            Some(error) => Err(error.into()),
            None => Ok(incoming.result.unwrap_or(Value::Null)),
        })
    }

    fn read_incoming(&mut self, deadline: Option<Instant>) -> Result<Option<Incoming>, Failure> {
        let line = self.read_line(deadline)?;
        line.map(|line| serde_json::from_slice(&line).map_err(|_error| nonsense())).transpose()
    }

    fn read_line(&mut self, deadline: Option<Instant>) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
            if let Some(at) = unseen.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.scanned + at + 1);
                self.scanned = 0;
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            self.scanned = self.buffer.len();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.stream.set_read_timeout(left).map_err(|error| unreachable(&error))?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    self.closed = true;
                    return Err(Failure::with(Problem::Unreachable, "it closed the connection"));
                }
                Ok(bytes) => self.buffer.extend_from_slice(chunk.get(..bytes).unwrap_or_default()),
                Err(error) if is_patience_over(&error) => {}
                Err(error) => return Err(unreachable(&error)),
            }
        }
    }
}

/// No socket, or one that a killed node left behind.
fn is_nobody_there(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory)
}

/// The read timed out; whether that matters, the deadline says.
fn is_patience_over(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// The line of a request, its line break included.
pub(crate) fn line_of(id: u64, request: &impl Serialize) -> Result<String, Failure> {
    let call = Call { jsonrpc: "2.0", id, request };
    let line =
        serde_json::to_string(&call).map_err(|error| Failure::with(Problem::Client, error.to_string()))?;
    Ok(line + "\n")
}

/// The answer in one line, for `murmeshd offline`.
pub(crate) fn answer_of<T: DeserializeOwned>(line: &str) -> Result<T, Failure> {
    let incoming: Incoming = serde_json::from_str(line).map_err(|_error| nonsense())?;
    match incoming.error {
        Some(error) => Err(error.into()),
        None => shaped(incoming.result.unwrap_or(Value::Null)),
    }
}

fn shaped<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|_error| nonsense())
}

fn nonsense() -> Failure {
    Failure::with(Problem::Unreachable, "its answer makes no sense to this version")
}

fn unreachable(error: &io::Error) -> Failure {
    Failure::with(Problem::Unreachable, system_words(error))
}

/// What this client calls itself.
const CLIENT_NAME: &str = concat!("murmesh/", env!("CARGO_PKG_VERSION"));
