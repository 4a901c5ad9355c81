//! The configuration as people are shown it: every setting, its value, and where the value comes from.
//!
//! It is what a start with the same flags and environment would use. What a running node was started
//! with is not asked here.

use std::path::Path;

use murmesh_protocol::control::ControlError;
use murmesh_protocol::limits::LIFE_MS;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Config, Overrides, Profile, RoleChoice, environment, file, read, remembered};

/// Where a value comes from; the later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The same for every node.
    Default,
    /// A default of the profile.
    Profile,
    /// `config.toml`.
    File,
    /// `MURMESH_SECTION__KEY`.
    Environment,
    /// A flag of this start, or `--listen` of an earlier one, which is remembered.
    Flag,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// `section.key`, or `key` at the top.
    pub key: String,
    /// Its value, which TOML writes as JSON does.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

/// All settings and the file they may come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The file that is read.
    pub file: String,
    /// It is there.
    pub exists: bool,
    /// All settings, those of a section together.
    pub settings: Vec<Setting>,
}

impl Shown {
    /// What [`Config::load`] makes of the same arguments.
    ///
    /// # Errors
    /// `bad-config`, with the place.
    pub fn load(data_dir: &Path, file: Option<&Path>, flags: Overrides) -> Result<Shown, ControlError> {
        let (path, text) = read(data_dir, file)?;
        let flags = Overrides { remembered: remembered(data_dir), ..flags };
        let settings =
            settings(data_dir, &path.display().to_string(), text.as_deref(), &environment(), flags)?;
        Ok(Shown { file: path.display().to_string(), exists: text.is_some(), settings })
    }
}

fn settings(
    data_dir: &Path,
    name: &str,
    text: Option<&str>,
    environment: &[(String, String)],
    flags: Overrides,
) -> Result<Vec<Setting>, ControlError> {
    let text = text.unwrap_or_default();
    let config = Config::merge(data_dir, name, text, environment, flags.clone())?;
    let source = |section: &str, key: &str| {
        let variable = file::variable(section, key);
        let remembered = (section, key) == ("node", "listen") && !flags.remembered.is_empty();
        if by_flag(&flags, section, key) {
            Source::Flag
        } else if environment.iter().any(|(name, _)| *name == variable) {
            Source::Environment
        } else if file::sets(text, section, key) {
            Source::File
        } else if remembered {
            Source::Flag
        } else if [("node", "peers_max"), ("custody", "held_bytes_max")].contains(&(section, key)) {
            Source::Profile
        } else {
            Source::Default
        }
    };
    let setting = |(section, key, value): (&str, &str, Value)| Setting {
        key: if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") },
        value,
        source: source(section, key),
    };
    Ok(values(&config).into_iter().map(setting).collect())
}

fn by_flag(flags: &Overrides, section: &str, key: &str) -> bool {
    match (section, key) {
        ("", "profile") => flags.profile.is_some(),
        ("node", "listen") => !flags.listen.is_empty(),
        ("node", "peers") => !flags.peers.is_empty(),
        _ => false,
    }
}

/// Every key that can be set to more than one value, in the order of the file.
fn values(config: &Config) -> Vec<(&'static str, &'static str, Value)> {
    let texts = |list: &[libp2p::Multiaddr]| json!(list.iter().map(ToString::to_string).collect::<Vec<_>>());
    let profile = match config.profile {
        Profile::Home => "home",
        Profile::Server => "server",
        Profile::Phone => "phone",
    };
    let role = match config.role {
        RoleChoice::Auto => "auto",
        RoleChoice::Full => "full",
        RoleChoice::Light => "light",
    };
    vec![
        ("", "profile", json!(profile)),
        ("node", "listen", texts(&config.listen)),
        ("node", "peers", texts(&config.peers)),
        ("node", "peers_max", json!(config.peers_max)),
        ("node", "role", json!(role)),
        ("node", "mdns", json!(config.mdns)),
        ("custody", "held_bytes_max", json!(file::bytes_text(config.held_bytes_max))),
        ("mail", "expire", json!(file::duration_text(config.mail_expire_ms.unwrap_or(LIFE_MS)))),
        ("privacy", "accept_requests", json!(config.accept_requests)),
        ("log", "level", json!(config.log_level)),
        ("log", "format", json!(if config.log_json { "json" } else { "text" })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, environment: &[(&str, &str)], flags: Overrides) -> Vec<Setting> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        settings(Path::new("d"), "config.toml", Some(text), &environment, flags).unwrap()
    }

    fn source(settings: &[Setting], key: &str) -> (Value, Source) {
        let setting = settings.iter().find(|setting| setting.key == key).unwrap();
        (setting.value.clone(), setting.source)
    }

    #[test]
    fn every_value_says_where_it_comes_from() {
        let text = "profile = \"server\"\nlog.level = \"warn\"\n[node]\npeers_max = 7\nmdns = true\n";
        let address: libp2p::Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let flags = Overrides { listen: vec![address.clone()], ..Overrides::default() };
        let all = shown(text, &[("MURMESH_NODE__PEERS_MAX", "9"), ("MURMESH_MAIL__EXPIRE", "90s")], flags);
        assert_eq!(source(&all, "profile"), (json!("server"), Source::File));
        assert_eq!(source(&all, "log.level"), (json!("warn"), Source::File));
        assert_eq!(source(&all, "node.mdns"), (json!(true), Source::File));
        assert_eq!(source(&all, "node.peers_max"), (json!(9), Source::Environment));
        assert_eq!(source(&all, "mail.expire"), (json!("90s"), Source::Environment));
        assert_eq!(source(&all, "node.listen"), (json!(["/ip4/127.0.0.1/tcp/1"]), Source::Flag));
        assert_eq!(source(&all, "custody.held_bytes_max"), (json!("10GB"), Source::Profile));
        assert_eq!(source(&all, "log.format"), (json!("text"), Source::Default));
        let remembered = Overrides { remembered: vec![address.clone()], ..Overrides::default() };
        assert_eq!(source(&shown("", &[], remembered), "node.listen").1, Source::Flag);
        let remembered = Overrides { remembered: vec![address], ..Overrides::default() };
        let all = shown("node.listen = []", &[], remembered);
        assert_eq!(source(&all, "node.listen"), (json!([]), Source::File));
    }

    /// Written as TOML, what is shown means the same again.
    #[test]
    fn what_is_shown_can_be_a_file() {
        for text in [
            "",
            "profile = \"phone\"\n[log]\nlevel = \"a\\\"b\"\nformat = \"json\"\n",
            "privacy.accept_requests = \"anyone\"\n",
            "[custody]\nheld_bytes_max = \"1000001\"\n[mail]\nexpire = \"36h\"\n[node]\nrole = \"light\"\n",
        ] {
            let all = shown(text, &[], Overrides::default());
            let again: String =
                all.iter().map(|setting| format!("{} = {}\n", setting.key, setting.value)).collect();
            let values = |all: Vec<Setting>| all.into_iter().map(|s| (s.key, s.value)).collect::<Vec<_>>();
            assert_eq!(values(shown(&again, &[], Overrides::default())), values(all));
        }
    }

    /// In fields too, whatever found it: the syntax, an unknown key, a value.
    #[test]
    fn a_place_is_told_in_fields() {
        let place = |text: &str, environment: &[(String, String)]| {
            let refused = settings(Path::new("d"), "f", Some(text), environment, Overrides::default());
            refused.unwrap_err().place.map(|place| (place.file, place.line, place.column))
        };
        let told = |line, column| Some(("f".to_owned(), line, column));
        assert_eq!(place("[mail]\n  expire = \"14\"\n", &[]), told(2, 3));
        assert_eq!(place("[node]\n\n peer_max = 7\n", &[]), told(3, 2));
        assert_eq!(place("[node]\npeers_max = \"many\"\n", &[]), told(2, 13));
        assert_eq!(place("[limits]\nup = \"1MB/s\"\n", &[]), told(2, 1));
        let environment = [("MURMESH_NODE__PEERS_MAX".to_owned(), "0".to_owned())];
        assert_eq!(place("", &environment), None, "not in the file");
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place() {
        let told = |text: &str, environment: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let environment: Vec<_> = environment.iter().map(owned).collect();
            let refused = settings(Path::new("d"), "f", Some(text), &environment, Overrides::default());
            refused.unwrap_err().detail.unwrap()
        };
        let wrong = "[mail]\n  expire = \"14\"\n";
        assert!(
            told(wrong, &[]).starts_with("f: line 2, column 3: mail.expire: 14 is not"),
            "{}",
            told(wrong, &[])
        );
        assert_eq!(
            told("[node]\npeers_max = 0", &[]),
            "f: line 2, column 1: node.peers_max: must be at least 1"
        );
        let told = told("", &[("MURMESH_CUSTODY__HELD_BYTES_MAX", "much")]);
        assert!(told.starts_with("MURMESH_CUSTODY__HELD_BYTES_MAX: custody.held_bytes_max: much"), "{told}");
    }
}
