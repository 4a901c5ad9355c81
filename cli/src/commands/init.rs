//! `init`.

use murmesh_protocol::control::{InitParams, InitReply, Request};

use super::Outcome;
use crate::args::Init;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};
use crate::passphrase::Passphrase;
use crate::text::one_line;
use crate::{ask, data_dir, start};

pub(super) fn run(context: &Context<'_>, args: Init) -> Outcome {
    data_dir::make_usable(&context.data_dir)?;
    let name = match args.name {
        Some(name) => name,
        None => ask_name(context, args.non_interactive)?,
    };
    let mut passphrase = Passphrase::of(args.passphrase_file.as_deref());
    passphrase.choose(context).map_err(again)?;
    let request = Request::Init(InitParams { name: Some(name) });
    let reply: InitReply = start::ask_anyway(context, &request, &mut passphrase)?;
    context.output.talk(&format!("made the account of {}; its address:", one_line(&reply.name)));
    context.output.answer(&reply, || reply.account.clone())?;
    context.output.talk(&format!("next: murmesh invite --qr{}", context.same_directory()));
    Ok(exit::DONE)
}

/// The way to type a passphrase that could not be read.
fn again(failure: Failure) -> Failure {
    if failure.problem == Problem::Passphrase {
        failure.next("murmesh init --passphrase-file -")
    } else {
        failure
    }
}

/// The login name, unless a person says otherwise.
fn ask_name(context: &Context<'_>, non_interactive: bool) -> Result<String, Failure> {
    let login = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let login = login.filter(|name| !name.is_empty()).unwrap_or_else(|| "user".to_owned());
    if non_interactive || !ask::can_ask(context.no_input) {
        return Ok(login);
    }
    let answer = ask::line(context.output, &format!("nickname, told to contacts [{}]: ", one_line(&login)))?;
    Ok(answer.unwrap_or(login))
}
