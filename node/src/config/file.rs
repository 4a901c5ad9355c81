//! `config.toml` and its image in the environment: `MURMESH_SECTION__KEY`.

use libp2p::Multiaddr;
use murmesh_protocol::control::ControlError;
use serde::Deserialize;

use super::{Config, Profile, RoleChoice, bad};

/// Keys by section; a key of the top level has the section "".
const KEYS: &[(&str, &[&str])] = &[
    ("", &["profile"]),
    ("node", &["listen", "peers", "peers_max", "role", "mdns"]),
    ("custody", &["held_bytes_max"]),
    ("log", &["level", "format"]),
];
/// Prefix of the environment's image of a key.
const PREFIX: &str = "MURMESH_";
/// Variables with that prefix that are no keys.
const OTHER_VARIABLES: [&str; 3] = ["MURMESH_DATA_DIR", "MURMESH_PASSPHRASE_FILE", "MURMESH_CONFIG"];

/// What is set.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct File {
    pub(super) profile: Option<Profile>,
    node: Node,
    custody: Custody,
    log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    listen: Option<Vec<String>>,
    peers: Option<Vec<String>>,
    peers_max: Option<usize>,
    role: Option<RoleChoice>,
    mdns: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Custody {
    held_bytes_max: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Log {
    level: Option<String>,
    format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogFormat {
    Text,
    Json,
}

impl File {
    pub(super) fn apply(self, config: &mut Config) -> Result<(), ControlError> {
        if let Some(listen) = self.node.listen {
            config.listen = addresses("node.listen", &listen)?;
        }
        if let Some(peers) = self.node.peers {
            config.peers = addresses("node.peers", &peers)?;
        }
        if let Some(held) = self.custody.held_bytes_max {
            config.held_bytes_max = bytes(&held)
                .ok_or_else(|| bad(format!("custody.held_bytes_max: {held} is not a size like 512MB")))?;
        }
        config.peers_max = self.node.peers_max.unwrap_or(config.peers_max);
        config.role = self.node.role.unwrap_or(config.role);
        config.mdns = self.node.mdns.unwrap_or(config.mdns);
        config.log_json = self.log.format.map_or(config.log_json, |format| format == LogFormat::Json);
        if let Some(level) = self.log.level {
            config.log_level = level;
        }
        Ok(())
    }
}

fn addresses(key: &str, texts: &[String]) -> Result<Vec<Multiaddr>, ControlError> {
    texts.iter().map(|text| text.parse().map_err(|error| bad(format!("{key}: {text}: {error}")))).collect()
}

/// A number of bytes: `512MB`, `10GB`, `0`. Binary multiples, as disks are counted by users here.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KB" => 10,
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Reads the file's text and lays the environment over it.
pub(super) fn parse(name: &str, text: &str, environment: &[(String, String)]) -> Result<File, ControlError> {
    let mut table: toml::Table = toml::from_str(text).map_err(|error| at(name, text, &error))?;
    check_keys(name, text, &table)?;
    // With the file's own places, before the environment changes what is where.
    toml::from_str::<File>(text).map_err(|error| at(name, text, &error))?;
    for (variable, value) in environment {
        let Some(key) = variable.strip_prefix(PREFIX) else { continue };
        if OTHER_VARIABLES.contains(&variable.as_str()) {
            continue;
        }
        let key = key.to_ascii_lowercase();
        let (section, key) = key.split_once("__").unwrap_or(("", &key));
        if let Some(nearest) = unknown(section, key) {
            // Without a section it may be anybody's.
            if section.is_empty() {
                continue;
            }
            return Err(bad(format!("{variable}: no such key; the nearest is {nearest}")));
        }
        set(&mut table, section, key, value);
    }
    table.try_into().map_err(|error: toml::de::Error| bad(format!("environment: {}", error.message())))
}

fn set(table: &mut toml::Table, section: &str, key: &str, text: &str) {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let value = parsed
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()));
    if section.is_empty() {
        table.insert(key.to_owned(), value);
        return;
    }
    let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
    if let Some(section) = section.as_table_mut() {
        section.insert(key.to_owned(), value);
    }
}

fn check_keys(name: &str, text: &str, table: &toml::Table) -> Result<(), ControlError> {
    let refuse = |key: &str, nearest: &str| {
        let (line, column) = place(text, find_key(text, key));
        let detail =
            format!("{name}: line {line}, column {column}: no such key {key}; the nearest is {nearest}");
        Err(bad(detail))
    };
    for (key, value) in table {
        if let Some(section) = value.as_table() {
            if !KEYS.iter().any(|(known, _)| known == key) {
                return refuse(key, nearest(key, KEYS.iter().map(|(known, _)| *known)));
            }
            for inner in section.keys() {
                if let Some(nearest) = unknown(key, inner) {
                    return refuse(inner, nearest);
                }
            }
        } else if let Some(nearest) = unknown("", key) {
            return refuse(key, nearest);
        }
    }
    Ok(())
}

/// The nearest known key, if this one is none.
fn unknown(section: &str, key: &str) -> Option<&'static str> {
    match KEYS.iter().find(|(known, _)| *known == section) {
        Some((_, keys)) if keys.contains(&key) => None,
        Some((_, keys)) => Some(nearest(key, keys.iter().copied())),
        None => Some(nearest(section, KEYS.iter().map(|(known, _)| *known))),
    }
}

fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known.filter(|known| !known.is_empty()).min_by_key(|known| distance(key, known)).unwrap_or("profile")
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let beside = next.last().copied().unwrap_or(usize::MAX);
            let change = row.get(j).copied().unwrap_or(usize::MAX).saturating_add(usize::from(from != *to));
            next.push(change.min(above.saturating_add(1)).min(beside.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// Where a key is written: as a whole word, first on its line or in a section's brackets.
fn find_key(text: &str, key: &str) -> usize {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = line.trim_start_matches([' ', '\t', '[']);
        if start.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '\t', '=', ']', '.'])) {
            return offset + line.len() - start.len();
        }
        offset += line.len();
    }
    0
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn at(name: &str, text: &str, error: &toml::de::Error) -> ControlError {
    let (line, column) = place(text, error.span().map_or(0, |span| span.start));
    bad(format!("{name}: line {line}, column {column}: {}", error.message()))
}
