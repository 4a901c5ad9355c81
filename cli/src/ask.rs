//! Asking on the terminal, and reading what was handed over instead: a file, standard input.

use std::fs;
use std::io::{self, BufRead, ErrorKind, IsTerminal, Read};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::data_dir::system_words;
use crate::error::{Failure, Problem};
use crate::output::Output;

/// Most bytes read from a file or standard input: more than any message or ticket has.
const INPUT_BYTES_MAX: u64 = 1024 * 1024;
/// Longest secret that is typed; more is not taken.
const SECRET_BYTES_MAX: usize = 512;

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

/// Asks for a line that is not shown. The terminal is as it was afterwards, also after Ctrl-C, which is
/// taken as a character for that reason.
pub(crate) fn secret(output: &Output, question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(|error| unreadable("the terminal", &error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    let set = |modes: &Termios| {
        tcsetattr(&stdin, OptionalActions::Now, modes)
            .map_err(|error| unreadable("the terminal", &error.into()))
    };
    set(&silent)?;
    output.question(question);
    let typed = typed_line(stdin.lock());
    set(&before)?;
    output.question("\n");
    typed
}

/// The characters of a line as they are typed: with what erases, ends and interrupts.
fn typed_line(terminal: impl BufRead) -> Result<Zeroizing<Vec<u8>>, Failure> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const BACKSPACE: u8 = 8;
    const ERASE_LINE: u8 = 21;
    const DELETE: u8 = 127;
    let mut line = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX));
    for byte in terminal.bytes() {
        match byte.map_err(|error| unreadable("the terminal", &error))? {
            b'\n' | b'\r' | END => break,
            INTERRUPT => return Err(Failure::new(Problem::Interrupted)),
            BACKSPACE | DELETE => {
                // All bytes of the last character.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            ERASE_LINE => line.clear(),
            byte if line.len() < SECRET_BYTES_MAX => line.push(byte),
            _ => {}
        }
    }
    if line.is_empty() {
        return Err(Failure::with(Problem::Passphrase, "nothing was typed"));
    }
    Ok(line)
}

/// All of standard input.
pub(crate) fn stdin() -> Result<String, Failure> {
    read("standard input", io::stdin().lock())
}

/// All of a file.
pub(crate) fn file(path: &Path) -> Result<String, Failure> {
    let name = path.display().to_string();
    match fs::File::open(path) {
        Ok(file) => read(&name, file),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::with(Problem::NoFile, name)),
        Err(error) => Err(unreadable(&name, &error)),
    }
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
    Failure::with(Problem::Input, format!("{name}: {}", system_words(error)))
}
