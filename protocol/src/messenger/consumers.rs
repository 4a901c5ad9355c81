//! Named consumers of events: what each has acknowledged is kept, so that it is told the rest again (SPEC §10.4).
//!
//! Following the stream is the shell's; here is only where a consumer stands.

use super::commands::Answer;
use super::rows::{self, ConsumerRow};
use super::{Messenger, Step, names};
use crate::control::{
    AckParams, Consumer, ConsumersReply, ControlError, Done, ErrorName, ForgetParams, Reply, SubscribeParams,
    SubscribeReply,
};
use crate::limits::CONSUMERS_MAX;

impl Messenger {
    /// Where a named consumer goes on. A new one is kept from here on: it begins after `since`, or now.
    pub(crate) fn consumer(
        &mut self,
        step: &mut Step<'_>,
        params: &SubscribeParams,
    ) -> Answer<SubscribeReply> {
        let (name, since) = match checked(params) {
            Ok(checked) => checked,
            Err(error) => return Ok(Err(error)),
        };
        let cursor = match rows::load::<ConsumerRow>(step.store, name.as_bytes())? {
            Some(known) => known.cursor,
            None if rows::scan::<ConsumerRow>(step.store)?.len() >= CONSUMERS_MAX => {
                let bound = format!("consumers of events: {CONSUMERS_MAX}");
                return Ok(Err(ControlError::with(ErrorName::TooMany, bound)));
            }
            None => {
                let cursor = since.unwrap_or(self.me.row.events).min(self.me.row.events);
                rows::save(step.store, &ConsumerRow { name: name.clone(), cursor })?;
                cursor
            }
        };
        Ok(Ok(SubscribeReply { subscription: name, cursor: cursor.to_string() }))
    }

    /// The consumer is done up to a cursor. The shell has put its name in place of the subscription.
    pub(crate) fn acknowledge(&mut self, step: &mut Step<'_>, params: &AckParams) -> Answer<Reply> {
        let told = |cursor: &u64| *cursor <= self.me.row.events;
        let Some(cursor) = params.cursor.parse::<u64>().ok().filter(told) else {
            let range = format!("a cursor is from 0 to {}", self.me.row.events);
            return Ok(Err(ControlError::with(ErrorName::OutOfRange, range)));
        };
        let Some(mut consumer) = rows::load::<ConsumerRow>(step.store, params.subscription.as_bytes())?
        else {
            return Ok(Err(ControlError::with(ErrorName::NoSuchConsumer, params.subscription.clone())));
        };
        if cursor > consumer.cursor {
            consumer.cursor = cursor;
            rows::save(step.store, &consumer)?;
        }
        Ok(Ok(Reply::Done(Done { state: "acknowledged".to_owned() })))
    }

    pub(crate) fn consumers(&mut self, step: &mut Step<'_>) -> Answer<ConsumersReply> {
        let mut rows = rows::scan::<ConsumerRow>(step.store)?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        let shown = |row: ConsumerRow| Consumer { name: row.name, cursor: row.cursor.to_string() };
        Ok(Ok(ConsumersReply { consumers: rows.into_iter().map(shown).collect() }))
    }

    pub(crate) fn forget_consumer(&mut self, step: &mut Step<'_>, params: &ForgetParams) -> Answer<Reply> {
        if rows::remove::<ConsumerRow>(step.store, params.name.as_bytes())? {
            return Ok(Ok(Reply::Done(Done { state: "forgotten".to_owned() })));
        }
        Ok(Err(ControlError::with(ErrorName::NoSuchConsumer, params.name.clone())))
    }
}

/// The name, and the cursor to begin after.
fn checked(params: &SubscribeParams) -> Result<(String, Option<u64>), ControlError> {
    let name = names::check(params.name.as_deref().unwrap_or_default())?;
    let since = params.since.as_deref().map(str::parse).transpose();
    let since =
        since.map_err(|_| ControlError::with(ErrorName::OutOfRange, "since is a cursor of an event"))?;
    Ok((name, since))
}
