//! Fan-out of events: bounded, and no follower can slow the publisher or another follower.
//!
//! Kept events are read again from the backend by a follower that fell behind; `peer.up` and
//! `peer.down` are not kept, so a follower that fell behind may miss them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use murmesh_protocol::control::{ControlError, Event, EventBody, EventKind};
use tokio::sync::broadcast;

use super::{Backend, Kinds};
use crate::clock;

/// Where the driver publishes events and connections follow them.
#[derive(Debug)]
pub struct EventHub {
    sender: broadcast::Sender<Arc<Told>>,
    cursor: Mutex<u64>,
}

impl EventHub {
    /// A hub whose latest kept event has `cursor` (0 if there never was one).
    #[must_use]
    pub fn new(cursor: u64) -> EventHub {
        EventHub { sender: broadcast::channel(BUFFERED_MAX).0, cursor: Mutex::new(cursor) }
    }

    /// The cursor of the latest published event.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every follower. To be called after the commit that keeps the event, in the order of the
    /// cursors; `peer.up` and `peer.down` get the current cursor, whatever they carry.
    pub fn publish(&self, mut event: Event) {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = is_kept(event.body.kind());
        if kept {
            *cursor = event.cursor.parse().unwrap_or(*cursor).max(*cursor);
        }
        event.cursor = cursor.to_string();
        // Nobody follows: the event is kept by the backend, or of no interest.
        let _nobody = self.sender.send(Arc::new(Told { cursor: *cursor, kept, event }));
    }

    /// Follows from `since`, or from now; the second value is the cursor events are told after.
    pub(crate) fn follow<B: Backend>(
        &self,
        backend: Arc<B>,
        since: Option<u64>,
        kinds: Kinds,
    ) -> (Follower<B>, u64) {
        // Under the lock: no event can be both after the cursor and before the receiver.
        let current = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        let mut pending = VecDeque::new();
        let last = match since {
            None => *current,
            Some(since) if since > *current => {
                pending.push_back(gap(since, *current));
                *current
            }
            Some(since) => since,
        };
        let catching_up = last < *current;
        (Follower { backend, receiver, last, kinds, pending, catching_up }, last)
    }
}

/// One published event.
#[derive(Debug)]
struct Told {
    cursor: u64,
    kept: bool,
    event: Event,
}

/// A subscription's position in the stream.
pub struct Follower<B> {
    backend: Arc<B>,
    receiver: broadcast::Receiver<Arc<Told>>,
    last: u64,
    kinds: Kinds,
    pending: VecDeque<Event>,
    catching_up: bool,
}

impl<B> core::fmt::Debug for Follower<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Follower").field("last", &self.last).finish_non_exhaustive()
    }
}

impl<B: Backend> Follower<B> {
    /// The next event; `None` when the hub is gone. Cancel-safe between two events only.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, ControlError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                if self.wants(event.body.kind()) {
                    return Ok(Some(event));
                }
            } else if self.catching_up {
                self.read_backlog().await?;
            } else {
                match self.receiver.recv().await {
                    Ok(told) if told.kept && told.cursor <= self.last => {}
                    Ok(told) => {
                        self.last = self.last.max(told.cursor);
                        self.pending.push_back(told.event.clone());
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => self.catching_up = true,
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                }
            }
        }
    }

    async fn read_backlog(&mut self) -> Result<(), ControlError> {
        let page = self.backend.events_after(self.last, PAGE).await?;
        if self.last.saturating_add(1) < page.oldest_kept {
            let resumed = page.oldest_kept.saturating_sub(1);
            self.pending.push_back(gap(self.last, resumed));
            self.last = resumed;
        }
        self.catching_up = !page.events.is_empty();
        for event in page.events {
            self.last = event.cursor.parse().unwrap_or(self.last).max(self.last);
            self.pending.push_back(event);
        }
        Ok(())
    }

    /// A filter never hides that events are missing.
    fn wants(&self, kind: EventKind) -> bool {
        kind == EventKind::StreamGap || self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}

fn is_kept(kind: EventKind) -> bool {
    !matches!(kind, EventKind::PeerUp | EventKind::PeerDown | EventKind::StreamGap)
}

fn gap(after: u64, cursor: u64) -> Event {
    Event {
        cursor: cursor.to_string(),
        at: clock::now().into(),
        body: EventBody::StreamGap { after: after.to_string() },
    }
}

/// Events a follower may be behind before it reads them again from the backend.
pub(crate) const BUFFERED_MAX: usize = 1_024;
/// Events of one page of the backlog.
const PAGE: u32 = 256;
