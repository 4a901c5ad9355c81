//! `completion SHELL`.

use clap::CommandFactory;
use clap::builder::StyledStr;
use clap_complete::Shell;

use super::Outcome;
use crate::args::Args;
use crate::error::{Failure, Problem, exit};
use crate::output::Output;

pub(super) fn run(output: &Output, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "murmesh", &mut script);
    let script =
        String::from_utf8(script).map_err(|error| Failure::with(Problem::Client, error.to_string()))?;
    output.text_answer(&StyledStr::from(script), exit::DONE)
}
