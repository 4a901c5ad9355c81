//! `id show`, `id qr`.

use std::fs;

use murmesh_protocol::control::{IdReply, NoParams, Request};
use serde::Serialize;

use super::Outcome;
use crate::args::Paint;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};
use crate::passphrase::Passphrase;
use crate::qr::Code;
use crate::start;
use crate::text::one_line;

#[derive(Serialize)]
struct Painted<'a> {
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    svg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<String>,
}

pub(super) fn show(context: &Context<'_>) -> Outcome {
    let reply = ask(context)?;
    context.output.answer(&reply, || format!("{} {}", one_line(&reply.name), one_line(&reply.account)))?;
    Ok(exit::DONE)
}

pub(super) fn qr(context: &Context<'_>, paint: &Paint) -> Outcome {
    let reply = ask(context)?;
    let code = Code::of(&reply.account.to_uppercase())?;
    if let Some(file) = &paint.svg {
        let path = file.display().to_string();
        fs::write(file, code.svg())
            .map_err(|error| Failure::with(Problem::Output, format!("{path}: {error}")))?;
        let painted = Painted { account: &reply.account, svg: Some(path.clone()), qr: None };
        context.output.answer(&painted, || path)?;
        return Ok(exit::DONE);
    }
    let painted = Painted { account: &reply.account, svg: None, qr: Some(code.ascii(paint.invert)) };
    context.output.answer(&painted, || {
        if paint.ascii { code.ascii(paint.invert) } else { code.half_blocks(paint.invert) }
    })?;
    Ok(exit::DONE)
}

fn ask(context: &Context<'_>) -> Result<IdReply, Failure> {
    start::ask_anyway(context, &Request::IdShow(NoParams {}), &mut Passphrase::of_environment())
}
