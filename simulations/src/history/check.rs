//! The checker: finds in a history what the promises forbid (`threats`: lost, duplicate, phantom, reorder,
//! false receipt, and what a crash could take back).
//!
//! It knows nothing of nodes or kills: a history that was recorded long ago is checked the same way.
//! A message whose outcome is not known may be there or not, but not twice, and not out of order.

use std::collections::{BTreeMap, BTreeSet};

use murmesh_protocol::control::MessageState;

use super::{Entry, Label, Listed, Person};

#[cfg(test)]
mod tests;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// It was acknowledged, and at the end its recipient does not have it.
    Lost(Label),
    /// It was acknowledged, and a later look at its author's own messages does not show it.
    Forgotten(Label),
    /// It was shown, and a later look does not show it.
    Vanished(Label),
    /// It was shown as delivered, and a later look at the recipient's messages does not show it.
    FalseReceipt(Label),
    /// It stands twice in one look, was told twice, or has two ids.
    Duplicate(Label),
    /// This was shown to this person, and nobody wrote it, or not to them, or under another id.
    Phantom(Person, String),
    /// Of one author, the second was given to the node before the first.
    Reorder(Label, Label),
    /// It stands directly behind a later acknowledged gap that is not shown as one.
    Skip(Label),
    /// A state was told that it had passed already.
    TookBack(Label),
    /// The stream of events came to a cursor a second time, or went back.
    Cursor(Person, u64),
    /// The stream of events has a gap.
    StreamGap(Person),
    /// It arrived, and no event told.
    Untold(Label),
    /// At the end it is not shown as delivered.
    Undelivered(Label),
    /// The node refused it.
    Refused(Label),
}

impl Anomaly {
    /// Its kind in a table.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Anomaly::Lost(_) => "lost",
            Anomaly::Forgotten(_) => "forgotten by the author's node",
            Anomaly::Vanished(_) => "vanished after being shown",
            Anomaly::FalseReceipt(_) => "false receipts",
            Anomaly::Duplicate(_) => "duplicates",
            Anomaly::Phantom(..) => "phantoms",
            Anomaly::Reorder(..) => "reordered",
            Anomaly::Skip(_) => "gaps not shown",
            Anomaly::TookBack(_) => "states taken back",
            Anomaly::Cursor(..) => "cursors told twice",
            Anomaly::StreamGap(_) => "gaps in the events",
            Anomaly::Untold(_) => "arrivals not told",
            Anomaly::Undelivered(_) => "undelivered at the end",
            Anomaly::Refused(_) => "refused",
        }
    }
}

/// All anomalies of a history, each once.
#[must_use]
pub fn check(history: &[Entry]) -> BTreeSet<Anomaly> {
    let mut checker = Checker::default();
    for (place, entry) in history.iter().enumerate() {
        checker.take(place, entry);
    }
    checker.found
}

#[derive(Default)]
struct Checker {
    /// Messages that were given to a node.
    invoked: BTreeSet<Label>,
    /// Messages by the id they were first known by, wherever that was, and the other way round.
    ids: BTreeMap<String, Label>,
    id_of: BTreeMap<Label, String>,
    /// When they were acknowledged.
    acknowledged: BTreeMap<Label, usize>,
    /// When they were first shown to their recipient.
    shown: BTreeMap<Label, usize>,
    /// When they were first told by an event.
    told: BTreeSet<Label>,
    /// When they were first shown to their author as delivered.
    delivered: BTreeMap<Label, usize>,
    /// Latest states told of ids that may not be known yet.
    states: BTreeMap<String, (MessageState, usize)>,
    cursors: BTreeMap<Person, u64>,
    found: BTreeSet<Anomaly>,
}

impl Checker {
    fn take(&mut self, place: usize, entry: &Entry) {
        match entry {
            Entry::Invoke { label } => {
                self.invoked.insert(*label);
            }
            Entry::Ok { label, id } => {
                self.acknowledged.entry(*label).or_insert(place);
                self.knows(label.author, *label, id);
            }
            Entry::Refused { label, .. } => {
                self.found.insert(Anomaly::Refused(*label));
            }
            Entry::Shown { at, cursor, id, label } => {
                self.on_cursor(*at, *cursor);
                if let Some(label) = self.expect_from(*at, at.other(), id, *label) {
                    if !self.told.insert(label) {
                        self.found.insert(Anomaly::Duplicate(label));
                    }
                    self.shown.entry(label).or_insert(place);
                }
            }
            Entry::State { at, cursor, id, state } => {
                self.on_cursor(*at, *cursor);
                self.on_state(place, id, *state);
            }
            Entry::Other { at, cursor } => self.on_cursor(*at, *cursor),
            Entry::StreamGap { at } => {
                self.found.insert(Anomaly::StreamGap(*at));
            }
            Entry::Read { at, began, last, messages } => self.on_read(*at, *began, *last, messages),
            Entry::Info { .. } | Entry::ReadBegan { .. } | Entry::Kill { .. } | Entry::Up { .. } => {}
        }
    }

    /// A message has one id, and an id is of one message.
    fn knows(&mut self, at: Person, label: Label, id: &str) {
        let known = self.ids.entry(id.to_owned()).or_insert(label);
        if *known != label {
            self.found.insert(Anomaly::Phantom(at, format!("{label} has the id of {known}")));
        }
        let first = self.id_of.entry(label).or_insert_with(|| id.to_owned());
        if first != id {
            self.found.insert(Anomaly::Duplicate(label));
        }
    }

    /// A message that was shown is one that its author gave to the node.
    fn expect_from(&mut self, at: Person, author: Person, id: &str, label: Option<Label>) -> Option<Label> {
        let written = label.filter(|label| label.author == author && self.invoked.contains(label));
        match written {
            Some(label) => self.knows(at, label, id),
            None => {
                let what = label.map_or_else(|| id.to_owned(), |label| label.to_string());
                self.found.insert(Anomaly::Phantom(at, what));
            }
        }
        written
    }

    fn on_cursor(&mut self, at: Person, cursor: u64) {
        let before = self.cursors.insert(at, cursor);
        if before.is_some_and(|before| cursor <= before) {
            self.found.insert(Anomaly::Cursor(at, cursor));
        }
    }

    fn on_state(&mut self, place: usize, id: &str, state: MessageState) {
        let before = self.states.get(id).copied();
        if before.is_some_and(|(before, _)| is_end(before) && rank(state) < rank(before))
            && let Some(label) = self.ids.get(id)
        {
            self.found.insert(Anomaly::TookBack(*label));
        }
        let since = before.filter(|(before, _)| is_delivered(*before)).map_or(place, |(_, since)| since);
        self.states.insert(id.to_owned(), (state, since));
        if is_delivered(state)
            && let Some(label) = self.ids.get(id)
        {
            self.delivered.entry(*label).or_insert(since);
        }
    }

    fn on_read(&mut self, at: Person, began: usize, last: bool, messages: &[Listed]) {
        let mut present: BTreeMap<Person, Vec<(Label, &Listed)>> = BTreeMap::new();
        for listed in messages {
            let author = if listed.own { at } else { at.other() };
            if let Some(label) = self.expect_from(at, author, &listed.id, listed.label) {
                present.entry(author).or_default().push((label, listed));
            }
        }
        self.learn_deliveries();
        for author in Person::BOTH {
            let theirs = present.remove(&author).unwrap_or_default();
            self.check_order(&theirs);
            let labels: BTreeSet<Label> = theirs.iter().map(|(label, _)| *label).collect();
            if author == at {
                self.check_own(author, began, last, &theirs, &labels);
            } else {
                self.check_received(author, began, last, &theirs, &labels);
                labels.iter().for_each(|label| {
                    self.shown.entry(*label).or_insert(began);
                });
            }
        }
    }

    /// A state may be told before the id's message is known: the acknowledgement was lost.
    fn learn_deliveries(&mut self) {
        for (id, (state, since)) in &self.states {
            if is_delivered(*state)
                && let Some(label) = self.ids.get(id)
            {
                self.delivered.entry(*label).or_insert(*since);
            }
        }
    }

    fn check_order(&mut self, theirs: &[(Label, &Listed)]) {
        let mut seen = BTreeSet::new();
        let mut highest: Option<Label> = None;
        for (label, _) in theirs {
            if !seen.insert(*label) {
                self.found.insert(Anomaly::Duplicate(*label));
            } else if let Some(highest) = highest.filter(|highest| label < highest) {
                self.found.insert(Anomaly::Reorder(highest, *label));
            }
            highest = highest.max(Some(*label));
        }
    }

    fn check_own(
        &mut self,
        author: Person,
        began: usize,
        last: bool,
        theirs: &[(Label, &Listed)],
        present: &BTreeSet<Label>,
    ) {
        let own = self.acknowledged.iter().filter(|(label, _)| label.author == author);
        let gone = own.filter(|(label, at)| **at < began && !present.contains(label));
        self.found.extend(gone.map(|(label, _)| Anomaly::Forgotten(*label)));
        let unfinished = theirs.iter().filter(|(_, listed)| last && !is_delivered(listed.state));
        self.found.extend(unfinished.map(|(label, _)| Anomaly::Undelivered(*label)));
        let before_read = |label: &Label| self.delivered.get(label).is_some_and(|at| *at < began);
        let taken_back = theirs.iter().filter(|(label, m)| before_read(label) && !is_delivered(m.state));
        self.found.extend(taken_back.map(|(label, _)| Anomaly::TookBack(*label)));
    }

    fn check_received(
        &mut self,
        author: Person,
        began: usize,
        last: bool,
        theirs: &[(Label, &Listed)],
        present: &BTreeSet<Label>,
    ) {
        let from_author = |label: &&Label| label.author == author && !present.contains(label);
        let before = |(label, at): (&Label, &usize)| (*at < began || last).then_some(*label);
        let unreceived: BTreeSet<Label> =
            self.delivered.iter().filter_map(before).filter(|label| from_author(&label)).collect();
        let vanished = self.shown.iter().filter_map(before).filter(|label| from_author(&label));
        self.found.extend(vanished.map(Anomaly::Vanished));
        if last {
            let missing = self.acknowledged.keys().filter(from_author);
            let lost = missing.filter(|label| !unreceived.contains(label));
            self.found.extend(lost.map(|label| Anomaly::Lost(*label)));
            let untold = present.iter().filter(|label| !self.told.contains(label));
            self.found.extend(untold.map(|label| Anomaly::Untold(*label)));
        }
        self.found.extend(unreceived.into_iter().map(Anomaly::FalseReceipt));
        let mut previous = None;
        for (label, listed) in theirs {
            let from = previous.map_or(0, |previous: u64| previous + 1);
            let between = (from..label.number).map(|number| Label { author, number });
            let accepted = |between: Label| self.acknowledged.get(&between).is_some_and(|at| *at < began);
            if listed.gap_before == 0 && between.filter(|b| !present.contains(b)).any(accepted) {
                self.found.insert(Anomaly::Skip(*label));
            }
            previous = previous.max(Some(label.number));
        }
    }
}

fn is_delivered(state: MessageState) -> bool {
    matches!(state, MessageState::Delivered | MessageState::Read)
}

fn is_end(state: MessageState) -> bool {
    !matches!(state, MessageState::Queued | MessageState::Held)
}

fn rank(state: MessageState) -> u8 {
    match state {
        MessageState::Queued | MessageState::Held => 0,
        MessageState::Delivered => 1,
        MessageState::Read | MessageState::Expired | MessageState::Refused | MessageState::Failed => 2,
    }
}
