//! What came of rounds, added up and shown as a table.

use core::fmt::{self, Write};
use std::collections::{BTreeMap, BTreeSet};

use murmesh_protocol::control::Path;
use serde::{Deserialize, Serialize};

use super::plan::{Plan, Target};
use crate::history::{Anomaly, Entry};

/// What a campaign is run with, for its table.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What would be typed to run it again.
    pub command: String,
    /// Its seed.
    pub seed: u64,
    /// What was built.
    pub commit: String,
    /// What it ran on.
    pub machine: String,
}

/// Counts of one round, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Processes killed according to plan, by kind of strike.
    pub kills: BTreeMap<String, u64>,
    /// Moments at which one or two were killed.
    pub strikes: u64,
    /// Kills of a whole network at the end of a round.
    pub last_kills: u64,
    /// Messages given to a node.
    pub messages: u64,
    /// Acknowledged ones.
    pub acknowledged: u64,
    /// Times that a killed node left an outcome unknown.
    pub unknown: u64,
    /// Received over a direct stream.
    pub direct: u64,
    /// Received from custodians.
    pub mailbox: u64,
    /// Events told.
    pub events: u64,
    /// Looks at all messages after a restart.
    pub looks: u64,
    /// What must not be, by kind.
    pub anomalies: BTreeMap<String, u64>,
    /// Milliseconds from the start of a process to its first answer, of each restart.
    pub restarts_ms: Vec<u64>,
    /// Milliseconds until all mail was shown when everything was up again, of each round.
    pub arrivals_ms: Vec<u64>,
    /// Milliseconds until the outboxes had emptied themselves, of each round.
    pub drains_ms: Vec<u64>,
    /// Seconds it took.
    pub seconds: u64,
}

impl Tally {
    /// Counts what a plan did and a history shows.
    #[must_use]
    pub fn of(plan: &Plan, history: &[Entry], anomalies: &BTreeSet<Anomaly>) -> Tally {
        let mut tally = Tally::default();
        for strike in &plan.strikes {
            tally.strikes += 1;
            let people = strike.blows.iter().filter(|b| matches!(b.target, Target::Person(_))).count();
            let together = strike.blows.iter().all(|blow| blow.wait.is_zero());
            let kind = match (people, strike.blows.len()) {
                _ if !together => "the recipient, then the sender",
                (1, 1) => "one person",
                (0, 1) => "one custodian",
                (2, 2) => "both people at once",
                (1, 2) => "a person and a custodian at once",
                _ => "two custodians at once",
            };
            *tally.kills.entry(kind.to_owned()).or_default() +=
                u64::try_from(strike.blows.len()).unwrap_or(0);
            let again = strike.blows.iter().filter(|blow| blow.again.is_some()).count();
            if again > 0 {
                *tally.kills.entry(STARTING.to_owned()).or_default() += u64::try_from(again).unwrap_or(0);
            }
        }
        for anomaly in anomalies {
            *tally.anomalies.entry(anomaly.kind().to_owned()).or_default() += 1;
        }
        let mut invoked = BTreeSet::new();
        for entry in history {
            tally.see(entry, &mut invoked);
        }
        tally.messages = u64::try_from(invoked.len()).unwrap_or(0);
        let killed: u64 = history.iter().map(|entry| u64::from(matches!(entry, Entry::Kill { .. }))).sum();
        tally.last_kills = killed.saturating_sub(tally.kills.values().sum());
        tally
    }

    fn see(&mut self, entry: &Entry, invoked: &mut BTreeSet<crate::history::Label>) {
        match entry {
            Entry::Invoke { label } => {
                invoked.insert(*label);
            }
            Entry::Ok { .. } => self.acknowledged += 1,
            Entry::Info { .. } => self.unknown += 1,
            Entry::Shown { .. } | Entry::State { .. } | Entry::Other { .. } => self.events += 1,
            Entry::Read { last: false, .. } => self.looks += 1,
            Entry::Read { messages, .. } => {
                let by = |path| messages.iter().filter(|m| !m.own && m.path == Some(path)).count();
                self.direct += u64::try_from(by(Path::Direct)).unwrap_or(0);
                self.mailbox += u64::try_from(by(Path::Mailbox)).unwrap_or(0);
            }
            Entry::Up { after_ms, .. } => self.restarts_ms.push(*after_ms),
            Entry::Refused { .. }
            | Entry::StreamGap { .. }
            | Entry::ReadBegan { .. }
            | Entry::Kill { .. } => {}
        }
    }

    /// Adds another round.
    pub fn add(&mut self, other: &Tally) {
        for (into, from) in [(&mut self.kills, &other.kills), (&mut self.anomalies, &other.anomalies)] {
            from.iter().for_each(|(kind, count)| *into.entry(kind.clone()).or_default() += count);
        }
        for (into, from) in [
            (&mut self.strikes, other.strikes),
            (&mut self.last_kills, other.last_kills),
            (&mut self.messages, other.messages),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.unknown, other.unknown),
            (&mut self.direct, other.direct),
            (&mut self.mailbox, other.mailbox),
            (&mut self.events, other.events),
            (&mut self.looks, other.looks),
            (&mut self.seconds, other.seconds),
        ] {
            *into += from;
        }
        self.restarts_ms.extend(&other.restarts_ms);
        self.arrivals_ms.extend(&other.arrivals_ms);
        self.drains_ms.extend(&other.drains_ms);
    }

    /// Kills according to plan.
    #[must_use]
    pub fn kills_total(&self) -> u64 {
        self.kills.values().sum()
    }

    /// The restart that so many in a thousand do not exceed, in milliseconds.
    #[must_use]
    pub fn restart_ms(&self, permille: usize) -> u64 {
        let mut sorted = self.restarts_ms.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * permille).div_ceil(1_000).saturating_sub(1);
        sorted.get(at).copied().unwrap_or(0)
    }

    /// The table of a campaign.
    #[must_use]
    pub fn table(&self, setting: &Setting) -> String {
        let mut out = String::new();
        self.write_table(setting, &mut out).map_or_else(|fmt::Error| String::new(), |()| out)
    }

    fn write_table(&self, setting: &Setting, out: &mut String) -> fmt::Result {
        let mut row = |name: &str, value: &dyn fmt::Display| writeln!(out, "  {name:<36} {value}");
        row("command", &setting.command)?;
        row("seed", &setting.seed)?;
        row("commit", &setting.commit)?;
        row("machine", &setting.machine)?;
        row("seconds", &self.seconds)?;
        row("kills", &format!("{} in {} strikes", self.kills_total(), self.strikes))?;
        for (kind, count) in &self.kills {
            row(&format!("  {kind}"), count)?;
        }
        row("  and all at the end of a round", &self.last_kills)?;
        row("messages", &self.messages)?;
        row("  acknowledged", &self.acknowledged)?;
        row("  outcome unknown, then given again", &self.unknown)?;
        row("  received directly", &self.direct)?;
        row("  received from custodians", &self.mailbox)?;
        row("events told", &self.events)?;
        row("looks after a restart", &self.looks)?;
        for kind in PROMISED {
            row(kind, &self.anomalies.get(*kind).copied().unwrap_or(0))?;
        }
        for (kind, count) in self.anomalies.iter().filter(|(kind, _)| !PROMISED.contains(&kind.as_str())) {
            row(kind, count)?;
        }
        let [half, most, worst] = [500, 990, 1_000].map(|permille| self.restart_ms(permille));
        row("restart p50 / p99 / max", &format!("{half} / {most} / {worst} ms"))?;
        let slow = self.restarts_ms.iter().filter(|ms| **ms > RESTART_MS_AIM).count();
        row(&format!("  above {RESTART_MS_AIM} ms"), &format!("{slow} of {}", self.restarts_ms.len()))?;
        row(
            "all up: all shown after, worst",
            &format!("{} ms", self.arrivals_ms.iter().max().unwrap_or(&0)),
        )?;
        row(
            "all up: outboxes empty after, worst",
            &format!("{} ms", self.drains_ms.iter().max().unwrap_or(&0)),
        )?;
        if self.anomalies.is_empty() && self.acknowledged > 0 {
            let bound = 3_000_000.0 / f64::from(u32::try_from(self.acknowledged).unwrap_or(u32::MAX));
            row("loss at 95 % confidence", &format!("at most {bound:.0} in a million"))?;
        }
        Ok(())
    }
}

/// What is always in the table.
const PROMISED: &[&str] = &["lost", "duplicates", "reordered", "false receipts", "phantoms"];
/// A kind of kill.
const STARTING: &str = "once more while starting";
/// A restart is to answer within this.
const RESTART_MS_AIM: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let tally = |restarts_ms: Vec<u64>| Tally { restarts_ms, ..Tally::default() };
        assert_eq!(tally(vec![]).restart_ms(990), 0);
        assert_eq!(tally(vec![5]).restart_ms(500), 5);
        let hundred = tally((1..=100).rev().collect());
        assert_eq!([500, 990, 1_000].map(|permille| hundred.restart_ms(permille)), [50, 99, 100]);
    }

    #[test]
    fn rounds_add_up_and_kinds_too() {
        let plan = super::super::plan(3, 0, 100);
        let mut tally =
            Tally::of(&plan, &[], &BTreeSet::from([Anomaly::StreamGap(crate::history::Person::Bob)]));
        assert_eq!(tally.kills_total(), 100);
        let one = tally.clone();
        tally.add(&one);
        assert_eq!((tally.kills_total(), tally.anomalies["gaps in the events"]), (200, 2));
    }
}
