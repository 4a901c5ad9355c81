//! Configuration: defaults by profile, `config.toml`, the environment, flags; the later wins.
//!
//! A node runs without a file. An unknown key is an error that names its line and the nearest known
//! key: a misspelt limit that is silently ignored is worse than none.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use libp2p::Multiaddr;
use murmesh_protocol::control::{AcceptRequests, ControlError, ErrorName};
use serde::Deserialize;

use crate::swarm::translate::{self, Scope};

mod file;
mod shown;

pub use self::shown::{Setting, Shown, Source};

/// The file in the data directory.
pub const CONFIG_FILE: &str = "config.toml";

/// What a node is for: sets the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A computer that is on most of the day.
    #[default]
    Home,
    /// A computer that is always on and reachable.
    Server,
    /// A computer on a battery.
    Phone,
}

/// `node.role`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleChoice {
    /// By reachability and time.
    #[default]
    Auto,
    /// Full at once.
    Full,
    /// Never full.
    Light,
}

/// What flags and the environment may say; it wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--profile`.
    pub profile: Option<Profile>,
    /// `--listen`, in order; empty = as configured, or else as remembered.
    pub listen: Vec<Multiaddr>,
    /// `--listen` of the last start that had one: a node on loopback must not become public because
    /// somebody else's start left the flag out. Filled by [`Config::load`].
    pub remembered: Vec<Multiaddr>,
    /// `--peer`.
    pub peers: Vec<Multiaddr>,
}

/// All settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// See [`Profile`].
    pub profile: Profile,
    /// Where to listen; port 0 is chosen once and kept.
    pub listen: Vec<Multiaddr>,
    /// `listen` came by flag: kept for the starts without one, before this one answers.
    pub listen_is_new: bool,
    /// Addresses to dial at start.
    pub peers: Vec<Multiaddr>,
    /// Connections wanted at most.
    pub peers_max: usize,
    /// The role asked for.
    pub role: RoleChoice,
    /// Look for peers in the local network.
    pub mdns: bool,
    /// Most bytes kept for others.
    pub held_bytes_max: u64,
    /// Life of a message whose sender does not say; else the core's default.
    pub mail_expire_ms: Option<u64>,
    /// Who may become a contact without having been added.
    pub accept_requests: AcceptRequests,
    /// What is logged, in the words of `RUST_LOG`.
    pub log_level: String,
    /// Log lines are JSON.
    pub log_json: bool,
}

impl Config {
    /// The defaults of a profile.
    #[must_use]
    pub fn of(profile: Profile, data_dir: &Path) -> Config {
        let (peers_max, held_bytes_max) = match profile {
            Profile::Home => (50, 512 << 20),
            Profile::Server => (400, 10 << 30),
            Profile::Phone => (12, 0),
        };
        let listen = ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"];
        Config {
            data_dir: data_dir.to_owned(),
            profile,
            listen_is_new: false,
            listen: listen.iter().filter_map(|address| address.parse().ok()).collect(),
            peers: Vec::new(),
            peers_max,
            role: RoleChoice::Auto,
            mdns: true,
            held_bytes_max,
            mail_expire_ms: None,
            accept_requests: AcceptRequests::default(),
            log_level: "info".to_owned(),
            log_json: false,
        }
    }

    /// The settings of a data directory: `file`, or else its own if there is one.
    ///
    /// # Errors
    /// `bad-config`, with the place.
    pub fn load(data_dir: &Path, file: Option<&Path>, flags: Overrides) -> Result<Config, ControlError> {
        let (path, text) = read(data_dir, file)?;
        let flags = Overrides { remembered: remembered(data_dir), ..flags };
        let text = text.unwrap_or_default();
        Config::merge(data_dir, &path.display().to_string(), &text, &environment(), flags)
    }

    fn merge(
        data_dir: &Path,
        name: &str,
        text: &str,
        environment: &[(String, String)],
        flags: Overrides,
    ) -> Result<Config, ControlError> {
        let file = file::parse(name, text, environment)?;
        let profile = flags.profile.or(file.profile).unwrap_or_default();
        let mut config = Config::of(profile, data_dir);
        if !flags.remembered.is_empty() {
            config.listen = flags.remembered;
        }
        file.apply(&mut config).map_err(|error| file::placed(name, text, environment, error))?;
        if !flags.listen.is_empty() {
            config.listen = flags.listen;
            config.listen_is_new = true;
        }
        config.peers.extend(flags.peers);
        Ok(config)
    }

    /// Every address is of this machine only: mDNS is off and the node counts as reachable.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        !self.listen.is_empty() && self.listen.iter().all(|a| translate::scope(a) == Some(Scope::Loopback))
    }
}

/// The file that is read and its text, if it is there; one that was asked for must be.
fn read(data_dir: &Path, file: Option<&Path>) -> Result<(PathBuf, Option<String>), ControlError> {
    let path = file.map_or_else(|| data_dir.join(CONFIG_FILE), Path::to_owned);
    match read_bounded(&path) {
        Ok(text) => Ok((path, Some(text))),
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok((path, None)),
        Err(error) => Err(bad(format!("{}: {error}", path.display()))),
    }
}

fn environment() -> Vec<(String, String)> {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// A longer file is no configuration: what toml makes of it is many times as large.
const BYTES_MAX: u64 = 64 * 1024;

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= BYTES_MAX) {
        Ok(text)
    } else {
        Err(std::io::Error::other(format!("a configuration has at most {BYTES_MAX} bytes")))
    }
}

const LISTEN_FILE: &str = "listen.json";

/// Keeps the `--listen` of a start that went well for the starts without one.
///
/// # Errors
/// When the disk fails.
pub(crate) fn remember_listen(data_dir: &Path, listen: &[Multiaddr]) -> std::io::Result<()> {
    let texts: Vec<String> = listen.iter().map(ToString::to_string).collect();
    crate::files::replace(&data_dir.join(LISTEN_FILE), &serde_json::to_vec(&texts)?)
}

fn remembered(data_dir: &Path) -> Vec<Multiaddr> {
    let read = std::fs::read(data_dir.join(LISTEN_FILE)).ok();
    let texts: Option<Vec<String>> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    texts.unwrap_or_default().iter().filter_map(|text| text.parse().ok()).collect()
}

/// Reads a file and an environment, for the list of decoders.
#[cfg(test)]
pub(crate) fn reads(text: &str, environment: &[(String, String)]) -> bool {
    Config::merge(Path::new("d"), "config.toml", text, environment, Overrides::default()).is_ok()
}

/// A `bad-config` error.
pub(crate) fn bad(detail: impl Into<String>) -> ControlError {
    ControlError::with(ErrorName::BadConfig, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(text: &str, environment: &[(&str, &str)], flags: Overrides) -> Result<Config, String> {
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::merge(Path::new("d"), "config.toml", text, &environment, flags)
            .map_err(|error| error.detail.unwrap())
    }

    #[test]
    fn nothing_is_needed_and_the_later_wins() {
        assert_eq!(merge("", &[], Overrides::default()).unwrap(), Config::of(Profile::Home, Path::new("d")));
        let text = "profile = \"server\"\n[node]\npeers_max = 7\n[custody]\nheld_bytes_max = \"1GB\"\n";
        let config = merge(text, &[], Overrides::default()).unwrap();
        assert_eq!((config.profile, config.peers_max, config.held_bytes_max), (Profile::Server, 7, 1 << 30));
        let config = merge(text, &[("MURMESH_NODE__PEERS_MAX", "9")], Overrides::default()).unwrap();
        assert_eq!(config.peers_max, 9);
        let flags = Overrides { profile: Some(Profile::Phone), ..Overrides::default() };
        let config = merge("profile = \"server\"", &[("MURMESH_PROFILE", "home")], flags).unwrap();
        assert_eq!((config.profile, config.held_bytes_max), (Profile::Phone, 0));
    }

    #[test]
    fn a_misspelt_key_is_told_with_its_line_and_the_nearest() {
        let error = merge("[node]\npeer_max = 7\n", &[], Overrides::default()).unwrap_err();
        assert!(error.contains("line 2") && error.contains("peers_max"), "{error}");
        let error = merge("[custdy]\n", &[], Overrides::default()).unwrap_err();
        assert!(error.contains("line 1") && error.contains("custody"), "{error}");
        let error = merge("", &[("MURMESH_NODE__MNDS", "true")], Overrides::default()).unwrap_err();
        assert!(error.contains("MURMESH_NODE__MNDS") && error.contains("mdns"), "{error}");
        let error = merge("[node]\npeers_max = \"many\"\n", &[], Overrides::default()).unwrap_err();
        assert!(error.contains("line 2"), "{error}");
        assert!(merge("[node\n", &[], Overrides::default()).unwrap_err().contains("line 1"));
    }

    #[test]
    fn every_key_of_the_design_is_known_and_what_cannot_be_done_yet_says_so() {
        let told = |text: &str| merge(text, &[], Overrides::default()).unwrap_err();
        assert_eq!(
            told("[node]\nmdns = true\n\n[limits]\n  up = \"1MB/s\"\n"),
            "config.toml: line 5, column 3: not supported yet by this version: limits.up"
        );
        for (section, line) in [
            ("mail", "receipts = false"),
            ("mail", "read_receipts = true"),
            ("limits", "down = \"4MB/s\""),
            ("limits", "month = \"20GB\""),
            ("privacy", "hide_address = true"),
            ("log", "redact = false"),
        ] {
            let key = format!("{section}.{}", line.split(' ').next().unwrap());
            let wanted = format!("line 2, column 1: not supported yet by this version: {key}");
            assert!(told(&format!("[{section}]\n{line}\n")).contains(&wanted), "{key}");
            let wanted = format!("line 1, column 1: not supported yet by this version: {key}");
            assert!(told(&format!("{section}.{line}\n")).contains(&wanted), "{key}");
        }
        // What is so anyway may be said.
        let text =
            "[mail]\nreceipts = true\nread_receipts = false\n[privacy]\naccept_requests = \"with-invite\"
            hide_address = false\n[log]\nredact = true\n";
        assert_eq!(
            merge(text, &[], Overrides::default()).unwrap(),
            merge("", &[], Overrides::default()).unwrap()
        );
        let error = merge("", &[("MURMESH_LIMITS__UP", "1MB/s")], Overrides::default()).unwrap_err();
        assert_eq!(error, "MURMESH_LIMITS__UP: not supported yet by this version: limits.up");
        assert!(merge("", &[("MURMESH_LOG__REDACT", "true")], Overrides::default()).is_ok());
    }

    #[test]
    fn who_may_ask_is_configured_and_an_invite_is_needed_otherwise() {
        let who = |text: &str| {
            let text = format!("[privacy]\naccept_requests = \"{text}\"\n");
            merge(&text, &[], Overrides::default()).map(|config| config.accept_requests)
        };
        assert_eq!(who("anyone"), Ok(AcceptRequests::Anyone));
        assert_eq!(who("with-invite"), Ok(AcceptRequests::WithInvite));
        assert_eq!(who("nobody"), Ok(AcceptRequests::Nobody));
        assert!(who("everybody").unwrap_err().contains("line 2"));
        let unset = merge("", &[], Overrides::default()).unwrap();
        assert_eq!(unset.accept_requests, AcceptRequests::WithInvite);
        let environment = [("MURMESH_PRIVACY__ACCEPT_REQUESTS", "anyone")];
        let config = merge("", &environment, Overrides::default()).unwrap();
        assert_eq!(config.accept_requests, AcceptRequests::Anyone);
    }

    #[test]
    fn mail_expires_as_configured_within_what_the_network_keeps() {
        let expire = |text: &str| {
            merge(&format!("[mail]\nexpire = \"{text}\"\n"), &[], Overrides::default())
                .map(|config| config.mail_expire_ms.unwrap())
        };
        assert_eq!(expire("14d"), Ok(14 * 24 * 3_600_000));
        assert_eq!(
            [expire("90s"), expire("30m"), expire("12h")],
            [Ok(90_000), Ok(1_800_000), Ok(43_200_000)]
        );
        for wrong in ["59s", "31d", "14", "d", "", "1w", "-1d", "99999999999999999999d"] {
            assert!(expire(wrong).unwrap_err().contains("mail.expire"), "{wrong}");
        }
        let config = merge("", &[("MURMESH_MAIL__EXPIRE", "1d")], Overrides::default()).unwrap();
        assert_eq!(config.mail_expire_ms, Some(24 * 3_600_000));
    }

    #[test]
    fn a_key_is_found_in_its_own_section_and_one_of_another_is_named() {
        let error = merge("[node]\nlisten = []\n[custody]\nlisten = []\n", &[], Overrides::default());
        let error = error.unwrap_err();
        assert!(error.contains("line 4, column 1") && error.contains("node.listen"), "{error}");
        let error = merge("[log]\nprofile = \"home\"\n", &[], Overrides::default()).unwrap_err();
        assert!(error.contains("line 2") && error.ends_with("the nearest is profile"), "{error}");
        let error = merge("log = { levl = \"info\" }\n", &[], Overrides::default()).unwrap_err();
        assert!(error.contains("line 1, column 1") && error.ends_with("the nearest is level"), "{error}");
    }

    #[test]
    fn the_last_listen_flag_is_remembered_and_gives_way_to_file_and_flag() {
        let directory = tempfile::tempdir().unwrap();
        let address = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}").parse::<Multiaddr>().unwrap();
        let load = |flags| Config::load(directory.path(), None, flags).unwrap().listen;
        let public = load(Overrides::default());
        remember_listen(directory.path(), &[address(1)]).unwrap();
        assert_eq!(load(Overrides::default()), [address(1)]);
        assert_ne!(public, [address(1)]);
        assert_eq!(load(Overrides { listen: vec![address(2)], ..Overrides::default() }), [address(2)]);
        let file = "[node]\nlisten = [\"/ip4/127.0.0.1/tcp/3\"]\n";
        std::fs::write(directory.path().join(CONFIG_FILE), file).unwrap();
        assert_eq!(load(Overrides::default()), [address(3)]);
    }

    #[test]
    fn a_file_below_at_and_above_its_length() {
        let directory = tempfile::tempdir().unwrap();
        let most = usize::try_from(BYTES_MAX).unwrap();
        for (len, taken) in [(most - 1, true), (most, true), (most + 1, false)] {
            std::fs::write(directory.path().join(CONFIG_FILE), "#".repeat(len)).unwrap();
            let loaded = Config::load(directory.path(), None, Overrides::default());
            assert_eq!(loaded.is_ok(), taken);
        }
    }

    #[test]
    fn loopback_only_is_what_listens_on_loopback_only() {
        let listen = |addresses: &[&str]| Config {
            listen: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ..Config::of(Profile::Home, Path::new("d"))
        };
        assert!(listen(&["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"]).is_loopback_only());
        assert!(!listen(&["/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/tcp/0"]).is_loopback_only());
        assert!(!Config::of(Profile::Home, Path::new("d")).is_loopback_only());
    }
}
