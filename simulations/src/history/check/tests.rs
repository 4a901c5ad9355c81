use super::*;

/// A history in which everything went as promised: both write, the outcome of two messages is lost with a
/// connection, both nodes are killed, all arrives.
fn good() -> Vec<Entry> {
    story(&[])
}

/// The same, but these are shown as delivered before bob is killed, whether he has them or not.
fn story(early: &[Label]) -> Vec<Entry> {
    let mut history = Story::default();
    history.send(alice(1));
    history.send(alice(2));
    history.send(bob(1));
    history.arrives(alice(1));
    history.arrives(bob(1));
    history.delivered(alice(1));
    // Two in flight when alice is killed: the second had not reached her node.
    history.add(Entry::Invoke { label: alice(3) });
    history.add(Entry::Invoke { label: alice(4) });
    history.add(Entry::Kill { node: "alice".to_owned() });
    history.add(Entry::Info { label: alice(3) });
    history.add(Entry::Info { label: alice(4) });
    history.add(Entry::Up { node: "alice".to_owned(), after_ms: 80 });
    history.reads(Person::Alice, false, &[alice(1), alice(2), alice(3)], &[bob(1)]);
    history.send(alice(3));
    history.send(alice(4));
    // Through a custodian, and before the one that it follows.
    history.arrives(alice(4));
    early.iter().for_each(|label| history.delivered(*label));
    history.add(Entry::Kill { node: "bob".to_owned() });
    let gap = history.listed(&[], &[alice(1), alice(4)]);
    history.reads_listed(Person::Bob, false, gap);
    history.arrives(alice(2));
    history.arrives(alice(3));
    for label in [alice(2), alice(3), alice(4), bob(1)].iter().filter(|label| !early.contains(label)) {
        history.delivered(*label);
    }
    let own: Vec<_> = (1..=4).map(alice).collect();
    history.reads(Person::Alice, true, &own, &[bob(1)]);
    history.reads(Person::Bob, true, &[bob(1)], &[alice(1), alice(2), alice(3), alice(4)]);
    history.entries
}

#[derive(Default)]
struct Story {
    entries: Vec<Entry>,
    cursors: BTreeMap<Person, u64>,
}

fn alice(number: u64) -> Label {
    Label { author: Person::Alice, number }
}

fn bob(number: u64) -> Label {
    Label { author: Person::Bob, number }
}

fn id(label: Label) -> String {
    format!("id-{label}")
}

impl Story {
    fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    fn cursor(&mut self, at: Person) -> u64 {
        let cursor = self.cursors.entry(at).or_insert(7);
        *cursor += 1;
        *cursor
    }

    fn send(&mut self, label: Label) {
        self.add(Entry::Invoke { label });
        self.add(Entry::Ok { label, id: id(label) });
    }

    fn arrives(&mut self, label: Label) {
        let at = label.author.other();
        let cursor = self.cursor(at);
        self.add(Entry::Shown { at, cursor, id: id(label), label: Some(label) });
    }

    fn delivered(&mut self, label: Label) {
        let at = label.author;
        let cursor = self.cursor(at);
        self.add(Entry::State { at, cursor, id: id(label), state: MessageState::Delivered });
    }

    fn listed(&self, own: &[Label], theirs: &[Label]) -> Vec<Listed> {
        let told = |label| {
            self.entries.iter().any(|entry| {
                matches!(entry, Entry::State { id: known, state, .. }
                    if *known == id(label) && *state == MessageState::Delivered)
            })
        };
        let own = own.iter().map(|label| {
            let state = if told(*label) { MessageState::Delivered } else { MessageState::Held };
            Listed { id: id(*label), own: true, label: Some(*label), state, gap_before: 0, path: None }
        });
        let mut previous = 0;
        let theirs = theirs.iter().map(|label| {
            let gap_before = label.number.saturating_sub(previous + 1);
            previous = label.number;
            let state = MessageState::Delivered;
            Listed { id: id(*label), own: false, label: Some(*label), state, gap_before, path: None }
        });
        own.chain(theirs).collect()
    }

    fn reads(&mut self, at: Person, last: bool, own: &[Label], theirs: &[Label]) {
        let listed = self.listed(own, theirs);
        self.reads_listed(at, last, listed);
    }

    fn reads_listed(&mut self, at: Person, last: bool, mut messages: Vec<Listed>) {
        // Bob's own first message is in every look of his.
        if at == Person::Bob && !messages.iter().any(|listed| listed.own) {
            messages.extend(self.listed(&[bob(1)], &[]));
        }
        let began = self.entries.len();
        self.add(Entry::ReadBegan { at });
        self.add(Entry::Read { at, began, last, messages });
    }
}

/// The last look of somebody, to be changed.
fn last_read(history: &mut [Entry], of: Person) -> &mut Vec<Listed> {
    history.iter_mut().rev().find_map(|entry| read_of(entry, of)).unwrap()
}

fn first_read(history: &mut [Entry], of: Person) -> &mut Vec<Listed> {
    history.iter_mut().find_map(|entry| read_of(entry, of)).unwrap()
}

fn read_of(entry: &mut Entry, of: Person) -> Option<&mut Vec<Listed>> {
    if let Entry::Read { at, messages, .. } = entry { (*at == of).then_some(messages) } else { None }
}

fn position(history: &[Entry], wanted: impl Fn(&Entry) -> bool) -> usize {
    history.iter().position(wanted).unwrap()
}

fn is_shown(entry: &Entry, wanted: Label) -> bool {
    matches!(entry, Entry::Shown { label: Some(label), .. } if *label == wanted)
}

/// Changes the good history and wants exactly these anomalies.
fn check_changed(change: impl FnOnce(&mut Vec<Entry>), wanted: &[Anomaly]) {
    let mut history = good();
    change(&mut history);
    assert_eq!(check(&history).into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_good_history_has_none_and_survives_its_file() {
    let history = good();
    assert_eq!(check(&history), BTreeSet::new());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("history.jsonl");
    let recorder = super::super::Recorder::into_file(&file).unwrap();
    history.iter().for_each(|entry| {
        recorder.record(entry.clone());
    });
    assert_eq!(recorder.finish().unwrap(), history);
    assert_eq!(super::super::from_file(&file).unwrap(), history);
}

#[test]
fn an_acknowledged_message_that_never_arrives_is_lost() {
    let change = |history: &mut Vec<Entry>| {
        history.retain(|entry| {
            !is_shown(entry, alice(3)) && !matches!(entry, Entry::State { id: of, .. } if *of == id(alice(3)))
        });
        last_read(history, Person::Bob).retain(|listed| listed.label != Some(alice(3)));
        last_read(history, Person::Bob).last_mut().unwrap().gap_before = 1;
        let own = last_read(history, Person::Alice).iter_mut().find(|m| m.label == Some(alice(3)));
        own.unwrap().state = MessageState::Held;
    };
    check_changed(change, &[Anomaly::Lost(alice(3)), Anomaly::Undelivered(alice(3))]);
}

#[test]
fn a_message_its_own_author_does_not_have_after_a_restart_is_forgotten() {
    let change = |history: &mut Vec<Entry>| {
        first_read(history, Person::Alice).retain(|listed| listed.label != Some(alice(2)));
    };
    check_changed(change, &[Anomaly::Forgotten(alice(2))]);
    // Nothing is known of the outcome of the third: it may be there or not.
    let change = |history: &mut Vec<Entry>| {
        first_read(history, Person::Alice).retain(|listed| listed.label != Some(alice(3)));
    };
    check_changed(change, &[]);
    let change = |history: &mut Vec<Entry>| first_read(history, Person::Alice).clear();
    check_changed(
        change,
        &[Anomaly::Forgotten(alice(1)), Anomaly::Forgotten(alice(2)), Anomaly::Vanished(bob(1))],
    );
}

#[test]
fn what_was_shown_and_is_gone_after_a_restart_has_vanished() {
    let change = |history: &mut Vec<Entry>| {
        first_read(history, Person::Bob).retain(|listed| listed.label != Some(alice(4)));
    };
    check_changed(change, &[Anomaly::Vanished(alice(4))]);
}

#[test]
fn delivered_and_not_there_is_a_false_receipt() {
    // Alice's node said so before bob's had it; it comes later, so that the end looks well.
    let found = check(&story(&[alice(2)]));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [Anomaly::FalseReceipt(alice(2))]);
    assert_eq!(check(&story(&[alice(4)])), BTreeSet::new());
    let change = |history: &mut Vec<Entry>| {
        history.retain(|entry| !is_shown(entry, alice(2)));
        last_read(history, Person::Bob).retain(|listed| listed.label != Some(alice(2)));
        last_read(history, Person::Bob)
            .iter_mut()
            .filter(|m| m.label == Some(alice(3)))
            .for_each(|m| m.gap_before = 1);
    };
    check_changed(change, &[Anomaly::FalseReceipt(alice(2))]);
}

#[test]
fn twice_in_one_look_twice_told_or_under_two_ids_is_a_duplicate() {
    let change = |history: &mut Vec<Entry>| {
        let again = last_read(history, Person::Bob).last().unwrap().clone();
        last_read(history, Person::Bob).push(again);
    };
    check_changed(change, &[Anomaly::Duplicate(alice(4))]);
    let change = |history: &mut Vec<Entry>| {
        let again = Entry::Shown { at: Person::Bob, cursor: 999, id: id(alice(1)), label: Some(alice(1)) };
        history.push(again);
    };
    check_changed(change, &[Anomaly::Duplicate(alice(1))]);
    let change = |history: &mut Vec<Entry>| {
        let again = position(history, |entry| matches!(entry, Entry::Ok { label, .. } if *label == alice(3)));
        history[again] = Entry::Ok { label: alice(3), id: "another".to_owned() };
    };
    check_changed(change, &[Anomaly::Duplicate(alice(3))]);
}

#[test]
fn what_nobody_wrote_is_a_phantom() {
    let stranger = Listed {
        id: "x".to_owned(),
        own: false,
        label: None,
        state: MessageState::Delivered,
        gap_before: 0,
        path: None,
    };
    let change = |history: &mut Vec<Entry>| last_read(history, Person::Bob).push(stranger.clone());
    check_changed(change, &[Anomaly::Phantom(Person::Bob, "x".to_owned())]);
    // Bob's own words come back to him as alice's.
    let mirrored = Listed { id: "y".to_owned(), label: Some(bob(1)), ..stranger.clone() };
    let change = |history: &mut Vec<Entry>| last_read(history, Person::Bob).push(mirrored);
    check_changed(change, &[Anomaly::Phantom(Person::Bob, "bob-1".to_owned())]);
    let change = |history: &mut Vec<Entry>| {
        history.push(Entry::Shown {
            at: Person::Bob,
            cursor: 999,
            id: "z".to_owned(),
            label: Some(alice(9)),
        });
    };
    check_changed(change, &[Anomaly::Phantom(Person::Bob, "alice-9".to_owned())]);
}

#[test]
fn another_order_than_the_one_of_the_sends_is_a_reorder() {
    let change = |history: &mut Vec<Entry>| {
        let read = last_read(history, Person::Bob);
        let at = read.iter().position(|listed| listed.label == Some(alice(2))).unwrap();
        read.swap(at, at + 1);
    };
    check_changed(change, &[Anomaly::Reorder(alice(3), alice(2))]);
    let change = |history: &mut Vec<Entry>| last_read(history, Person::Alice).swap(0, 1);
    check_changed(change, &[Anomaly::Reorder(alice(2), alice(1))]);
}

#[test]
fn a_gap_that_is_not_shown_is_a_skip() {
    let change = |history: &mut Vec<Entry>| {
        first_read(history, Person::Bob).iter_mut().for_each(|listed| listed.gap_before = 0);
    };
    check_changed(change, &[Anomaly::Skip(alice(4))]);
}

#[test]
fn a_state_that_goes_back_is_taken_back() {
    let change = |history: &mut Vec<Entry>| {
        let state = MessageState::Held;
        history.push(Entry::State { at: Person::Alice, cursor: 999, id: id(alice(1)), state });
    };
    check_changed(change, &[Anomaly::TookBack(alice(1))]);
    let change =
        |history: &mut Vec<Entry>| first_read(history, Person::Alice)[0].state = MessageState::Queued;
    check_changed(change, &[Anomaly::TookBack(alice(1))]);
}

#[test]
fn events_without_end_and_the_rest() {
    let change = |history: &mut Vec<Entry>| history.push(Entry::Other { at: Person::Bob, cursor: 8 });
    check_changed(change, &[Anomaly::Cursor(Person::Bob, 8)]);
    let change = |history: &mut Vec<Entry>| history.push(Entry::StreamGap { at: Person::Bob });
    check_changed(change, &[Anomaly::StreamGap(Person::Bob)]);
    // Nothing told of bob's message, and yet it is there.
    let change = |history: &mut Vec<Entry>| history.retain(|entry| !is_shown(entry, bob(1)));
    check_changed(change, &[Anomaly::Untold(bob(1))]);
    let change = |history: &mut Vec<Entry>| {
        history.push(Entry::Refused { label: alice(5), error: "too-many".to_owned() });
    };
    check_changed(change, &[Anomaly::Refused(alice(5))]);
}
