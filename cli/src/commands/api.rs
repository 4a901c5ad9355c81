//! `api call`: one request as a program would send it, its result as it came.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Outcome;
use crate::ask;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};

#[derive(Serialize)]
struct Called {
    result: Value,
}

pub(super) fn call(context: &Context<'_>, method: &str, params: Option<String>) -> Outcome {
    let params = match params.as_deref() {
        None => Map::new(),
        Some("-") => object(&ask::stdin()?)?,
        Some(text) => object(text)?,
    };
    let result = context.node()?.call_method(method, params)?;
    if context.output.is_json() {
        context.output.document(&Called { result })?;
    } else {
        context.output.json_line(&result)?;
    }
    Ok(exit::DONE)
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::with(Problem::Usage, format!("params are one JSON object: {error}"))
            .next("murmesh help api call")
    })
}
