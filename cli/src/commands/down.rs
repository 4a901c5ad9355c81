//! `down`.

use murmesh_protocol::control::Done;

use super::Outcome;
use crate::context::Context;
use crate::error::exit;
use crate::start;

pub(super) fn run(context: &Context<'_>) -> Outcome {
    start::stop(context)?;
    context.output.answer(&Done { state: "stopped".to_owned() }, || "stopped".to_owned())?;
    Ok(exit::DONE)
}
