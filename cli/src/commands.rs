//! The commands, one file each. Every one returns an exit status or a failure with words.

use crate::args::{Api, Args, Command, Config, Contact, ContactRequest, Id, Outbox, Peer};
use crate::context::Context;
use crate::error::Failure;
use crate::output::Output;

mod add;
mod api;
mod bare;
mod completion;
mod config;
mod contact;
mod down;
mod help;
mod id;
mod init;
mod invite;
mod listen;
mod man;
mod outbox;
mod peer;
mod read;
mod request;
mod send;
mod status;
mod up;
mod watch;
mod why;

/// What a command ends with: an exit status.
type Outcome = Result<u8, Failure>;

/// Runs the command of `args`.
pub(crate) fn run(args: Args, output: &Output) -> Outcome {
    let global = args.global;
    match &args.command {
        // These need no data directory.
        Some(Command::Completion { shell }) => return completion::run(output, *shell),
        Some(Command::Help { topic }) => return help::run(output, topic),
        Some(Command::Api(Api::Schema)) => return api::schema(output),
        Some(Command::Man(args)) => return man::run(output, args),
        _ => {}
    }
    let context = Context::new(&global, output)?;
    match args.command {
        None => bare::run(&context),
        Some(Command::Init(args)) => init::run(&context, args),
        Some(Command::Up(args)) => up::run(&context, &args),
        Some(Command::Down) => down::run(&context),
        Some(Command::Status { watch: false }) => status::run(&context),
        Some(Command::Status { watch: true }) => watch::run(&context),
        Some(Command::Id(Id::Show)) => id::show(&context),
        Some(Command::Id(Id::Qr(args))) => id::qr(&context, &args),
        Some(Command::Invite(args)) => invite::run(&context, &args),
        Some(Command::Add(args)) => add::run(&context, args),
        Some(Command::Contact(Contact::List)) => contact::list(&context),
        Some(Command::Contact(Contact::Show { who })) => contact::show(&context, who),
        Some(Command::Contact(Contact::Rename { who, name })) => contact::rename(&context, who, name),
        Some(Command::Contact(Contact::Remove { who, yes })) => contact::remove(&context, who, yes),
        Some(Command::Contact(Contact::Block { who })) => contact::block(&context, who),
        Some(Command::Contact(Contact::Unblock { who })) => contact::unblock(&context, who),
        Some(Command::Request(ContactRequest::List)) => request::list(&context),
        Some(Command::Request(ContactRequest::Accept { id, name })) => request::accept(&context, id, name),
        Some(Command::Request(ContactRequest::Decline { id, block })) => {
            request::decline(&context, id, block)
        }
        Some(Command::Send(args)) => send::run(&context, args),
        Some(Command::Read(args)) => read::run(&context, args),
        Some(Command::Listen(args)) => listen::run(&context, args),
        Some(Command::Outbox(Outbox::List)) => outbox::list(&context),
        Some(Command::Outbox(Outbox::Show(args))) => outbox::show(&context, args.id),
        Some(Command::Outbox(Outbox::Retry { id })) => outbox::retry(&context, id),
        Some(Command::Outbox(Outbox::Cancel(args))) => outbox::cancel(&context, args.id),
        Some(Command::Why(args)) => why::run(&context, args.id),
        Some(Command::Peer(Peer::List)) => peer::list(&context),
        Some(Command::Config(Config::Path)) => config::path(&context),
        Some(Command::Config(Config::Show)) => config::show(&context),
        Some(Command::Config(Config::Check { file })) => config::check(&context, file.as_deref()),
        Some(Command::Api(Api::Schema)) => api::schema(output),
        Some(Command::Api(Api::Call { method, params })) => api::call(&context, &method, params),
        Some(Command::Man(args)) => man::run(output, &args),
        Some(Command::Completion { shell }) => completion::run(output, shell),
        Some(Command::Help { topic }) => help::run(output, &topic),
    }
}
