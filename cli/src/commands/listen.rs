//! `listen`: events in order of arrival, one JSON object a line.

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::args::Listen;
use crate::context::Context;

/// An event as the node told it, in the order of the contract; a type that is new here passes through.
#[derive(Deserialize, Serialize)]
struct EventLine {
    cursor: String,
    #[serde(rename = "type")]
    kind: String,
    at: String,
    data: serde_json::Value,
}

pub(super) fn run(context: &Context<'_>, args: &Listen) -> Outcome {
    let mut client = context.node_or_start()?;
    let reply = client.subscribe(args.since.map(|cursor| cursor.to_string()), &[])?;
    context.output.detail(&format!("listening from cursor {}", reply.cursor));
    loop {
        if let Some(event) = client.next_event_raw(None)?
            && let Ok(line) = serde_json::from_value::<EventLine>(event)
        {
            context.output.document(&line)?;
        }
    }
}
