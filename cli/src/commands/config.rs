//! `config path`, `config show`, `config check`: what `murmeshd` makes of its configuration.

use std::path::{Path, absolute};

use murmesh_protocol::control::ErrorName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Outcome;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};
use crate::start;
use crate::text::one_line;

/// The name of the file in the data directory.
const FILE: &str = "config.toml";

/// The answer of `murmeshd config`.
#[derive(Deserialize, Serialize)]
struct Shown {
    file: String,
    exists: bool,
    settings: Vec<Setting>,
}

#[derive(Deserialize, Serialize)]
struct Setting {
    key: String,
    value: Value,
    source: String,
}

#[derive(Serialize)]
struct File {
    file: String,
    exists: bool,
}

#[derive(Serialize)]
struct Checked {
    file: String,
    exists: bool,
    ok: bool,
}

/// Said without asking the node: it must be found also when what is in it is wrong.
pub(super) fn path(context: &Context<'_>) -> Outcome {
    let path = context.data_dir.join(FILE);
    let file = File { file: path.display().to_string(), exists: path.is_file() };
    context.output.answer(&file, || file.file.clone())?;
    if !file.exists {
        context.output.talk("there is none yet: the defaults hold");
    }
    Ok(exit::DONE)
}

pub(super) fn show(context: &Context<'_>) -> Outcome {
    let shown: Shown = ask(context, None)?;
    context.output.answer(&shown, || toml(&shown))?;
    Ok(exit::DONE)
}

pub(super) fn check(context: &Context<'_>, file: Option<&Path>) -> Outcome {
    let file = file.map(absolute).transpose().map_err(|_error| Failure::new(Problem::NoDataDir))?;
    if let Some(file) = file.as_deref().filter(|file| !file.exists()) {
        return Err(Failure::with(Problem::NoFile, file.display().to_string()));
    }
    let shown: Shown = ask(context, file.as_deref())?;
    let checked = Checked { file: shown.file, exists: shown.exists, ok: true };
    context.output.answer(&checked, || {
        let path = one_line(&checked.file);
        if checked.exists {
            format!("{path} is right")
        } else {
            format!("there is no {path}: the defaults hold")
        }
    })?;
    Ok(exit::DONE)
}

fn ask(context: &Context<'_>, file: Option<&Path>) -> Result<Shown, Failure> {
    start::ask_config(context, file).map_err(|failure| {
        let wrong = failure.problem == Problem::Node(ErrorName::BadConfig);
        if wrong { failure.next("murmesh config path") } else { failure }
    })
}

/// A file that says the same. JSON's texts, numbers and lists are TOML's too.
fn toml(shown: &Shown) -> String {
    let (mut text, mut current) = (String::new(), "");
    for setting in &shown.settings {
        let (section, key) = setting.key.split_once('.').unwrap_or(("", &setting.key));
        if section != current {
            text += &format!("\n[{section}]\n");
            current = section;
        }
        let line = format!("{key} = {}", one_line(&setting.value.to_string()));
        text += &format!("{line:<40} # {}\n", one_line(&setting.source));
    }
    text
}
