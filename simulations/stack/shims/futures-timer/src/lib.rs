//! `futures-timer` by tokio's clock: in a paused runtime its time is virtual.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Is ready after a time.
#[derive(Debug)]
pub struct Delay(Pin<Box<Sleep>>);

impl Delay {
    /// From now on. Must be called inside a runtime.
    #[must_use]
    pub fn new(duration: Duration) -> Delay {
        Delay(Box::pin(sleep(duration)))
    }

    /// From now on, anew.
    pub fn reset(&mut self, duration: Duration) {
        self.0.as_mut().reset(Instant::now() + duration);
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}
