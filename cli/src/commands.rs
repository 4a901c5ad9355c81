//! The commands, one file each. Every one returns an exit status or a failure with words.

use crate::args::{Args, Command, Contact, Id, Outbox, Peer};
use crate::context::Context;
use crate::error::Failure;
use crate::output::Output;

mod add;
mod bare;
mod completion;
mod contact;
mod down;
mod help;
mod id;
mod init;
mod invite;
mod listen;
mod outbox;
mod peer;
mod read;
mod send;
mod status;
mod up;
mod why;

/// What a command ends with: an exit status.
type Outcome = Result<u8, Failure>;

/// Runs the command of `args`.
pub(crate) fn run(args: Args, output: &Output) -> Outcome {
    let global = args.global;
    match &args.command {
        // These two need no data directory.
        Some(Command::Completion { shell }) => return completion::run(output, *shell),
        Some(Command::Help { topic }) => return help::run(output, topic),
        _ => {}
    }
    let context = Context::new(&global, output)?;
    match args.command {
        None => bare::run(&context),
        Some(Command::Init(args)) => init::run(&context, args),
        Some(Command::Up(args)) => up::run(&context, &args),
        Some(Command::Down) => down::run(&context),
        Some(Command::Status) => status::run(&context),
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
        Some(Command::Send(args)) => send::run(&context, args),
        Some(Command::Read(args)) => read::run(&context, args),
        Some(Command::Listen(args)) => listen::run(&context, &args),
        Some(Command::Outbox(Outbox::List)) => outbox::list(&context),
        Some(Command::Outbox(Outbox::Show(args))) => outbox::show(&context, args.id),
        Some(Command::Outbox(Outbox::Retry { id })) => outbox::retry(&context, id),
        Some(Command::Outbox(Outbox::Cancel(args))) => outbox::cancel(&context, args.id),
        Some(Command::Why(args)) => why::run(&context, args.id),
        Some(Command::Peer(Peer::List)) => peer::list(&context),
        Some(Command::Completion { shell }) => completion::run(output, shell),
        Some(Command::Help { topic }) => help::run(output, &topic),
    }
}
