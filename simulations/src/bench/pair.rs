//! Two people on this machine, alice and bob, connected, and nobody else.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use murmesh_protocol::control::{
    AddParams, ContactReply, ContactState, InitParams, InitReply, InviteParams, InviteReply, NoParams,
    Request, StatusReply, WhoParams,
};
use tempfile::TempDir;

use super::Failed;
use crate::client::Client;
use crate::programs;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running node. Ends with its value.
#[derive(Debug)]
pub struct Node {
    /// Its data directory.
    pub directory: PathBuf,
    process: Child,
    /// From the start of the process to the first answer on its control socket.
    pub start_up: Duration,
}

impl Node {
    /// Starts one on loopback.
    ///
    /// # Errors
    /// When it is not built, or does not answer.
    pub fn start(root: &Path, name: &str, more: &[&str]) -> Result<Node, Failed> {
        let program = programs::find("murmeshd").map_err(Failed::because)?;
        let directory = root.join(name);
        std::fs::create_dir_all(&directory).map_err(Failed::because)?;
        let log = std::fs::File::create(root.join(format!("{name}.log"))).map_err(Failed::because)?;
        let errors = log.try_clone().map_err(Failed::because)?;
        let mut command = programs::isolated(&program, root);
        command.arg("--data-dir").arg(&directory).args(["--listen", "/ip4/127.0.0.1/tcp/0"]).args(more);
        let start = Instant::now();
        let process = command.stdout(log).stderr(errors).spawn().map_err(Failed::because)?;
        let mut node = Node { directory, process, start_up: Duration::ZERO };
        while node.client().is_err() {
            if start.elapsed() > PATIENCE {
                return Err(Failed::because(format!("{name} does not start")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        node.start_up = start.elapsed();
        Ok(node)
    }

    /// A connection to it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn client(&self) -> Result<Client, Failed> {
        Client::connect(&self.directory).map_err(Failed::because)
    }

    /// Ends it, as a power cut would.
    pub fn stop(&mut self) {
        // It may have ended already; what it had accepted is on disk.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// See the module.
#[derive(Debug)]
pub struct Pair {
    /// Who writes.
    pub alice: Node,
    /// Who receives.
    pub bob: Node,
    /// From handing bob's node the ticket until both could write.
    pub connecting: Duration,
    /// Directories of both; go with it.
    pub root: TempDir,
}

impl Pair {
    /// Starts and introduces both.
    ///
    /// # Errors
    /// When that does not come about.
    pub fn start() -> Result<Pair, Failed> {
        Pair::start_with(&[])
    }

    /// The same with more arguments for both nodes.
    ///
    /// # Errors
    /// When that does not come about.
    pub fn start_with(more: &[&str]) -> Result<Pair, Failed> {
        let root = tempfile::Builder::new().prefix("mm").tempdir().map_err(Failed::because)?;
        let (alice, bob) = (Node::start(root.path(), "alice", more)?, Node::start(root.path(), "bob", more)?);
        let (mut a, mut b) = (alice.client()?, bob.client()?);
        for (client, name) in [(&mut a, "alice"), (&mut b, "bob")] {
            let init = Request::Init(InitParams { name: Some(name.to_owned()) });
            client.call::<InitReply>(&init).map_err(Failed::because)?;
        }
        let invite = InviteParams { uses: None, expires_ms: None, no_address: false };
        // Its own addresses reach the account a moment after it was made.
        let start = Instant::now();
        while status(&mut a)?.listen.is_empty() && start.elapsed() < PATIENCE {}
        let invite: InviteReply = a.call(&Request::Invite(invite)).map_err(Failed::because)?;
        let start = Instant::now();
        let add = Request::Add(AddParams { ticket: invite.ticket, name: None, text: None });
        b.call::<serde_json::Value>(&add).map_err(Failed::because)?;
        for (client, other) in [(&mut b, "alice"), (&mut a, "bob")] {
            until_connected(client, other)?;
        }
        Ok(Pair { alice, bob, connecting: start.elapsed(), root })
    }
}

fn until_connected(client: &mut Client, who: &str) -> Result<(), Failed> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let show = Request::Contact(WhoParams { who: who.to_owned() });
        if let Ok(contact) = client.call::<ContactReply>(&show)
            && contact.state == ContactState::Connected
        {
            return Ok(());
        }
    }
    Err(Failed::because(format!("{who} is not connected in time")))
}

/// Where a node listens.
///
/// # Errors
/// When it is gone, or listens nowhere.
pub fn address(node: &Node) -> Result<String, Failed> {
    let listen = status(&mut node.client()?)?.listen;
    listen.into_iter().next().ok_or_else(|| Failed::because("the node listens nowhere"))
}

/// What a node says of itself.
///
/// # Errors
/// When it is gone.
pub fn status(client: &mut Client) -> Result<StatusReply, Failed> {
    client.call(&Request::Status(NoParams {})).map_err(Failed::because)
}
