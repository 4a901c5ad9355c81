//! What happened, as one number: a rolling hash over every segment that any node sends (time, ends, bytes as
//! encrypted), every dial, and every event that the node and libp2p's swarm log, in their order, each with its
//! virtual time.

use std::fmt::{Debug, Write};
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

struct Trace {
    hasher: DefaultHasher,
    notes: u64,
    began: Option<Instant>,
    shown: bool,
}

static TRACE: Mutex<Option<Trace>> = Mutex::new(None);

fn trace() -> MutexGuard<'static, Option<Trace>> {
    TRACE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins the trace of this process; `shown` also prints what is logged. Inside the runtime.
///
/// # Panics
/// When it has begun.
pub(crate) fn begin(shown: bool) {
    let hasher = DefaultHasher::new();
    *trace() = Some(Trace { hasher, notes: 0, began: Some(Instant::now()), shown });
    tracing::subscriber::set_global_default(Listener).expect("only this listens");
}

/// Takes something that happened into the hash.
pub(crate) fn note(what: &str, bytes: &[u8]) {
    let mut guard = trace();
    let Some(trace) = guard.as_mut() else { return };
    let nanos = trace.began.map_or(0, |began| began.elapsed().as_nanos());
    trace.hasher.write_u128(nanos);
    trace.hasher.write(what.as_bytes());
    trace.hasher.write(bytes);
    trace.notes += 1;
    if trace.shown && bytes.is_empty() {
        eprintln!("{:>9} {what}", nanos / 1_000_000);
    }
}

/// The hash so far, and of how many things.
pub(crate) fn hash() -> (u64, u64) {
    trace().as_ref().map_or((0, 0), |trace| (trace.hasher.finish(), trace.notes))
}

/// Hears what is logged.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let heard = ["murmesh_node", "libp2p_swarm"].iter().any(|from| metadata.target().starts_with(from));
        metadata.is_event() && *metadata.level() <= Level::DEBUG && heard
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} {}:", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        note(&line.0, &[]);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let written = if field.name() == "message" {
            write!(self.0, " {value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
        // A string takes everything.
        written.unwrap_or_default();
    }
}
