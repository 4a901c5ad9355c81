//! One custodian between two people: what it takes in while the recipient is away, and what it hands out when
//! they are back.
//!
//! The rates are what sender and recipient see, sealing and opening on the same machine. What the custodian alone could
//! do follows from the processor time it used meanwhile; it syncs many deposits at once.

use std::time::{Duration, Instant};

use murmesh_protocol::control::{
    EventBody, EventKind, MessageState, Request, SubscribeParams, SubscribeReply,
};

use super::pair::{self, Node, Pair};
use super::{Failed, cost, float, mail};
use crate::client::{Client, Line};

/// How long anything may take before the measure is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Custody {
    /// Messages a second that became `held`: sealed by the sender, synced by the custodian.
    pub deposited: f64,
    /// Deposits a second of one core of the custodian.
    pub deposited_by_core: f64,
    /// Messages a second that the recipient collected and opened.
    pub collected: f64,
    /// Of one core of the custodian.
    pub collected_by_core: f64,
}

/// Texts of `bytes` bytes for somebody who is away, at most what a mailbox holds.
///
/// # Errors
/// When one does not arrive.
pub fn measure(count: usize, bytes: usize) -> Result<Custody, Failed> {
    let root = tempfile::Builder::new().prefix("mm").tempdir().map_err(Failed::because)?;
    let carol = Node::start(root.path(), "carol", &[])?;
    let address = pair::address(&carol)?;
    let more = ["--peer", address.as_str()];
    let mut pair = Pair::start_with(&more)?;
    for node in [&pair.alice, &pair.bob] {
        until_custodian_is_known(node)?;
    }
    pair.bob.stop();
    let mut watcher = mail::watch(&pair)?;
    let (sender, before) = (pair.alice.client()?, cost::used(&carol)?);
    let feeding = std::thread::spawn(move || mail::feed(sender, count, bytes));
    let deposited = rate(count, || mail::reached(&mut watcher, MessageState::Held, PATIENCE))?;
    feeding.join().map_err(|_| Failed::because("a thread of the measure failed"))??;
    let between = cost::used(&carol)?;
    // Nobody but the custodian has them.
    pair.alice.stop();
    let bob = Node::start(pair.root.path(), "bob", &more)?;
    let mut inbox = bob.client()?;
    let kinds = vec![EventKind::MessageReceived];
    let everything = SubscribeParams { since: Some("0".to_owned()), types: kinds, name: None };
    inbox.call::<SubscribeReply>(&Request::Subscribe(everything)).map_err(Failed::because)?;
    let collected = rate(count, || received(&mut inbox))?;
    let by_core = |from: Duration, to: Duration| float(count) / to.saturating_sub(from).as_secs_f64();
    let (deposited_by_core, collected_by_core) =
        (by_core(before, between), by_core(between, cost::used(&carol)?));
    Ok(Custody { deposited, deposited_by_core, collected, collected_by_core })
}

/// How many a second, from the first to the last: not what comes before the first.
fn rate(count: usize, mut one: impl FnMut() -> Result<(), Failed>) -> Result<f64, Failed> {
    one()?;
    let start = Instant::now();
    (1..count).try_for_each(|seen| {
        one().map_err(|error| Failed::because(format!("{error}; {seen} of {count} seen")))
    })?;
    Ok(float(count - 1) / start.elapsed().as_secs_f64())
}

fn until_custodian_is_known(node: &Node) -> Result<(), Failed> {
    let (mut client, start) = (node.client()?, Instant::now());
    while start.elapsed() < PATIENCE {
        if pair::status(&mut client)?.custodians_known > 0 {
            return Ok(());
        }
    }
    Err(Failed::because("the custodian is not known in time"))
}

fn received(inbox: &mut Client) -> Result<(), Failed> {
    loop {
        match inbox.next(Instant::now() + PATIENCE).map_err(Failed::because)? {
            Some(Line::Event(event)) if matches!(event.body, EventBody::MessageReceived(_)) => return Ok(()),
            Some(_) => {}
            None => return Err(Failed::because("not collected in time")),
        }
    }
}
