//! The passphrase of an account: where it comes from, and how it reaches the node. It is read once and
//! handed over through a pipe: it is never on a command line, and a file that can be read once only
//! serves the question whether there is an account as well as the start.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use murmesh_protocol::control::ErrorName;
use zeroize::Zeroizing;

use crate::ask;
use crate::context::Context;
use crate::data_dir::system_words;
use crate::error::{Failure, Problem};

/// Names a file whose first line is the passphrase.
const VARIABLE: &str = "MURMESH_PASSPHRASE_FILE";
/// As a pipe takes it without a reader.
const BYTES_MAX: usize = 512;
/// How the node says that there is a passphrase and that it got none.
const NEEDED: &str = "a passphrase is needed";

/// Where a passphrase may come from, and what came.
#[derive(Default)]
pub(crate) struct Passphrase {
    source: Option<PathBuf>,
    text: Option<Zeroizing<Vec<u8>>>,
}

impl Passphrase {
    /// From a file; `-` is a question on a terminal, standard input elsewhere.
    pub(crate) fn of(source: Option<&Path>) -> Passphrase {
        Passphrase { source: source.map(Path::to_owned), text: None }
    }

    /// From the file that the environment names.
    pub(crate) fn of_environment() -> Passphrase {
        Passphrase { source: env::var_os(VARIABLE).map(PathBuf::from), text: None }
    }

    /// Reads it, if a source was given.
    pub(crate) fn read(&mut self, context: &Context<'_>) -> Result<(), Failure> {
        if let (None, Some(source)) = (&self.text, &self.source) {
            self.text = Some(read(context, source)?);
        }
        Ok(())
    }

    /// Asks for a new one twice if it is to be typed.
    pub(crate) fn choose(&mut self, context: &Context<'_>) -> Result<(), Failure> {
        let typed = self.source.as_deref() == Some(Path::new("-")) && ask::can_ask(context.no_input);
        self.read(context)?;
        if typed && Some(ask::secret(context.output, "the same again: ")?) != self.text {
            return Err(Failure::with(Problem::Passphrase, "the second one differs from the first"));
        }
        Ok(())
    }

    /// Tries; where a passphrase turns out to be needed and a person can be asked, asks and tries again.
    pub(crate) fn unlock<T>(
        &mut self,
        context: &Context<'_>,
        attempt: impl Fn(&Passphrase) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.read(context)?;
        match attempt(self) {
            Err(failure) if is_needed(&failure) && ask::can_ask(context.no_input) => {
                self.text = Some(ask::secret(context.output, "passphrase: ")?);
                attempt(self)
            }
            done => done,
        }
    }

    /// Names to the node where to read it. What is returned must stay open until the node is spawned.
    pub(crate) fn hand_to(&self, command: &mut Command) -> Result<Option<OwnedFd>, Failure> {
        command.env_remove(VARIABLE);
        let Some(text) = &self.text else { return Ok(None) };
        let cannot = |error: io::Error| Failure::with(Problem::Client, system_words(&error));
        let (node, ours) = rustix::pipe::pipe().map_err(|error| cannot(error.into()))?;
        // The end that is written closes here: the node reads to it.
        File::from(ours).write_all(text).map_err(cannot)?;
        command.arg("--passphrase-file").arg(format!("/dev/fd/{}", node.as_raw_fd()));
        Ok(Some(node))
    }
}

fn is_needed(failure: &Failure) -> bool {
    let says = failure.detail.as_ref().is_some_and(|detail| detail.ends_with(NEEDED));
    failure.problem == Problem::Node(ErrorName::Locked) && says
}

fn read(context: &Context<'_>, source: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unreadable = |error: io::Error| {
        Failure::with(Problem::Passphrase, format!("{}: {}", source.display(), system_words(&error)))
    };
    if source != Path::new("-") {
        return first_line(File::open(source).map_err(unreadable)?, &source.display().to_string());
    }
    if ask::can_ask(context.no_input) {
        return ask::secret(context.output, "passphrase: ");
    }
    first_line(io::stdin().lock(), "standard input")
}

/// The first line, at most [`BYTES_MAX`].
fn first_line(from: impl Read, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let problem = |why: &str| Failure::with(Problem::Passphrase, format!("{name}: {why}"));
    let mut line = Zeroizing::new(Vec::with_capacity(BYTES_MAX + 1));
    for byte in io::BufReader::new(from).bytes() {
        match byte.map_err(|error| problem(&system_words(&error)))? {
            b'\n' => break,
            _ if line.len() == BYTES_MAX => return Err(problem(&format!("over {BYTES_MAX} bytes"))),
            byte => line.push(byte),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.is_empty() { Err(problem("the first line is empty")) } else { Ok(line) }
}
