//! One link: two ways, each a queue of segments with the time at which they arrive.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::trace;

/// Bytes that may be on their way; above it a writer waits.
const WINDOW_BYTES: usize = 256 * 1024;

/// See the module. The dialer's end is number 0.
#[derive(Debug)]
pub(super) struct Link {
    ends: [SocketAddrV4; 2],
    latency: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What each end sends.
    ways: [Way; 2],
    /// An end's program has let go of it.
    gone: [bool; 2],
    /// A cable is pulled.
    stalled: bool,
    /// Bytes until it is cut.
    cut_after: Option<usize>,
}

#[derive(Debug, Default)]
struct Way {
    segments: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// Nothing follows.
    closed: bool,
    /// What follows is lost.
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Way {
    fn lose_from(&mut self, now: Instant) {
        self.segments.retain(|(at, _)| *at <= now);
        self.bytes = self.segments.iter().map(|(_, segment)| segment.len()).sum();
    }

    fn wake(&mut self) {
        [self.reader.take(), self.writer.take()].into_iter().flatten().for_each(Waker::wake);
    }
}

impl Link {
    pub(super) fn new(from: SocketAddrV4, to: SocketAddrV4, latency: Duration) -> Arc<Link> {
        Arc::new(Link { ends: [from, to], latency, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which end is at a host.
    pub(super) fn side_of(&self, host: Ipv4Addr) -> Option<usize> {
        self.ends.iter().position(|end| *end.ip() == host)
    }

    pub(super) fn is_open(&self, side: usize) -> bool {
        !self.state().gone[side]
    }

    pub(super) fn stall(&self) {
        self.state().stalled = true;
    }

    pub(super) fn go_on(&self) {
        let mut state = self.state();
        state.stalled = false;
        for side in [0, 1] {
            if state.gone[side] {
                state.ways.iter_mut().for_each(|way| way.broken = true);
            }
        }
        state.ways.iter_mut().for_each(Way::wake);
    }

    pub(super) fn cut_after(&self, bytes: usize) {
        self.state().cut_after = Some(bytes);
    }
}

/// One end of a link.
#[derive(Debug)]
pub(crate) struct End {
    link: Arc<Link>,
    side: usize,
    arrival: Option<Pin<Box<Sleep>>>,
}

impl PartialEq for End {
    fn eq(&self, other: &End) -> bool {
        Arc::ptr_eq(&self.link, &other.link) && self.side == other.side
    }
}

impl End {
    pub(super) fn pair(link: &Arc<Link>) -> [End; 2] {
        [0, 1].map(|side| End { link: link.clone(), side, arrival: None })
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let end = self.get_mut();
        loop {
            let mut state = end.link.state();
            let stalled = state.stalled;
            let way = &mut state.ways[1 - end.side];
            way.reader = Some(context.waker().clone());
            if stalled {
                return Poll::Pending;
            }
            let Some((at, segment)) = way.segments.front_mut() else {
                return match (way.broken, way.closed) {
                    (true, _) => Poll::Ready(Err(Error::from(ErrorKind::ConnectionReset))),
                    (false, true) => Poll::Ready(Ok(0)),
                    (false, false) => Poll::Pending,
                };
            };
            if *at <= Instant::now() {
                let length = segment.len().min(buffer.len());
                buffer[..length].copy_from_slice(&segment[..length]);
                segment.drain(..length);
                if segment.is_empty() {
                    way.segments.pop_front();
                }
                way.bytes -= length;
                if let Some(writer) = way.writer.take() {
                    writer.wake();
                }
                return Poll::Ready(Ok(length));
            }
            let at = *at;
            drop(state);
            let arrival = end.arrival.insert(Box::pin(sleep_until(at)));
            if arrival.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let end = self.get_mut();
        let [from, to] = [end.side, 1 - end.side].map(|side| end.link.ends[side]);
        let mut guard = end.link.state();
        let state = &mut *guard;
        let way = &mut state.ways[end.side];
        if way.broken || way.closed {
            return Poll::Ready(Err(Error::from(ErrorKind::BrokenPipe)));
        }
        if way.bytes >= WINDOW_BYTES {
            way.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let taken = bytes.len().min(WINDOW_BYTES - way.bytes);
        let carried = state.cut_after.map_or(taken, |left| left.min(taken));
        if carried > 0 {
            let at = Instant::now() + end.link.latency;
            way.segments.push_back((at, bytes[..carried].to_vec()));
            way.bytes += carried;
        }
        trace::note(&format!("{from} to {to}: {carried} of {taken}"), &bytes[..taken]);
        if let Some(left) = &mut state.cut_after {
            *left -= carried;
            if *left == 0 {
                state.ways.iter_mut().for_each(|way| way.broken = true);
                // What comes the other way does not arrive any more.
                state.ways[1 - end.side].lose_from(Instant::now());
            }
        }
        state.ways.iter_mut().filter(|way| way.broken).for_each(Way::wake);
        if let Some(reader) = state.ways[end.side].reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.link.state();
        let way = &mut state.ways[self.side];
        way.closed = true;
        way.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let [own, other] = [self.side, 1 - self.side].map(|side| self.link.ends[side]);
        trace::note(&format!("{own} lets go of {other}"), &[]);
        let mut state = self.link.state();
        state.gone[self.side] = true;
        state.ways[self.side].closed = true;
        if !state.stalled {
            // Whatever the other end still sends is answered with a reset.
            state.ways[1 - self.side].broken = true;
        }
        state.ways.iter_mut().for_each(Way::wake);
    }
}
