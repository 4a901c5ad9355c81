//! A blocking client of a node's control socket, for campaigns that kill the node under it: requests are
//! written without waiting for answers, and every way a connection can end is the same [`Gone`].

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use murmesh_protocol::control::files::SOCKET;
use murmesh_protocol::control::{API_VERSION, ControlError, Event, HelloParams, HelloReply, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A connection to a running node.
#[derive(Debug)]
pub struct Client {
    writer: Writer,
    stream: UnixStream,
    /// Bytes read and not yet taken as lines.
    buffer: Vec<u8>,
}

/// What writes the requests of a connection.
#[derive(Debug)]
pub struct Writer {
    stream: UnixStream,
    next_id: u64,
}

/// The node is not there, was killed, or said what this client does not understand.
#[derive(Debug, thiserror::Error)]
#[error("no node: {0}")]
pub struct Gone(String);

impl Gone {
    /// The node said what makes no sense.
    pub(crate) fn nonsense(what: &str) -> Gone {
        Gone(what.to_owned())
    }
}

/// What the node said.
#[derive(Debug)]
pub enum Line {
    /// The answer to the request of this number.
    Answer(u64, Result<Value, ControlError>),
    /// An event of the subscription.
    Event(Box<Event>),
}

/// Why a call did not bring its answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection is over: whether the request was done is not known.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The node refused.
    #[error("refused: {0:?}")]
    Refused(ControlError),
}

#[derive(Serialize)]
struct Call<'a> {
    jsonrpc: &'static str,
    id: u64,
    #[serde(flatten)]
    request: &'a Request,
}

#[derive(Deserialize)]
struct Incoming {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<IncomingError>,
    #[serde(default)]
    params: Option<Event>,
}

#[derive(Deserialize)]
struct IncomingError {
    data: ControlError,
}

impl Client {
    /// Connects to the node of `data_dir` and greets it.
    ///
    /// # Errors
    /// When none runs there, or it ends meanwhile.
    pub fn connect(data_dir: &Path) -> Result<Client, Gone> {
        let stream = UnixStream::connect(data_dir.join(SOCKET)).map_err(gone)?;
        stream.set_write_timeout(Some(ANSWER_PATIENCE)).map_err(gone)?;
        let writer = Writer { stream: stream.try_clone().map_err(gone)?, next_id: 1 };
        let mut client = Client { writer, stream, buffer: Vec::new() };
        let hello = HelloParams { client: "murmesh-simulations".to_owned(), api: API_VERSION };
        match client.call::<HelloReply>(&Request::Hello(hello)) {
            Ok(_) => Ok(client),
            Err(CallError::Gone(gone)) => Err(gone),
            Err(CallError::Refused(error)) => Err(Gone(format!("not greeted: {error:?}"))),
        }
    }

    /// Writes a request and does not wait for its answer; gives its number. For a few: who writes many reads
    /// meanwhile ([`split`](Client::split)).
    ///
    /// # Errors
    /// When the connection is over.
    pub fn write(&mut self, request: &Request) -> Result<u64, Gone> {
        self.writer.write(request)
    }

    /// What writes, and what reads: for a thread each. A node does not read while it works on 32 requests of a
    /// connection, and answers wait in a socket that holds some hundreds: one thread that writes thousands before it
    /// reads waits for a node that waits for it (SPEC §10.1). Numbers go on.
    ///
    /// # Errors
    /// When the system gives no handle.
    pub fn split(self) -> Result<(Writer, Client), Gone> {
        let again = Writer { stream: self.stream.try_clone().map_err(gone)?, next_id: self.writer.next_id };
        Ok((again, self))
    }

    /// Ends the connection, whoever else writes on it.
    pub fn close(self) {
        // It is over already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The next thing the node says; `None` when the deadline passes first.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Line>, Gone> {
        let Some(line) = self.read_line(deadline)? else { return Ok(None) };
        let incoming: Incoming = serde_json::from_slice(&line).map_err(|error| Gone(error.to_string()))?;
        Ok(Some(match (incoming.params, incoming.id) {
            (Some(event), _) => Line::Event(Box::new(event)),
            (None, id) => {
                let result = incoming.result.unwrap_or(Value::Null);
                Line::Answer(id.unwrap_or(0), incoming.error.map_or(Ok(result), |error| Err(error.data)))
            }
        }))
    }

    /// Asks and waits for the answer. Events that come before it are dropped: not for a connection that
    /// subscribes.
    ///
    /// # Errors
    /// When the node refuses or is gone.
    pub fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, CallError> {
        let asked = self.write(request)?;
        let deadline = Instant::now() + ANSWER_PATIENCE;
        loop {
            match self.next(deadline)? {
                Some(Line::Answer(id, result)) if id == asked => {
                    return shaped(result.map_err(CallError::Refused)?).map_err(Into::into);
                }
                Some(_) => {}
                None => return Err(Gone("no answer in time".to_owned()).into()),
            }
        }
    }

    fn read_line(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, Gone> {
        let mut scanned = 0;
        loop {
            let unseen = self.buffer.get(scanned..).unwrap_or_default();
            if let Some(at) = unseen.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(scanned + at + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            scanned = self.buffer.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left)).map_err(gone)?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Gone("it closed the connection".to_owned())),
                Ok(bytes) => self.buffer.extend_from_slice(chunk.get(..bytes).unwrap_or_default()),
                Err(error) if is_patience_over(error.kind()) => {}
                Err(error) => return Err(gone(error)),
            }
        }
    }
}

impl Writer {
    /// Writes a request and does not wait for its answer; gives its number.
    ///
    /// # Errors
    /// When the connection is over, or the node takes nothing for half a minute.
    pub fn write(&mut self, request: &Request) -> Result<u64, Gone> {
        let id = self.next_id;
        self.next_id += 1;
        let call = Call { jsonrpc: "2.0", id, request };
        let mut line = serde_json::to_vec(&call).map_err(|error| Gone(error.to_string()))?;
        line.push(b'\n');
        self.stream.write_all(&line).map_err(gone)?;
        Ok(id)
    }
}

/// The answer in its shape.
///
/// # Errors
/// When it has another.
pub fn shaped<T: DeserializeOwned>(value: Value) -> Result<T, Gone> {
    serde_json::from_value(value).map_err(|error| Gone(error.to_string()))
}

fn is_patience_over(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn gone(error: std::io::Error) -> Gone {
    Gone(error.to_string())
}

/// How long an answer may take: the node answers from memory and disk.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
