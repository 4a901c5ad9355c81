//! Messages from alice to bob over the direct stream: one at a time, and as many as go.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use murmesh_protocol::control::{
    EventBody, EventKind, MessageState, Request, SendParams, SubscribeParams, SubscribeReply,
};

use super::pair::Pair;
use super::{Failed, float, quantile};
use crate::client::{Client, Line};

/// How long one message may take before the measure is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// From handing a text to the node until its `delivered` is shown: both disks have it by then.
#[derive(Clone, Copy, Debug)]
pub struct OneByOne {
    /// Half of the messages took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
}

/// Sends `count` texts of `bytes` bytes, the next when the one before was delivered.
///
/// # Errors
/// When one does not arrive.
pub fn one_by_one(pair: &Pair, count: usize, bytes: usize) -> Result<OneByOne, Failed> {
    let (mut sender, mut watcher) = (pair.alice.client()?, watch(pair)?);
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        sender.write(&text(bytes)).map_err(Failed::because)?;
        delivered(&mut watcher)?;
        took.push(start.elapsed());
        sender.next(start + PATIENCE).map_err(Failed::because)?;
    }
    took.sort_unstable();
    Ok(OneByOne { p50: quantile(&took, 0.5), p99: quantile(&took, 0.99) })
}

/// Sends `count` texts as fast as the node takes them: delivered messages a second, receipts and all.
///
/// # Errors
/// When one does not arrive.
pub fn sustained(pair: &Pair, count: usize, bytes: usize) -> Result<f64, Failed> {
    let (sender, mut watcher) = (pair.alice.client()?, watch(pair)?);
    let start = Instant::now();
    let feeding = std::thread::spawn(move || feed(sender, count, bytes));
    let seen = (0..count).try_for_each(|seen| {
        delivered(&mut watcher).map_err(|error| Failed::because(format!("{error}; {seen} of {count} seen")))
    });
    let took = start.elapsed();
    // What the sender met is the reason, if it met something.
    feeding.join().map_err(|_| Failed::because("a thread of the measure failed"))??;
    seen?;
    Ok(float(count) / took.as_secs_f64())
}

/// Writes texts as fast as the socket takes them, and reads the answers meanwhile.
pub(crate) fn feed(sender: Client, count: usize, bytes: usize) -> Result<(), Failed> {
    let (mut writer, mut answers) = sender.split().map_err(Failed::because)?;
    let writing = std::thread::spawn(move || -> Result<(), Failed> {
        let text = text(bytes);
        (0..count).try_for_each(|_| writer.write(&text).map(drop)).map_err(Failed::because)
    });
    let answered = (0..count).try_for_each(|_| accepted(&mut answers));
    // What is still being written after a refusal is of no interest.
    answers.close();
    let written = writing.join().map_err(|_| Failed::because("a thread of the measure failed"))?;
    answered.and(written)
}

/// Waits for the next text to be accepted.
fn accepted(answers: &mut Client) -> Result<(), Failed> {
    loop {
        match answers.next(Instant::now() + PATIENCE).map_err(Failed::because)? {
            Some(Line::Answer(_, Ok(_))) => return Ok(()),
            Some(Line::Event(_)) => {}
            Some(Line::Answer(_, Err(error))) => return Err(Failed::because(format!("{error:?}"))),
            None => return Err(Failed::because("the node does not answer")),
        }
    }
}

fn text(bytes: usize) -> Request {
    let params =
        SendParams { to: "bob".to_owned(), text: "x".repeat(bytes), client_id: None, expire_ms: None };
    Request::Send(params)
}

pub(crate) fn watch(pair: &Pair) -> Result<Client, Failed> {
    let mut client = pair.alice.client()?;
    let subscribe = SubscribeParams { since: None, types: vec![EventKind::MessageState], name: None };
    client.call::<SubscribeReply>(&Request::Subscribe(subscribe)).map_err(Failed::because)?;
    Ok(client)
}

/// Waits for the next message that is delivered.
fn delivered(watcher: &mut Client) -> Result<(), Failed> {
    reached(watcher, MessageState::Delivered, PATIENCE)
}

/// Waits for the next message that reaches a state.
pub(crate) fn reached(watcher: &mut Client, wanted: MessageState, patience: Duration) -> Result<(), Failed> {
    let deadline = Instant::now() + patience;
    let mut others: BTreeMap<String, MessageState> = BTreeMap::new();
    loop {
        match watcher.next(deadline).map_err(Failed::because)? {
            Some(Line::Event(event)) => match event.body {
                EventBody::MessageState { state, .. } if state == wanted => return Ok(()),
                EventBody::MessageState { id, state, .. } => {
                    others.insert(id, state);
                }
                EventBody::MessageReceived(_)
                | EventBody::MessageGap { .. }
                | EventBody::ContactRequest { .. }
                | EventBody::ContactConnected { .. }
                | EventBody::PeerUp { .. }
                | EventBody::PeerDown { .. }
                | EventBody::StreamGap { .. } => {
                    return Err(Failed::because("events were dropped: the measure is too slow for the node"));
                }
            },
            Some(Line::Answer(..)) => {}
            None => return Err(Failed::because(format!("no {wanted:?} in time: {others:?}"))),
        }
    }
}
