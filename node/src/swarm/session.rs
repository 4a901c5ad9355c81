//! One session: the task that reads and writes one frame stream from its HELLO to its end.
//!
//! It tells the machines `PeerUp`, every frame, `PeerDown`, in this order, and waits when they are
//! busy: a peer that sends faster than the node works is slowed by its own stream. Writing goes on
//! meanwhile: never write without reading (yamux deadlocks when both windows are full). SPEC §6.2.

use std::sync::Arc;
use std::time::Duration;

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper;
use murmesh_protocol::limits::FRAME_BYTES_MAX;
use murmesh_protocol::messenger::io::{Input, PeerFacts};
use murmesh_protocol::route::{Machine, route};
use murmesh_protocol::wire::frame::{Frame, FrameError, Hello, PROTOCOL_VERSION};
use tokio::sync::mpsc;
use tokio::time::timeout;
use web_time::Instant;

use super::queue::FrameQueue;
use crate::links::{Machines, SessionNumber, ToKeeper, ToMessenger};

/// How long the other end may take for its HELLO.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other end may leave a full window before it is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// HELLOs of one session within [`HELLO_WINDOW`]: each one is told to both machines. A node says another
/// when its role or addresses change; one more than these is no honest peer's.
const HELLOS_MAX: u32 = 32;
/// See [`HELLOS_MAX`].
const HELLO_WINDOW: Duration = Duration::from_secs(60);
/// Buffers of a stream, each way.
const BUFFER_BYTES: usize = 16 * 1024;

/// What a session needs.
pub(super) struct Session {
    /// The other end.
    pub peer: PeerId,
    /// This session.
    pub number: SessionNumber,
    /// What is sent first.
    pub hello: Hello,
    /// The other end's prefix, for the machines.
    pub prefix: Option<[u8; 6]>,
    /// What is written.
    pub queue: Arc<FrameQueue>,
    /// Who is told.
    pub machines: Machines,
    /// The runner.
    pub runner: mpsc::Sender<SessionEvent>,
}

/// What a session tells the runner.
#[derive(Debug)]
pub(super) enum SessionEvent {
    /// Both HELLOs are through; the machines were told.
    Up(PeerId, SessionNumber, Box<Hello>),
    /// A frame for the shell.
    Frame(PeerId, SessionNumber, Frame),
    /// The session is over; the machines were told.
    Ended(PeerId, SessionNumber, End),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The connection ended, or the runner closed it.
    Closed,
    /// Nothing could be written for too long.
    Stalled,
    /// The peer sent what no honest peer sends.
    Malformed,
    /// The peer speaks another version.
    Version,
}

impl Session {
    /// Runs to the end.
    pub(super) async fn run(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
        let (read, write) = stream.split();
        let mut read = BufReader::with_capacity(BUFFER_BYTES, read);
        let mut write = BufWriter::with_capacity(BUFFER_BYTES, write);
        let end = match timeout(HELLO_TIMEOUT, self.greet(&mut read, &mut write)).await {
            Ok(Ok(hello)) => {
                let facts = self.facts(&hello);
                let session = async {
                    self.tell_up(facts, hello).await;
                    tokio::select! {
                        end = self.read(&mut read, facts) => end,
                        end = self.write(&mut write) => end,
                        () = self.queue.aborted() => End::Closed,
                    }
                };
                let end = session.await;
                // First: a frame that is sent after `PeerDown` must find it closed and wait.
                self.queue.close();
                self.tell_down().await;
                end
            }
            Ok(Err(end)) => end,
            Err(_) => End::Stalled,
        };
        self.queue.close();
        let _ = timeout(Duration::from_secs(1), write.close()).await;
        // The runner outlives its sessions unless the node is being torn down.
        let _ = self.runner.send(SessionEvent::Ended(self.peer, self.number, end)).await;
    }

    async fn greet(
        &self,
        read: &mut (impl AsyncRead + Unpin),
        write: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Hello, End> {
        let own = Frame::Hello(self.hello.clone()).to_bytes();
        write_frame(write, &own).await.map_err(|_| End::Closed)?;
        write.flush().await.map_err(|_| End::Closed)?;
        match read_frame(read).await? {
            Some(Frame::Hello(hello)) if hello.version == PROTOCOL_VERSION => Ok(hello),
            Some(Frame::Hello(_)) => Err(End::Version),
            Some(_) | None => Err(End::Malformed),
        }
    }

    fn facts(&self, hello: &Hello) -> PeerFacts {
        PeerFacts {
            peer: self.peer,
            role: hello.role,
            keeps: hello.keeps,
            their_challenge: hello.challenge,
            our_challenge: self.hello.challenge,
            prefix: self.prefix,
        }
    }

    async fn tell_up(&self, facts: PeerFacts, hello: Hello) {
        // A machine whose thread has ended is not told: the node is stopping.
        let _ = self.machines.keeper.send(ToKeeper::Up(facts, self.number)).await;
        let _ = self.machines.messenger.send(ToMessenger::Up(facts, self.number)).await;
        let _ = self.runner.send(SessionEvent::Up(self.peer, self.number, Box::new(hello))).await;
    }

    /// A later HELLO with another role: the Messenger is told here, because it must not hear of it after
    /// the session's end. The Keeper hears of it as of a neighbour, from the runner: `PeerUp` would end its
    /// subscriptions. What was issued for the session stays.
    async fn tell_changed(&self, facts: &mut PeerFacts, hello: &Hello) {
        if (facts.role, facts.keeps) == (hello.role, hello.keeps) {
            return;
        }
        (facts.role, facts.keeps) = (hello.role, hello.keeps);
        let _ = self.machines.messenger.send(ToMessenger::Up(*facts, self.number)).await;
    }

    async fn tell_down(&self) {
        let keeper = ToKeeper::Input(keeper::io::Input::PeerDown(self.peer));
        let _ = self.machines.keeper.send(keeper).await;
        let messenger = ToMessenger::Input(Input::PeerDown(self.peer));
        let _ = self.machines.messenger.send(messenger).await;
    }

    async fn read(&self, read: &mut (impl AsyncRead + Unpin), mut facts: PeerFacts) -> End {
        let (mut window, mut hellos) = (Instant::now(), 0);
        loop {
            let frame = match read_frame(read).await {
                Ok(Some(frame)) => frame,
                Ok(None) => continue,
                Err(end) => return end,
            };
            if let Frame::Hello(hello) = &frame {
                if window.elapsed() >= HELLO_WINDOW {
                    (window, hellos) = (Instant::now(), 0);
                }
                hellos += 1;
                if hellos > HELLOS_MAX {
                    return End::Malformed;
                }
                self.tell_changed(&mut facts, hello).await;
            }
            let delivered = match route(&frame) {
                Machine::Shell => {
                    let event = SessionEvent::Frame(self.peer, self.number, frame);
                    self.runner.send(event).await.is_ok()
                }
                Machine::Messenger => {
                    let input = Input::Frame(self.peer, frame);
                    self.machines.messenger.send(ToMessenger::Input(input)).await.is_ok()
                }
                Machine::Keeper => {
                    let input = keeper::io::Input::Frame(self.peer, frame);
                    self.machines.keeper.send(ToKeeper::Input(input)).await.is_ok()
                }
            };
            if !delivered {
                return End::Closed;
            }
        }
    }

    async fn write(&self, write: &mut (impl AsyncWrite + Unpin)) -> End {
        while let Some(frames) = self.queue.take().await {
            for frame in frames {
                match timeout(WRITE_TIMEOUT, write_frame(write, &frame)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return End::Closed,
                    Err(_) => return End::Stalled,
                }
            }
            match timeout(WRITE_TIMEOUT, write.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Closed,
                Err(_) => return End::Stalled,
            }
        }
        End::Closed
    }
}

async fn write_frame(write: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(std::io::Error::other)?;
    write.write_all(&length.to_le_bytes()).await?;
    write.write_all(frame).await
}

/// Reads one frame; none for a kind this version does not know.
async fn read_frame(read: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, End> {
    let mut length = [0; 4];
    read.read_exact(&mut length).await.map_err(|_| End::Closed)?;
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| End::Malformed)?;
    if length == 0 || length > FRAME_BYTES_MAX {
        return Err(End::Malformed);
    }
    let mut bytes = vec![0; length];
    read.read_exact(&mut bytes).await.map_err(|_| End::Closed)?;
    match Frame::from_bytes(&bytes) {
        Ok(frame) => Ok(Some(frame)),
        Err(FrameError::Unknown(_)) => Ok(None),
        Err(FrameError::Malformed | FrameError::TooLong) => Err(End::Malformed),
    }
}
