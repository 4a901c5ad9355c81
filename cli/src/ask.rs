//! Asking on the terminal, and reading what was handed over instead: a file, standard input.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use crate::error::{Failure, Problem};
use crate::output::Output;

/// Most bytes read from a file or standard input: more than any message or ticket has.
const INPUT_BYTES_MAX: u64 = 1024 * 1024;

/// Whether a person can be asked.
pub(crate) fn can_ask(no_input: bool) -> bool {
    !no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for one line; `None` when it is empty.
pub(crate) fn line(output: &Output, question: &str) -> Result<Option<String>, Failure> {
    output.question(question);
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| unreadable("the terminal", &error))?;
    let answer = answer.trim();
    Ok((!answer.is_empty()).then(|| answer.to_owned()))
}

/// All of standard input.
pub(crate) fn stdin() -> Result<String, Failure> {
    read("standard input", io::stdin().lock())
}

/// All of a file.
pub(crate) fn file(path: &Path) -> Result<String, Failure> {
    let name = path.display().to_string();
    let file = fs::File::open(path).map_err(|error| unreadable(&name, &error))?;
    read(&name, file)
}

fn read(name: &str, from: impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    let bytes =
        from.take(INPUT_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| unreadable(name, &error))?;
    if bytes as u64 > INPUT_BYTES_MAX {
        return Err(Failure::with(Problem::Input, format!("{name} is over {INPUT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::with(Problem::Input, format!("{name}: {error}"))
}
