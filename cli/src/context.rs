//! What every command needs: where the data is, how to reach the node, how to print.

use std::path::{PathBuf, absolute};

use murmesh_protocol::control::{IdReply, NoParams, Request};

use crate::args::{Global, Up};
use crate::client::Client;
use crate::error::{Failure, Problem};
use crate::output::Output;
use crate::passphrase::Passphrase;
use crate::{data_dir, start};

/// The surroundings of one command.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) output: &'a Output,
    pub(crate) data_dir: PathBuf,
    may_start: bool,
    pub(crate) no_input: bool,
}

impl<'a> Context<'a> {
    /// From the global flags and the environment.
    pub(crate) fn new(global: &Global, output: &'a Output) -> Result<Context<'a>, Failure> {
        let data_dir = global.data_dir.clone().or_else(data_dir::default);
        let data_dir = data_dir.ok_or(Failure::new(Problem::NoDataDir))?;
        let data_dir = absolute(&data_dir).map_err(|_error| Failure::new(Problem::NoDataDir))?;
        Ok(Context { output, data_dir, may_start: !global.no_start, no_input: global.no_input })
    }

    /// The running node, if one runs.
    pub(crate) fn running(&self) -> Result<Option<Client>, Failure> {
        Client::connect(&self.data_dir, None)
    }

    /// The running node, which the command needs and does not start.
    pub(crate) fn node(&self) -> Result<Client, Failure> {
        self.running()?.ok_or_else(|| self.not_running())
    }

    /// A node is started for an account; where there is none yet, that comes first.
    fn not_running(&self) -> Failure {
        let failure = Failure::new(Problem::NotRunning);
        if data_dir::is_fresh(&self.data_dir) { failure.next("murmesh init") } else { failure }
    }

    /// The running node, or one started for the command unless `--no-start`.
    pub(crate) fn node_or_start(&self) -> Result<Client, Failure> {
        match self.running()? {
            Some(client) => Ok(client),
            None if !self.may_start => Err(self.not_running()),
            None => {
                let mut passphrase = Passphrase::of_environment();
                // Without an account the command fails: no node is left running for it.
                let _: IdReply = start::ask_anyway(self, &Request::IdShow(NoParams {}), &mut passphrase)?;
                self.output.talk("starting the node");
                Ok(start::start(self, &Up::default(), &mut passphrase)?.client)
            }
        }
    }

    /// The flags that repeat this call's data directory, for commands shown to be typed.
    pub(crate) fn same_directory(&self) -> &str {
        self.output.hint_suffix()
    }
}
