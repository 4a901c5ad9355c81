//! The table of promises in SPEC.md names tests: they exist. It does not say that they are red without what
//! the table names; that was seen by hand.

use std::path::Path;

/// The heading of the table in SPEC.md.
const HEADING: &str = "Promises and what turns them red";

/// The `path::name`, or the path of a script, in each row's second column.
fn tests_named(spec: &str) -> Vec<&str> {
    let is_heading = |line: &&str| line.starts_with("## ") && line.ends_with(HEADING);
    let section = spec.lines().skip_while(|line| !is_heading(line)).skip(1);
    section
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|row| row.strip_prefix("| ")?.split(" | ").nth(1)?.strip_prefix('`')?.strip_suffix('`'))
        .collect()
}

fn exists(root: &Path, test: &str) -> bool {
    let (path, name) = test.split_once("::").unwrap_or((test, ""));
    let Ok(source) = std::fs::read_to_string(root.join(path)) else { return false };
    name.is_empty() || source.contains(&format!("fn {name}("))
}

#[test]
fn every_test_that_the_table_of_promises_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let spec = std::fs::read_to_string(root.join("protocol/SPEC.md")).unwrap();
    let named = tests_named(&spec);
    assert!(named.len() > 50, "the table was not found: {named:?}");
    let gone: Vec<_> = named.into_iter().filter(|test| !exists(&root, test)).collect();
    assert!(gone.is_empty(), "SPEC.md names tests that do not exist: {gone:#?}");
}
