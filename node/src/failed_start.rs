//! A start that failed, for whoever started it: a person or a supervisor reads standard error and the exit status,
//! the command line reads `startup-error.json`. SPEC §10.1.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use murmesh_protocol::control::error::exit;
use murmesh_protocol::control::error::words::{hint_for, hint_of_free_port, quoted};
use murmesh_protocol::control::files::STARTUP_ERROR;
use murmesh_protocol::control::{ControlError, ErrorName, without_escapes};

/// No data directory is named, by flag or environment.
pub(crate) const NO_DATA_DIR: &str = "no data directory: give --data-dir or set MURMESH_DATA_DIR";

/// Tells it everywhere; the exit status is that of the error.
pub(crate) fn tell(data_dir: &Path, named: bool, error: &ControlError) -> ExitCode {
    let json = serde_json::to_string(error).unwrap_or_default();
    let written = murmesh_node::make_data_dir(data_dir)
        .and_then(|()| std::fs::write(data_dir.join(STARTUP_ERROR), &json));
    if let Err(problem) = written {
        tracing::error!(%problem, "the reason cannot be written down");
    }
    let same =
        if named { format!(" --data-dir {}", quoted(&data_dir.to_string_lossy())) } else { String::new() };
    complain(&words(error, &same), error.name.row().exit)
}

/// A problem without a name in the control API.
pub(crate) fn complain(text: &str, status: u8) -> ExitCode {
    // Nobody to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "murmeshd: {text}");
    ExitCode::from(status)
}

/// What `--help` says of exit statuses: those that a node ends with.
pub(crate) fn statuses() -> String {
    let own = |status: &u8| {
        matches!(*status, exit::DONE | exit::OTHER) || STARTING.iter().any(|n| n.row().exit == *status)
    };
    let rows = exit::ALL.iter().filter(|(status, _)| own(status));
    let rows = rows.map(|(status, meaning)| format!("  {status:>3}  {meaning}\n")).collect::<String>();
    format!(
        "Exit status:\n{rows}\n`murmesh help errors` lists all errors, `murmesh help E0104` explains one."
    )
}

/// Errors that a start can end with.
const STARTING: &[ErrorName] = &[
    ErrorName::AlreadyRunning,
    ErrorName::SocketPath,
    ErrorName::Listen,
    ErrorName::BadConfig,
    ErrorName::Permission,
    ErrorName::Locked,
    ErrorName::Database,
    ErrorName::Disk,
    ErrorName::Internal,
];

fn words(error: &ControlError, same: &str) -> String {
    let row = error.name.row();
    let detail = error.detail.as_deref().map(one_line);
    let free_port = detail.as_deref().filter(|_| error.name == ErrorName::Listen).and_then(hint_of_free_port);
    let hint = hint_for(free_port.as_deref().unwrap_or(row.hint), same);
    format!("not started: {} ({})\n  next: {hint}", row.message(detail.as_deref()), row.code)
}

fn one_line(text: &str) -> String {
    without_escapes(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
