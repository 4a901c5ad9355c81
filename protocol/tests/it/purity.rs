//! The directions of architecture: which crate may depend on which, checked over `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Package name → names of the packages it may not depend on, however indirectly (dev-dependencies
/// apart).
const FORBIDDEN: [(&str, &[&str]); 4] = [
    (
        "murmesh-protocol",
        &[
            "murmesh-node",
            "murmesh-cli",
            "murmesh-simulations",
            "murmesh-crash-vfs",
            "tokio",
            "libp2p",
            "rusqlite",
            "clap",
            "mio",
            "socket2",
        ],
    ),
    (
        "murmesh-cli",
        &["murmesh-node", "murmesh-simulations", "murmesh-crash-vfs", "libp2p", "rusqlite", "tokio"],
    ),
    // Its tests may: `unsafe` stays out of what ships.
    ("murmesh-node", &["murmesh-cli", "murmesh-simulations", "murmesh-crash-vfs"]),
    ("murmesh-simulations", &["murmesh-node", "libp2p"]),
];

/// Package name → package names that its normal dependencies resolve to, transitively.
fn reachable(metadata: &Value, root: &str) -> BTreeSet<String> {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let normal = |dep: &Value| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
    let edges: BTreeMap<&str, Vec<&str>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let deps = node["deps"].as_array().unwrap().iter().filter(|dep| normal(dep));
            (node["id"].as_str().unwrap(), deps.map(|dep| dep["pkg"].as_str().unwrap()).collect())
        })
        .collect();
    let start = names.iter().find(|(_, name)| **name == root).map(|(id, _)| *id).unwrap();
    let (mut seen, mut todo) = (BTreeSet::from([start]), vec![start]);
    while let Some(id) = todo.pop() {
        todo.extend(edges[id].iter().filter(|dep| seen.insert(**dep)).copied().collect::<Vec<_>>());
    }
    seen.remove(start);
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

#[test]
fn crates_depend_only_in_the_allowed_directions() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (package, forbidden) in FORBIDDEN {
        let found = reachable(&metadata, package);
        let wrong: Vec<_> = forbidden.iter().filter(|name| found.contains(**name)).collect();
        assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
    }
    assert!(reachable(&metadata, "murmesh-cli").contains("murmesh-protocol"), "the check sees dependencies");
}
