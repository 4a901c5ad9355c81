//! `config.toml` and its image in the environment: `MURMESH_SECTION__KEY`.
//!
//! Keys that are designed and not built yet are known: the value that says what this version does
//! anyway is taken, any other is refused as not supported yet. A limit that is accepted and does nothing
//! would be worse than none.

use libp2p::Multiaddr;
use murmesh_protocol::control::{AcceptRequests, ControlError, FilePlace};
use murmesh_protocol::limits::LIFE_MS_MAX;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use serde::Deserialize;

use super::{Config, Profile, RoleChoice, bad};

/// Keys by section; a key of the top level has the section "".
const KEYS: &[(&str, &[&str])] = &[
    ("", &["profile"]),
    ("node", &["listen", "peers", "peers_max", "role", "mdns"]),
    ("custody", &["held_bytes_max"]),
    ("mail", &["expire", "receipts", "read_receipts"]),
    ("limits", &["up", "down", "month"]),
    ("privacy", &["accept_requests", "hide_address"]),
    ("log", &["level", "format", "redact"]),
];
/// Keys that are designed and not built, with the value that says what is so anyway, if there is one.
const LATER: &[(&str, &str, Option<Fixed>)] = &[
    // Without them no message would ever count as delivered.
    ("mail", "receipts", Some(Fixed(true))),
    ("mail", "read_receipts", Some(Fixed(false))),
    ("limits", "up", None),
    ("limits", "down", None),
    ("limits", "month", None),
    // Names nothing but relays, of which there are none.
    ("privacy", "hide_address", Some(Fixed(false))),
    // Above debug no line names contacts, addresses or texts.
    ("log", "redact", Some(Fixed(true))),
];
/// Prefix of the environment's image of a key.
const PREFIX: &str = "MURMESH_";
/// Variables with that prefix that are no keys.
const OTHER_VARIABLES: [&str; 3] = ["MURMESH_DATA_DIR", "MURMESH_PASSPHRASE_FILE", "MURMESH_CONFIG"];

/// A value that changes nothing.
#[derive(Clone, Copy)]
struct Fixed(bool);

/// What is set.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct File {
    pub(super) profile: Option<Profile>,
    node: Node,
    custody: Custody,
    mail: Mail,
    privacy: Privacy,
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
struct Mail {
    expire: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Privacy {
    accept_requests: Option<AcceptRequests>,
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
        if let Some(expire) = self.mail.expire {
            let life = duration_ms(&expire).filter(|ms| (MINUTE_MS..=LIFE_MS_MAX).contains(ms));
            let no = || bad(format!("mail.expire: {expire} is not a time like 14d, from 1m to 30d"));
            config.mail_expire_ms = Some(life.ok_or_else(no)?);
        }
        config.accept_requests = self.privacy.accept_requests.unwrap_or(config.accept_requests);
        config.peers_max = self.node.peers_max.unwrap_or(config.peers_max);
        if config.peers_max == 0 {
            return Err(bad("node.peers_max: must be at least 1"));
        }
        config.role = self.node.role.unwrap_or(config.role);
        config.mdns = self.node.mdns.unwrap_or(config.mdns);
        config.log_json = self.log.format.map_or(config.log_json, |format| format == LogFormat::Json);
        if let Some(level) = self.log.level {
            config.log_level = level;
        }
        Ok(())
    }
}

/// Says where a value stands that [`File::apply`] refused; its words begin with the key.
pub(super) fn placed(
    name: &str,
    text: &str,
    environment: &[(String, String)],
    error: ControlError,
) -> ControlError {
    let detail = error.detail.unwrap_or_default();
    let Some((section, key)) = detail.split(':').next().and_then(|key| key.split_once('.')) else {
        return bad(detail);
    };
    let variable = variable(section, key);
    if environment.iter().any(|(name, _)| *name == variable) {
        return bad(format!("{variable}: {detail}"));
    }
    bad_at(name, text, find_key(text, section, key), &detail)
}

/// The environment's image of a key.
pub(super) fn variable(section: &str, key: &str) -> String {
    let joined = if section.is_empty() { key.to_owned() } else { format!("{section}__{key}") };
    format!("{PREFIX}{}", joined.to_ascii_uppercase())
}

/// Whether the text of a file sets a key.
pub(super) fn sets(text: &str, section: &str, key: &str) -> bool {
    let Ok(table) = toml::from_str::<toml::Table>(text) else { return false };
    let section =
        if section.is_empty() { Some(&table) } else { table.get(section).and_then(|s| s.as_table()) };
    section.is_some_and(|section| section.contains_key(key))
}

fn addresses(key: &str, texts: &[String]) -> Result<Vec<Multiaddr>, ControlError> {
    texts.iter().map(|text| text.parse().map_err(|error| bad(format!("{key}: {text}: {error}")))).collect()
}

/// A number of bytes as [`bytes`] reads it back.
pub(super) fn bytes_text(bytes: u64) -> String {
    let units = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
    let whole = |(shift, _): &&(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.iter().find(whole) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

/// A time as [`duration_ms`] reads it back; it is made of whole seconds.
pub(super) fn duration_text(ms: u64) -> String {
    let units = [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m")];
    let (unit, name) =
        units.into_iter().find(|(unit, _)| ms.is_multiple_of(*unit)).unwrap_or((SECOND_MS, "s"));
    format!("{}{name}", ms / unit)
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

/// A time: `14d`, `12h`, `30m`, `90s`.
fn duration_ms(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => SECOND_MS,
        "m" => MINUTE_MS,
        "h" => HOUR_MS,
        "d" => DAY_MS,
        _ => return None,
    };
    number.trim().parse::<u64>().ok()?.checked_mul(unit)
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
        if let Some(key) = not_yet(&table, section, key) {
            return Err(bad(format!("{variable}: {}", later(&key))));
        }
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
    let refuse =
        |section: &str, key: &str, why: String| Err(bad_at(name, text, find_key(text, section, key), &why));
    for (key, value) in table {
        if let Some(section) = value.as_table() {
            if !KEYS.iter().any(|(known, _)| known == key) {
                let nearest = nearest(key, KEYS.iter().map(|(known, _)| *known));
                return refuse(key, "", format!("no such key {key}; the nearest is {nearest}"));
            }
            for inner in section.keys() {
                if let Some(nearest) = unknown(key, inner) {
                    return refuse(key, inner, format!("no such key {inner}; the nearest is {nearest}"));
                }
                if let Some(full) = not_yet(table, key, inner) {
                    return refuse(key, inner, later(&full));
                }
            }
        } else if let Some(nearest) = unknown("", key) {
            return refuse("", key, format!("no such key {key}; the nearest is {nearest}"));
        }
    }
    Ok(())
}

fn later(key: &str) -> String {
    format!("not supported yet by this version: {key}")
}

/// The full name of a key that is set to what this version cannot do.
fn not_yet(table: &toml::Table, section: &str, key: &str) -> Option<String> {
    let (.., fixed) = LATER.iter().find(|(known, inner, _)| (*known, *inner) == (section, key))?;
    let value = table.get(section)?.as_table()?.get(key)?;
    let same = match fixed {
        Some(Fixed(flag)) => value.as_bool() == Some(*flag),
        None => false,
    };
    (!same).then(|| format!("{section}.{key}"))
}

/// The nearest known key, if this one is none: the same key of another section, or a similar one.
fn unknown(section: &str, key: &str) -> Option<String> {
    match KEYS.iter().find(|(known, _)| *known == section) {
        Some((_, keys)) if keys.contains(&key) => None,
        Some((_, keys)) => {
            let elsewhere = KEYS.iter().find(|(_, keys)| keys.contains(&key));
            Some(match elsewhere {
                Some(("", key)) => (*key).first().map_or_else(String::new, |key| (*key).to_owned()),
                Some((other, _)) => format!("{other}.{key}"),
                None => nearest(key, keys.iter().copied()).to_owned(),
            })
        }
        None => Some(nearest(section, KEYS.iter().map(|(known, _)| *known)).to_owned()),
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

/// Where a key is written: as a whole word, in its section or with it in front; an empty one is the
/// section itself. Where it cannot be found (quotes, inline tables), its section is the place.
fn find_key(text: &str, section: &str, key: &str) -> usize {
    let is_word = |text: &str, word: &str| {
        text.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '\t', '=', ']', '.']))
    };
    let (dotted, mut current, mut offset, mut of_section) = (format!("{section}.{key}"), "", 0, None);
    for line in text.split_inclusive('\n') {
        let start = line.trim_start_matches([' ', '\t', '[']);
        let at = offset + line.len() - start.len();
        if line.trim_start().starts_with('[') {
            current = start.split(']').next().unwrap_or_default().trim();
        } else if !key.is_empty()
            && ((current == section && is_word(start, key))
                || (current.is_empty() && is_word(start, &dotted)))
        {
            return at;
        }
        if of_section.is_none() && !section.is_empty() && is_word(start, section) {
            of_section = Some(at);
        }
        offset += line.len();
    }
    of_section.unwrap_or(0)
}

/// What is wrong at an offset of the file's text: in words, and in fields.
fn bad_at(name: &str, text: &str, offset: usize, why: &str) -> ControlError {
    let (line, column) = place(text, offset);
    let error = bad(format!("{name}: line {line}, column {column}: {why}"));
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let place = FilePlace { file: name.to_owned(), line: number(line), column: number(column) };
    ControlError { place: Some(place), ..error }
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn at(name: &str, text: &str, error: &toml::de::Error) -> ControlError {
    bad_at(name, text, error.span().map_or(0, |span| span.start), error.message())
}
