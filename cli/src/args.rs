//! The command line, as clap reads it. Types only.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::duration::parse_ms;
use crate::multiaddr::{parse_listen, parse_peer};

pub(crate) use self::request::ContactRequest;
pub(crate) use self::tools::{Api, Config, Listen, Man};

mod request;
mod tools;

/// Fewest digits that name a message.
const ID_DIGITS_MIN: usize = 6;

/// Messages between people, from machine to machine, with no server in the middle.
#[derive(Debug, Parser)]
#[command(
    name = "murmesh",
    version,
    disable_help_subcommand = true,
    after_help = "First steps:\n  murmesh init --name alice     make an account\n  murmesh invite --qr           let somebody add you\n  \
                  murmesh add                   add somebody; asks for the ticket\n  murmesh send bob \"hello\"      send\n  murmesh read bob --follow     \
                  read along\n\n`murmesh help COMMAND` has examples; `murmesh help E0203` explains an error."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags that go before or after any command.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// One JSON document on stdout, whatever the outcome.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Only data and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more about what is done.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
    /// Where the node keeps its keys and messages.
    #[arg(long, global = true, value_name = "DIR", env = "MURMESH_DATA_DIR", hide_env_values = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Never start a node.
    #[arg(long, global = true)]
    pub(crate) no_start: bool,
    /// Never ask on the terminal.
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account in this data directory.
    #[command(after_help = "Example:\n  murmesh init --name alice")]
    Init(Init),
    /// Start the node, or say that it runs.
    #[command(
        after_help = "Examples:\n  murmesh up\n  murmesh up --listen /ip4/0.0.0.0/tcp/4001 --peer /ip4/192.0.2.7/tcp/4001\n  \
                      murmesh up --profile server --foreground"
    )]
    Up(Up),
    /// Stop the node.
    #[command(
        after_help = "Where no node runs the exit status is 3. A node that does not end within five seconds is \
                      killed; what it had accepted is on disk.\n\n\
                      Example, for a node on another directory:\n  murmesh down --data-dir ~/.murmesh"
    )]
    Down,
    /// How the node is: reach, peers, mail, custody, health.
    #[command(
        after_help = "Exit status 9: it runs, and there is something to do.\n\nExample:\n  murmesh status --watch"
    )]
    Status {
        /// Go on until Ctrl-C: drawn anew every two seconds and at events; without a terminal one JSON object a line.
        #[arg(long)]
        watch: bool,
    },
    /// One's own account.
    #[command(subcommand)]
    Id(Id),
    /// Make a ticket that lets somebody add you. A ticket is a secret: whoever holds it becomes a contact.
    #[command(after_help = "Examples:\n  murmesh invite --qr\n  murmesh invite --uses 5 --expires 7d")]
    Invite(Invite),
    /// Add somebody by their ticket, or ask an account to let you in.
    #[command(
        after_help = "Examples:\n  murmesh add                 asks for the ticket\n  murmesh add @ticket.txt\n  \
                      murmesh add - --as bob --wait connected < ticket.txt\n  \
                      murmesh add mur1... --text \"it is me, from the train\"\n\n\
                      With an account address (`murmesh id show`) alone you ask: the other side has to let you in, hears \
                      strangers only if it says so in its configuration, and does not tell you if it will not. A request \
                      that is not answered in 14 days is `expired`; adding the account again asks again.\n\n\
                      A ticket is a secret, and a command line is none: other users of the machine see it, and the shell \
                      keeps it. `murmesh add MURMESH:...` works all the same."
    )]
    Add(Add),
    /// Contacts.
    #[command(subcommand)]
    Contact(Contact),
    /// People who ask to be let in.
    #[command(subcommand)]
    Request(ContactRequest),
    /// Send a text.
    #[command(
        after_help = "Examples:\n  murmesh send bob \"hello\"\n  murmesh send bob --wait delivered --timeout 5m < letter.txt\n\n\
                      A text that begins with - goes after --, in a script every text that is not your own: \
                      murmesh send bob -- \"$text\"\n\n\
                      Exit status 0 means: the message is on this machine's disk. States: queued, held (others keep it: you may \
                      leave), delivered, read; or expired, refused, failed.\n\n\
                      `--wait read` ends with a time-out unless the other side sends read receipts, which by default it does \
                      not: `--wait delivered` says that the message is on their disk."
    )]
    Send(Send),
    /// Read messages, one's own too.
    #[command(
        after_help = "Examples:\n  murmesh read bob --follow\n  murmesh read --unread\n  murmesh read bob --since 1d --limit 500"
    )]
    Read(Read),
    /// Events as they come, one JSON object a line.
    #[command(
        after_help = "Examples:\n  murmesh listen\n  murmesh listen --since 8812    what came after that cursor, then what comes\n  \
                      murmesh listen --name archive >> events.jsonl\n  murmesh listen --name bot --exec ./answer.sh\n\n\
                      With --name nothing is missed: each event is acknowledged once it was printed, or --exec ended with \
                      status 0, and what was not comes again at the next start, so some may come twice. The node keeps \
                      the last 10,000 events; who is further behind is told stream.gap.\n\n\
                      --exec: an event that fails is skipped; with --name it is tried again, later and later. What strangers \
                      wrote is on standard input only, never on a command line."
    )]
    Listen(Listen),
    /// Messages not yet delivered.
    #[command(subcommand)]
    Outbox(Outbox),
    /// A message's story: every attempt, hop and custodian.
    #[command(after_help = "Example:\n  murmesh why 3f9a27")]
    Why(Message),
    /// Other nodes.
    #[command(subcommand)]
    Peer(Peer),
    /// The configuration of a node.
    #[command(subcommand)]
    Config(Config),
    /// The control API, as a program uses it.
    #[command(subcommand)]
    Api(Api),
    /// Manual pages.
    #[command(
        after_help = "Examples:\n  murmesh man | man -l -\n  murmesh man --dir ~/.local/share/man/man1    one page a command"
    )]
    Man(Man),
    /// A completion script for a shell.
    #[command(
        after_help = "Example:\n  murmesh completion bash > ~/.local/share/bash-completion/completions/murmesh"
    )]
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Help on a command or an error code.
    #[command(
        after_help = "Examples:\n  murmesh help send\n  murmesh help contact rename\n  murmesh help E0203\n  murmesh help errors      all codes"
    )]
    Help {
        /// A command, a code like E0203 or its name, or `errors` for all codes.
        #[arg(value_name = "COMMAND|CODE")]
        topic: Vec<String>,
    },
}

/// `init`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    /// Your nickname, told to contacts; your login name unless given.
    #[arg(long, value_name = "NICK")]
    pub(crate) name: Option<String>,
    /// File whose first line is the passphrase that seals the keys; `-` asks for it, or reads standard input.
    #[arg(long, value_name = "FILE", env = "MURMESH_PASSPHRASE_FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Never ask.
    #[arg(long)]
    pub(crate) non_interactive: bool,
}

/// `up`.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Up {
    /// What the node may cost and give.
    #[arg(long, value_enum)]
    pub(crate) profile: Option<Profile>,
    /// Stay in the foreground and log to the terminal.
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Address to listen on, also at later starts; port 0 is chosen once and kept. May be repeated.
    #[arg(long, value_name = "MULTIADDR", value_parser = parse_listen)]
    pub(crate) listen: Vec<String>,
    /// Address of a peer to dial. May be repeated.
    #[arg(long, value_name = "MULTIADDR", value_parser = parse_peer)]
    pub(crate) peer: Vec<String>,
    /// File whose first line is the passphrase that seals the keys; `-` asks for it, or reads standard input.
    #[arg(long, value_name = "FILE", env = "MURMESH_PASSPHRASE_FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// Profiles of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// A machine at home that is on now and then.
    Home,
    /// Always on: keeps a lot for others.
    Server,
    /// On a battery: keeps nothing for others.
    Phone,
}

/// `id`.
#[derive(Debug, Subcommand)]
pub(crate) enum Id {
    /// The account address and nickname.
    Show,
    /// The account address as a QR code.
    Qr(Paint),
}

/// How a QR code is painted.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Paint {
    /// Write an SVG picture instead.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ascii", "invert"])]
    pub(crate) svg: Option<PathBuf>,
    /// Without colours and block characters.
    #[arg(long)]
    pub(crate) ascii: bool,
    /// Light on dark.
    #[arg(long)]
    pub(crate) invert: bool,
}

/// `invite`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Invite {
    /// What to do instead of making one.
    #[command(subcommand)]
    pub(crate) action: Option<InviteAction>,
    /// How many people may use it.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(crate) uses: Option<u32>,
    /// How long it is good for; 24h unless given.
    #[arg(long, value_name = "DURATION", value_parser = parse_ms)]
    pub(crate) expires: Option<u64>,
    /// Name no address of this machine in it.
    #[arg(long)]
    pub(crate) no_address: bool,
    /// Show it as a QR code too.
    #[arg(long)]
    pub(crate) qr: bool,
}

/// `invite` on invites that were made.
#[derive(Debug, Subcommand)]
pub(crate) enum InviteAction {
    /// Invites that still let somebody in.
    List,
    /// End an invite: its ticket is worth nothing from then on. Who has used it stays a contact.
    Revoke {
        /// The id that `murmesh invite list` shows.
        id: String,
    },
}

/// `add`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Add {
    /// `@FILE`, `-` for standard input, the ticket itself, or an account address; asked for when absent.
    #[arg(value_name = "@FILE|-|TICKET|ACCOUNT")]
    pub(crate) ticket: Option<String>,
    /// Your name for the contact; their nickname unless given.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What to say first: with an account address they decide by it. At most 1,024 bytes.
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// What to wait for.
    #[arg(long, value_enum)]
    pub(crate) wait: Option<AddWait>,
    /// How long to wait.
    #[arg(long, value_name = "DURATION", value_parser = parse_ms, default_value = "30s")]
    pub(crate) timeout: u64,
}

/// What `add` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AddWait {
    /// The request is on this machine's disk.
    Requested,
    /// Messages flow both ways.
    Connected,
}

/// `contact`.
#[derive(Debug, Subcommand)]
pub(crate) enum Contact {
    /// All contacts.
    List,
    /// One contact.
    Show {
        /// Name, account address, or a unique beginning of either.
        who: String,
    },
    /// Give a contact another name.
    Rename {
        /// Name, account address, or a unique beginning of either.
        who: String,
        /// The new name.
        name: String,
    },
    /// Remove a contact and everything that was said with it, on this machine.
    #[command(
        after_help = "The contact is not told. To meet again one of you makes a new ticket, and if the other still has the \
                      contact, it removes it too.\n\nExample:\n  murmesh contact remove bob --yes"
    )]
    Remove {
        /// Name, account address, or a unique beginning of either.
        who: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Hear no more of a contact and send it nothing; what was said stays.
    #[command(
        after_help = "The contact is not told: its messages wait as if you were offline. What waits for it here ends as \
                      `failed`.\n\nExample:\n  murmesh contact block bob"
    )]
    Block {
        /// Name, account address, or a unique beginning of either.
        who: String,
    },
    /// Hear a blocked contact again.
    Unblock {
        /// Name, account address, or a unique beginning of either.
        who: String,
    },
}

/// `send`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Send {
    /// Name, account address, or a unique beginning of either.
    pub(crate) who: String,
    /// The text; standard input when absent or `-`.
    #[arg(value_name = "TEXT|-", allow_hyphen_values = false)]
    pub(crate) text: Option<String>,
    /// State to wait for.
    #[arg(long, value_enum)]
    pub(crate) wait: Option<SendWait>,
    /// How long to wait; the message stays queued.
    #[arg(long, value_name = "DURATION", value_parser = parse_ms, default_value = "30s")]
    pub(crate) timeout: u64,
    /// The same id never sends twice, and gives the same message.
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// When to give up; 14d unless given.
    #[arg(long, value_name = "DURATION", value_parser = parse_ms)]
    pub(crate) expire: Option<u64>,
}

/// States that `send` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum SendWait {
    /// On this machine's disk.
    Queued,
    /// Others keep it: you may leave.
    Held,
    /// On the recipient's disk.
    Delivered,
    /// Read, if the recipient tells.
    Read,
}

/// `read`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Read {
    /// Only this conversation.
    pub(crate) who: Option<String>,
    /// Only what was not read before.
    #[arg(long)]
    pub(crate) unread: bool,
    /// Only since then: a duration back (1h), or a time (2026-11-24T03:22:25Z).
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// The newest this many; 50 unless given.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(crate) limit: Option<u32>,
    /// Go on with messages as they arrive.
    #[arg(long)]
    pub(crate) follow: bool,
}

/// `outbox`.
#[derive(Debug, Subcommand)]
pub(crate) enum Outbox {
    /// All messages not yet delivered.
    List,
    /// One of them.
    Show(Message),
    /// Try now what waits for its next attempt.
    Retry {
        /// The message's id, or a unique beginning of at least six digits; all of them unless given.
        #[arg(value_name = "MESSAGE", value_parser = parse_id)]
        id: Option<String>,
    },
    /// Take a message back that has not left this machine.
    #[command(
        after_help = "What a custodian or the recipient has cannot be taken back.\n\nExample:\n  murmesh outbox cancel 3f9a27"
    )]
    Cancel(Message),
}

/// A message.
#[derive(Debug, ClapArgs)]
pub(crate) struct Message {
    /// Its id, or a unique beginning of at least six digits.
    #[arg(value_name = "MESSAGE", value_parser = parse_id)]
    pub(crate) id: String,
}

/// `peer`.
#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    /// Known nodes, connected ones first.
    List,
}

/// A number of things: at least one.
fn parse_count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("it is a whole number from 1 to {}", u32::MAX))
}

/// The beginning of an id; the node knows the rest.
fn parse_id(text: &str) -> Result<String, String> {
    let long_enough = text.chars().count() >= ID_DIGITS_MIN;
    long_enough.then(|| text.to_owned()).ok_or("at least six digits of its id are needed".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_flags_go_before_and_after() {
        for line in ["murmesh --json --data-dir /d contact list", "murmesh contact list --data-dir /d --json"]
        {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert!(args.global.json && args.global.data_dir == Some(PathBuf::from("/d")), "{line}");
        }
    }
}
