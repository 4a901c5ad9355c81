//! `help [COMMAND|CODE|errors]`.

use clap::builder::StyledStr;
use clap::{Command, CommandFactory};

use super::Outcome;
use crate::args::Args;
use crate::error::{Entry, Failure, Problem, TABLE, entry_of_code, entry_of_name, exit};
use crate::output::Output;

/// `help errors`.
const ALL_ERRORS: &str = "errors";

pub(super) fn run(output: &Output, topic: &[String]) -> Outcome {
    if let [code] = topic
        && let Some(entry) = entry_of_code(code)
    {
        return output.text_answer(&StyledStr::from(explain(entry)), exit::DONE);
    }
    if topic == [ALL_ERRORS] {
        return output.text_answer(&StyledStr::from(all_errors()), exit::DONE);
    }
    let mut command = Args::command().color(output.clap_color());
    command.build();
    let mut found = &mut command;
    for word in topic {
        found = match find(found, word) {
            Some(found) => found,
            None => {
                if let ([_], Some(entry)) = (topic, entry_of_name(word)) {
                    return output.text_answer(&StyledStr::from(explain(entry)), exit::DONE);
                }
                return Err(Failure::with(Problem::Usage, format!("no command or error code \"{word}\"")));
            }
        };
    }
    let help = found.render_help();
    output.text_answer(&help, exit::DONE)
}

fn find<'a>(command: &'a mut Command, word: &str) -> Option<&'a mut Command> {
    command.find_subcommand_mut(word)
}

/// Both tables, for a page to look things up in.
fn all_errors() -> String {
    let statuses = exit::ALL.iter().map(|(status, meaning)| format!("{status:>5}  {meaning}\n"));
    let rows = TABLE.iter().filter(|entry| !exit::is_silent(entry.exit));
    let rows = rows.map(|entry| format!("{}  exit {:<3}  {}\n", entry.code, entry.exit, entry.name));
    format!(
        "Exit status:\n{}\nErrors:\n{}\n`murmesh help CODE` explains one.\n",
        statuses.collect::<String>(),
        rows.collect::<String>()
    )
}

fn explain(entry: &Entry) -> String {
    format!(
        "{} {}\n\n{}\n\nExit status {}. {}\n",
        entry.code,
        entry.name,
        entry.explain,
        entry.exit,
        if entry.retryable { "The same command may work later." } else { "Trying again changes nothing." }
    )
}
