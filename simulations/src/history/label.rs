//! Who wrote which message: the name by which a history knows it, its idempotency key, and the beginning
//! of its text.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One of the two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Person {
    /// The one who made the ticket.
    Alice,
    /// The one who used it.
    Bob,
}

impl Person {
    /// Both.
    pub const BOTH: [Person; 2] = [Person::Alice, Person::Bob];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Person {
        match self {
            Person::Alice => Person::Bob,
            Person::Bob => Person::Alice,
        }
    }

    /// As nickname, contact and directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Person::Alice => "alice",
            Person::Bob => "bob",
        }
    }
}

/// A message: the n-th that its author wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Who wrote it.
    pub author: Person,
    /// Numbers rise in the order in which they are given to the node.
    pub number: u64,
}

impl Label {
    /// Its text: the label, and filler of a length that depends on it, so that one envelope is not like
    /// another and a text that was cut or mixed up is noticed.
    #[must_use]
    pub fn text(self) -> String {
        let mixed = self.number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let length = if mixed.is_multiple_of(16) { mixed % LONG_BYTES_MAX } else { mixed % SHORT_BYTES_MAX };
        let filler = "the quick brown fox jumps over the lazy dog. ".chars().cycle();
        let filler = filler.skip(usize::from(mixed.to_le_bytes()[1]) % 45);
        let length = usize::try_from(length).unwrap_or(0);
        format!("{self} {}", filler.take(length).collect::<String>())
    }

    /// Which message a text is of; none if nobody wrote it so.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Label> {
        let label: Label = text.split_once(' ')?.0.parse().ok()?;
        (label.text() == text).then_some(label)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.author.name(), self.number)
    }
}

/// The text is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a label like alice-17")]
pub struct NoLabel;

impl FromStr for Label {
    type Err = NoLabel;

    fn from_str(text: &str) -> Result<Label, NoLabel> {
        let (name, number) = text.split_once('-').ok_or(NoLabel)?;
        let author = Person::BOTH.into_iter().find(|person| person.name() == name).ok_or(NoLabel)?;
        Ok(Label { author, number: number.parse().map_err(|_| NoLabel)? })
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Label, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Filler of most messages: they fit the two smallest envelopes.
const SHORT_BYTES_MAX: u64 = 600;
/// Filler of one in sixteen.
const LONG_BYTES_MAX: u64 = 6_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_tells_its_label_and_a_changed_one_is_nobodys() {
        let mut lengths = std::collections::BTreeSet::new();
        for number in 1..=200 {
            let label = Label { author: Person::Bob, number };
            let text = label.text();
            assert_eq!(Label::of_text(&text), Some(label));
            assert_eq!(Label::of_text(&format!("{text}x")), None);
            let other = Label { author: Person::Alice, number };
            assert_eq!(Label::of_text(&text.replacen("bob", "bobby", 1)), None);
            assert_ne!(other.text(), text);
            lengths.insert(text.len());
        }
        assert!(lengths.len() > 100 && lengths.last() > Some(&1_000), "{lengths:?}");
        assert_eq!(Label::of_text("alice-x y"), None);
        assert_eq!(Label::of_text(""), None);
    }
}
