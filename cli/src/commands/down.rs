//! `down`.

use murmesh_protocol::control::Done;

use super::Outcome;
use crate::context::Context;
use crate::error::{Problem, exit};
use crate::start;
use crate::text::one_line;

pub(super) fn run(context: &Context<'_>) -> Outcome {
    match start::stop(context) {
        // Whoever wants it to end has that, or means another directory.
        Err(failure) if failure.problem == Problem::NotRunning => {
            let done = Done { state: "not-running".to_owned() };
            context.output.answer(&done, || "not running".to_owned())?;
            context.output.talk(&format!(
                "no node runs on {}; of another directory: murmesh help down",
                one_line(&context.data_dir.display().to_string())
            ));
            return Ok(exit::DONE);
        }
        stopped => stopped?,
    }
    context.output.answer(&Done { state: "stopped".to_owned() }, || "stopped".to_owned())?;
    Ok(exit::DONE)
}
