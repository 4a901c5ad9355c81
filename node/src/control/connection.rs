//! One client: reads its lines, keeps its calls going, writes answers and events.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use murmesh_protocol::control::files::REQUEST_LINE_BYTES_MAX;
use murmesh_protocol::control::{
    AckParams, ControlError, ErrorName, Reply, Request, SubscribeParams, SubscribeReply,
};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;

use super::hub::{EventHub, Follower};
use super::rpc::{self, Call};
use super::{Backend, CALLS_MAX, Limits, OUT_LINES_MAX, SUBSCRIPTIONS_MAX, bad_request};

/// What all connections share.
pub(super) struct Shared<B> {
    pub(super) backend: Arc<B>,
    pub(super) hub: Arc<EventHub>,
    pub(super) stop: CancellationToken,
    pub(super) limits: Limits,
}

/// Serves one client to its end: it closes, it stops reading, or the node stops.
pub(super) async fn run<B: Backend>(stream: UnixStream, shared: Shared<B>, crowded: bool) {
    let (reader, writer) = stream.into_split();
    let (out, lines) = mpsc::channel(OUT_LINES_MAX);
    let (limits, stop) = (shared.limits, shared.stop.clone());
    let mut writing = tokio::spawn(write_lines(writer, lines, limits.stall));
    if crowded {
        let _gone = out.send(rpc::crowded()).await;
        drop(out);
    } else {
        Connection::new(reader, shared, out).run().await;
    }
    tokio::select! {
        _written = &mut writing => {}
        () = cut(&stop, limits.flush) => writing.abort(),
    }
}

type Pending = Pin<Box<dyn Future<Output = String> + Send>>;

struct Connection<B> {
    lines: FramedRead<OwnedReadHalf, LinesCodec>,
    shared: Shared<B>,
    out: mpsc::Sender<String>,
    calls: FuturesUnordered<Pending>,
    /// One task a subscription; they end with the connection.
    events: JoinSet<()>,
    subscriptions: usize,
    /// Subscriptions with a name, and the name.
    consumers: BTreeMap<String, String>,
    greeted: bool,
    /// When it is dropped if it is not greeted.
    greet_by: Instant,
}

/// The client is gone, unreadable, or the node stops.
struct Ended;

impl<B: Backend> Connection<B> {
    fn new(reader: OwnedReadHalf, shared: Shared<B>, out: mpsc::Sender<String>) -> Connection<B> {
        let greet_by = Instant::now() + shared.limits.greet;
        let codec = LinesCodec::new_with_max_length(REQUEST_LINE_BYTES_MAX);
        Connection {
            lines: FramedRead::new(reader, codec),
            shared,
            out,
            calls: FuturesUnordered::new(),
            events: JoinSet::new(),
            subscriptions: 0,
            consumers: BTreeMap::new(),
            greeted: false,
            greet_by,
        }
    }

    async fn run(mut self) {
        while self.step().await.is_ok() {}
        self.events.shutdown().await;
        // Calls are finished whoever listens: a message that was accepted is accepted. At shutdown the
        // backend answers what it still can within `flush`.
        let finish = async {
            while let Some(line) = self.calls.next().await {
                let _gone = self.out.send(line).await;
            }
        };
        tokio::select! {
            () = finish => {}
            () = cut(&self.shared.stop, self.shared.limits.flush) => {}
        }
    }

    /// Answers before new requests; at the bound of calls nothing more is read.
    async fn step(&mut self) -> Result<(), Ended> {
        let may_read = self.calls.len() < CALLS_MAX;
        tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Err(Ended),
            () = self.out.closed() => Err(Ended),
            () = tokio::time::sleep_until(self.greet_by), if !self.greeted => Err(Ended),
            Some(line) = self.calls.next(), if !self.calls.is_empty() => self.say(line).await,
            // A subscription that cannot go on ends its connection: silence would look like peace.
            Some(_ended) = self.events.join_next(), if !self.events.is_empty() => Err(Ended),
            line = self.lines.next(), if may_read => match line {
                Some(Ok(line)) if line.trim().is_empty() => Ok(()),
                Some(Ok(line)) => self.on_line(&line).await,
                Some(Err(error)) => {
                    self.say(rpc::unreadable(&unreadable_text(&error))).await?;
                    Err(Ended)
                }
                None => Err(Ended),
            },
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "every other method is the backend's")]
    async fn on_line(&mut self, line: &str) -> Result<(), Ended> {
        let Call { id, request } = match rpc::parse(line) {
            Ok(call) => call,
            Err(refusal) => return self.say(refusal).await,
        };
        match request {
            Request::Hello(params) => {
                let result = rpc::hello(&params);
                self.greeted = result.is_ok();
                self.say(rpc::answer(&id, &result)).await
            }
            _ if !self.greeted => {
                let error = bad_request("system.hello must come first");
                self.say(rpc::answer(&id, &Err(error))).await
            }
            Request::Subscribe(params) => self.on_subscribe(&id, params).await,
            Request::Ack(params) => self.on_ack(id, params).await,
            request => {
                self.start_call(id, request).await;
                Ok(())
            }
        }
    }

    async fn start_call(&mut self, id: Value, request: Request) {
        let backend = Arc::clone(&self.shared.backend);
        let mut call: Pending = Box::pin(async move {
            let result = backend.call(request).await;
            rpc::answer(&id, &result)
        });
        // The first poll is here, so that calls reach the backend in the order of their lines.
        match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
            Poll::Ready(line) => self.calls.push(Box::pin(std::future::ready(line))),
            Poll::Pending => self.calls.push(call),
        }
    }

    /// The backend knows consumers by their names; a client knows its subscription.
    async fn on_ack(&mut self, id: Value, params: AckParams) -> Result<(), Ended> {
        let Some(name) = self.consumers.get(&params.subscription) else {
            let error = bad_request(format!("no subscription with a name is {}", params.subscription));
            return self.say(rpc::answer(&id, &Err(error))).await;
        };
        let params = AckParams { subscription: name.clone(), cursor: params.cursor };
        self.start_call(id, Request::Ack(params)).await;
        Ok(())
    }

    async fn on_subscribe(&mut self, id: &Value, mut params: SubscribeParams) -> Result<(), Ended> {
        let since = params.since.as_deref().map(str::parse::<u64>).transpose();
        let Ok(mut since) = since else {
            let error = bad_request("since must be a cursor: decimal digits, or null");
            return self.say(rpc::answer(id, &Err(error))).await;
        };
        if self.subscriptions >= SUBSCRIPTIONS_MAX {
            let error = ControlError::with(ErrorName::TooMany, "subscriptions of a connection");
            return self.say(rpc::answer(id, &Err(error))).await;
        }
        let name = params.name.clone();
        let kinds = std::mem::take(&mut params.types).into_iter().collect::<BTreeSet<_>>();
        if name.is_some() {
            let asked = consumer_cursor(Arc::clone(&self.shared.backend), params);
            let told = tokio::select! {
                told = asked => told,
                () = cut(&self.shared.stop, self.shared.limits.flush) => return Err(Ended),
            };
            match told {
                Ok(cursor) => since = cursor.and_then(|cursor| cursor.parse().ok()),
                Err(error) => return self.say(rpc::answer(id, &Err(error))).await,
            }
        }
        self.subscriptions += 1;
        let subscription = format!("s{}", self.subscriptions);
        self.consumers.extend(name.map(|name| (subscription.clone(), name)));
        let backend = Arc::clone(&self.shared.backend);
        let (follower, cursor) = self.shared.hub.follow(backend, since, kinds);
        let reply = SubscribeReply { subscription: subscription.clone(), cursor: cursor.to_string() };
        self.say(rpc::answer(id, &Ok(Reply::Subscribe(reply)))).await?;
        self.events.spawn(tell_events(subscription, follower, self.out.clone()));
        Ok(())
    }

    async fn say(&mut self, line: String) -> Result<(), Ended> {
        tokio::select! {
            sent = self.out.send(line) => sent.map_err(|_gone| Ended),
            () = cut(&self.shared.stop, self.shared.limits.flush) => Err(Ended),
        }
    }
}

/// Where the consumer of this name goes on.
async fn consumer_cursor<B: Backend>(
    backend: Arc<B>,
    params: SubscribeParams,
) -> Result<Option<String>, ControlError> {
    let reply = backend.call(Request::Subscribe(params)).await?;
    let Reply::Subscribe(reply) = reply else { return Err(ErrorName::Internal.into()) };
    Ok(Some(reply.cursor))
}

/// Ends `flush` after the node began to stop.
async fn cut(stop: &CancellationToken, flush: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(flush).await;
}

fn unreadable_text(error: &LinesCodecError) -> String {
    match error {
        LinesCodecError::MaxLineLengthExceeded => {
            format!("a request has at most {REQUEST_LINE_BYTES_MAX} bytes")
        }
        LinesCodecError::Io(error) => error.to_string(),
    }
}

async fn tell_events<B: Backend>(subscription: String, mut follower: Follower<B>, out: mpsc::Sender<String>) {
    loop {
        match follower.next().await {
            Ok(Some(event)) => {
                if out.send(rpc::notification(&subscription, &event)).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(?error, "cannot read kept events: a subscription ends");
                return;
            }
        }
    }
}

/// Writes what is queued, as much at once as there is. Ends, and so ends the connection, when the
/// client has taken nothing for `stall`.
async fn write_lines(mut writer: OwnedWriteHalf, mut lines: mpsc::Receiver<String>, stall: Duration) {
    let mut queued = Vec::with_capacity(OUT_LINES_MAX);
    while lines.recv_many(&mut queued, OUT_LINES_MAX).await > 0 {
        let bytes = queued.concat().into_bytes();
        queued.clear();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match tokio::time::timeout(stall, writer.write(rest)).await {
                Ok(Ok(written)) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
                Ok(_) => return,
                Err(_elapsed) => {
                    tracing::warn!("dropped a control client that does not read");
                    return;
                }
            }
        }
    }
    let _gone = writer.shutdown().await;
}
