//! The table of promises in SPEC.md names tests, and when each was seen red: they exist, and no row is without its
//! mark. That they are red without what the table names was seen by hand.

use std::path::Path;

/// The heading of the table in SPEC.md.
const HEADING: &str = "Promises and what turns them red";

/// Of each row the `path::name`, or the path of a script, in its second column, and its third.
fn rows(spec: &str) -> Vec<(&str, &str)> {
    let is_heading = |line: &&str| line.starts_with("## ") && line.ends_with(HEADING);
    let section = spec.lines().skip_while(|line| !is_heading(line)).skip(1);
    section
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|row| {
            let mut columns = row.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").skip(1);
            Some((columns.next()?.strip_prefix('`')?.strip_suffix('`')?, columns.next()?))
        })
        .collect()
}

/// `✓`, or a commit in parentheses.
fn says_when(seen: &str) -> bool {
    let commit = seen.strip_suffix(')').and_then(|seen| seen.rsplit_once('(')).map(|(_, commit)| commit);
    seen.ends_with(" ✓")
        || commit.is_some_and(|commit| commit.len() == 7 && commit.chars().all(|c| c.is_ascii_hexdigit()))
}

fn exists(root: &Path, test: &str) -> bool {
    let (path, name) = test.split_once("::").unwrap_or((test, ""));
    let Ok(source) = std::fs::read_to_string(root.join(path)) else { return false };
    name.is_empty() || source.contains(&format!("fn {name}("))
}

#[test]
fn each_row_names_a_test_that_exists_and_says_when_it_was_seen_red() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let spec = std::fs::read_to_string(root.join("protocol/SPEC.md")).unwrap();
    let rows = rows(&spec);
    assert!(rows.len() > 100, "the table was not found: {rows:?}");
    let gone: Vec<_> = rows.iter().filter(|(test, _)| !exists(&root, test)).collect();
    assert!(gone.is_empty(), "SPEC.md names tests that do not exist: {gone:#?}");
    let unmarked: Vec<_> = rows.iter().filter(|(_, seen)| !says_when(seen)).collect();
    assert!(unmarked.is_empty(), "SPEC.md does not say when these were seen red: {unmarked:#?}");
}
