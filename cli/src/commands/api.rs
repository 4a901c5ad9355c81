//! `api call`: one request as a program would send it, its result as it came. `api schema`: all there are.

use murmesh_protocol::control::ErrorName;
use murmesh_protocol::control::schema::open_rpc;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Outcome;
use crate::ask;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};
use crate::output::Output;

#[derive(Serialize)]
struct Schema {
    schema: Value,
}

#[derive(Serialize)]
struct Called {
    result: Value,
}

/// Out of the types that this program and its node speak with: none need run.
pub(super) fn schema(output: &Output) -> Outcome {
    let document = open_rpc(env!("CARGO_PKG_VERSION"));
    if output.is_json() {
        output.document(&Schema { schema: document })?;
    } else {
        let text = serde_json::to_string_pretty(&document);
        output.lines(&text.map_err(|error| Failure::with(Problem::Client, error.to_string()))?)?;
    }
    Ok(exit::DONE)
}

pub(super) fn call(context: &Context<'_>, method: &str, params: Option<String>) -> Outcome {
    let params = match params.as_deref() {
        None => Map::new(),
        Some("-") => object(&ask::stdin()?)?,
        Some(text) => object(text)?,
    };
    let result = context.node()?.call_method(method, params).map_err(|failure| {
        if failure.problem != Problem::Node(ErrorName::BadRequest) {
            return failure;
        }
        // The place is one of a line that nobody typed.
        let detail = failure.detail.as_deref().map(|detail| without_place(detail).to_owned());
        Failure { detail, ..failure }.next("murmesh api schema")
    })?;
    if context.output.is_json() {
        context.output.document(&Called { result })?;
    } else {
        context.output.json_line(&result)?;
    }
    Ok(exit::DONE)
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let why = error.to_string();
        let why = match (error.line(), error.column()) {
            (_, 0) | (2.., _) if text.trim().is_empty() => "nothing was given".to_owned(),
            (1, at) if at > 0 => format!("{} at character {at}", without_place(&why)),
            (0 | 1, _) => without_place(&why).to_owned(),
            _ => why,
        };
        Failure::with(Problem::Usage, format!("params are one JSON object: {why}"))
            .next("murmesh help api call")
    })
}

/// What the parser says without ` at line 1 column 46`.
fn without_place(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(words, _)| words)
}
