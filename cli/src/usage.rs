//! A command line that the parser refuses, in the words of every other error.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};

use crate::args::Args;
use crate::error::{Failure, Problem};

/// Flags of one letter that go together with `-h`.
const SHORT_FLAGS: &[char] = &['h', 'q', 'v'];

/// A word that the parser took for `-h` and more, and that is none: a text like `-hello`. The help, and the
/// status of success, would say that it was sent.
pub(crate) fn mistaken_for_help(raw: &[OsString]) -> Option<Failure> {
    let words = raw.iter().skip(1).take_while(|word| *word != "--").map(|word| word.to_string_lossy());
    let asked = |word: &str| {
        word == "--help"
            || short(word).is_some_and(|flags| flags.trim_start_matches(['q', 'v']).starts_with('h'))
    };
    let words = words.collect::<Vec<_>>();
    let at = words.iter().position(|word| asked(word))?;
    let (before, word) = (words.get(..at)?, words.get(at)?);
    let (page, _) = page_of(raw);
    // Somebody to send to comes first: what follows may be a text that nobody looked at.
    let mut behind = before.iter().skip_while(|word| *word != "send").skip(1);
    if page == ["send"] && behind.any(|word| !word.starts_with('-')) && known(word) {
        let words = format!("is {word} the text? nothing was sent{AFTER_DASHES}");
        return Some(Failure::with(Problem::Usage, words).next("murmesh help send"));
    }
    if known(word) {
        return None;
    }
    let text = if page == ["send"] { AFTER_DASHES } else { "" };
    let words = format!("there is no option {word} here{text}");
    Some(Failure::with(Problem::Usage, words).next(format!("murmesh help {}", page.join(" ")).trim_end()))
}

/// `--help`, or letters that all are flags.
fn known(word: &str) -> bool {
    short(word).is_none_or(|flags| flags.chars().all(|flag| SHORT_FLAGS.contains(&flag)))
}

/// The letters after a single `-`.
fn short(word: &str) -> Option<&str> {
    word.strip_prefix('-').filter(|flags| !flags.starts_with('-'))
}

/// What is wrong, and which page of the help says how it should be.
pub(crate) fn failure(error: &clap::Error, raw: &[OsString]) -> Failure {
    let (mut page, commands) = page_of(raw);
    let missing = [ErrorKind::MissingSubcommand, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand];
    let words = if missing.contains(&error.kind()) {
        format!("a command is missing after \"{}\": {}", page.join(" "), commands.join(", "))
    } else {
        words(error, page == ["send"])
    };
    page.extend(one(error, ContextKind::SuggestedSubcommand));
    Failure::with(Problem::Usage, words).next(format!("murmesh help {}", page.join(" ")).trim_end())
}

const AFTER_DASHES: &str = "; a text that begins with - goes after --";

#[expect(clippy::wildcard_enum_match_arm, reason = "the parser's list of kinds grows")]
fn words(error: &clap::Error, takes_text: bool) -> String {
    let argument = one(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = one(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = one(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("there is no command \"{word}\"{}", maybe(error, ContextKind::SuggestedSubcommand))
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let text =
                if takes_text && error.get(ContextKind::Suggested).is_some() { AFTER_DASHES } else { "" };
            format!("there is no option {argument} here{}{text}", maybe(error, ContextKind::SuggestedArg))
        }
        ErrorKind::UnknownArgument => {
            let text = if takes_text { "; quote a text of several words" } else { "" };
            format!("\"{argument}\" is one word too many{text}")
        }
        ErrorKind::MissingRequiredArgument => {
            format!("{} is missing", many(error, ContextKind::InvalidArg).join(" and "))
        }
        ErrorKind::InvalidValue if value.as_deref().is_none_or(str::is_empty) => {
            format!("{argument}: the value is missing{}", choices(error))
        }
        ErrorKind::InvalidValue => {
            format!("{argument}: \"{}\" is not a value of it{}", value.unwrap_or_default(), choices(error))
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{argument}: \"{}\": {why}", value.unwrap_or_default())
        }
        ErrorKind::ArgumentConflict => {
            let other = one(error, ContextKind::PriorArg).unwrap_or_default();
            if other == argument {
                format!("{argument} was given twice")
            } else {
                format!("{argument} does not go with {other}")
            }
        }
        _ => first_line(&error.render().to_string()),
    }
}

/// ` (queued, held, delivered or read)`.
fn choices(error: &clap::Error) -> String {
    let mut choices = many(error, ContextKind::ValidValue);
    match choices.pop() {
        Some(last) if !choices.is_empty() => format!("; it is {} or {last}", choices.join(", ")),
        Some(only) => format!("; it is {only}"),
        None => String::new(),
    }
}

/// `; did you mean send?`
fn maybe(error: &clap::Error, kind: ContextKind) -> String {
    one(error, kind).map(|text| format!("; did you mean {text}?")).unwrap_or_default()
}

fn one(error: &clap::Error, kind: ContextKind) -> Option<String> {
    many(error, kind).into_iter().next()
}

/// As the help writes it, without the brackets around the names of values.
fn many(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    let plain = |text: &String| text.replace(['<', '>', '[', ']'], "");
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![plain(text)],
        Some(ContextValue::Strings(texts)) => texts.iter().map(plain).collect(),
        _ => Vec::new(),
    }
}

/// The command that was meant, as far as it can be told, and those below it.
fn page_of(raw: &[OsString]) -> (Vec<String>, Vec<String>) {
    let mut page = Vec::new();
    let mut command: &Command = &Args::command();
    let mut words = raw.iter().skip(1).filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        if matches!(word, "--data-dir" | "--color") {
            words.next();
        } else if word == "--" {
            break;
        } else if let Some(found) = command.find_subcommand(word) {
            page.push(found.get_name().to_owned());
            command = found;
        } else if !word.starts_with('-') {
            break;
        }
    }
    (page, command.get_subcommands().map(|command| command.get_name().to_owned()).collect())
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
