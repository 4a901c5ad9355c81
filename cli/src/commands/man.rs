//! `man [--dir DIR]`.

use std::fs;
use std::path::Path;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde::Serialize;

use super::Outcome;
use crate::args;
use crate::args::Args;
use crate::data_dir::system_words;
use crate::error::{Failure, Problem, exit};
use crate::output::Output;

#[derive(Serialize)]
struct Written {
    files: Vec<String>,
}

pub(super) fn run(output: &Output, args: &args::Man) -> Outcome {
    let mut command = Args::command();
    command.build();
    let Some(dir) = &args.dir else {
        let page = String::from_utf8(rendered(command)?)
            .map_err(|error| Failure::with(Problem::Client, error.to_string()))?;
        return output.text_answer(&StyledStr::from(page), exit::DONE);
    };
    fs::create_dir_all(dir).map_err(|error| unwritable(dir, &error))?;
    let mut files = Vec::new();
    write(command, dir, &mut files)?;
    files.sort_unstable();
    let written = Written { files };
    output.answer(&written, || written.files.join("\n"))?;
    Ok(exit::DONE)
}

/// The page of a command, and those of the commands below it.
fn write(command: Command, dir: &Path, files: &mut Vec<String>) -> Result<(), Failure> {
    for below in command.get_subcommands() {
        write(below.clone(), dir, files)?;
    }
    let path = dir.join(Man::new(command.clone()).get_filename());
    fs::write(&path, rendered(command)?).map_err(|error| unwritable(&path, &error))?;
    files.push(path.display().to_string());
    Ok(())
}

fn rendered(command: Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let rendered = Man::new(command).render(&mut page);
    rendered.map_err(|error| Failure::with(Problem::Client, error.to_string()))?;
    Ok(page)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::with(Problem::Output, format!("{}: {}", path.display(), system_words(error)))
}
