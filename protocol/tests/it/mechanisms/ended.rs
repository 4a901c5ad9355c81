//! What ends by its time or its number: sessions, keys, tags, sealed forms, texts (SPEC §5.5, §5.7, §8.4).

use std::collections::BTreeSet;

use murmesh_protocol::control::{EventBody, MessageParams, Reply, Request};
use murmesh_protocol::id::{EnvelopeId, MessageId};
use murmesh_protocol::limits::{
    ARCHIVED_SESSIONS_MAX, CLOCK_DOUBT_MS, FAR_AHEAD_MS, GRACE_MS, INVITE_MS, OPENED_TAG_MS, PREKEY_GRACE_MS,
    UNDECRYPTABLE_MAX,
};
use murmesh_protocol::messenger::io::{Input, Output};
use murmesh_protocol::messenger::store::Table;
use murmesh_protocol::session::FirstHeader;
use murmesh_protocol::session::limits::INITIAL_MESSAGES_MAX;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, Time};
use murmesh_protocol::wire::envelope::{Envelope, unmask};
use murmesh_protocol::wire::frame::{CustodyReceipt, Frame};

use super::{send, texts};
use crate::correspondent::Correspondent;
use crate::mallory::{ContentV1, Mallory, Part};
use crate::victim::{CUSTODIAN, NOW, Victim};

/// A text that is shown until then.
fn text_until(seq: u8, expires: Time) -> Part {
    let (id, text) = (MessageId([seq; 16]), seq.to_string());
    Part::Text { id, run: 1, seq: seq.into(), at: NOW.minus(14 * DAY_MS), expires, text }
}

/// session.md, States: "5 undecryptable on one contact's proven direct stream in 24 h" begin the session
/// anew; fewer, or spread over more than a day, do not.
#[test]
fn five_messages_within_a_day_that_cannot_be_opened_begin_the_session_anew() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
    let mut sent = 0;
    let mut junk = |victim: &mut Victim, contact: &Correspondent, count: usize| {
        for _ in 0..count {
            sent += 1;
            contact.send(victim, vec![sent; 454]);
        }
        // They count when they have been looked for far ahead.
        victim.run(FAR_AHEAD_MS);
    };
    junk(&mut victim, &contact, UNDECRYPTABLE_MAX - 1);
    victim.sleep(DAY_MS);
    junk(&mut victim, &contact, UNDECRYPTABLE_MAX - 1);
    assert!(!contact.is_asked_for(&victim), "too early");
    junk(&mut victim, &contact, 1);
    assert!(contact.is_asked_for(&victim), "the session is kept");
    let (before, shown) = (victim.contact().sessions, contact.mallory.manifest.clone());
    contact.publish(&mut victim, &shown, 8 * DAY_MS);
    assert_eq!(victim.contact().sessions, before + 1);
}

/// A session that was just begun has no direct way yet: what still arrives on the one before is acknowledged
/// all the same, by mailbox.
#[test]
fn who_has_begun_anew_acknowledges_what_arrives_on_the_session_before() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
    (0..UNDECRYPTABLE_MAX).for_each(|i| contact.send(&mut victim, vec![u8::try_from(i).unwrap(); 454]));
    victim.run(FAR_AHEAD_MS);
    let shown = contact.mallory.manifest.clone();
    contact.publish(&mut victim, &shown, 8 * DAY_MS);
    let deposits = victim.deposits().count();
    let late = contact.seal(vec![text_until(1, NOW.plus(DAY_MS))]);
    contact.send(&mut victim, late);
    victim.run(MINUTE_MS);
    assert_eq!(texts(&mut victim), ["1"]);
    assert!(victim.deposits().count() > deposits, "nothing was said of it");
}

/// session.md, Deleted when: a session that was replaced, here because the victim began anew, opens what is
/// still on its way for a month, then it is deleted.
#[test]
fn an_archived_session_is_deleted_after_its_month() {
    for (after, kept) in [(OPENED_TAG_MS - DAY_MS, true), (OPENED_TAG_MS + DAY_MS, false)] {
        let mut victim = Victim::new();
        let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
        let late = contact.seal(vec![text_until(1, NOW.plus(60 * DAY_MS))]);
        victim.restart(true);
        send(&mut victim, "anew");
        let shown = contact.mallory.manifest.clone();
        contact.publish(&mut victim, &shown, 8 * DAY_MS);
        contact.take_up(&mut victim);
        assert_eq!(victim.rows(Table::Sessions), 2);
        victim.sleep(after);
        victim.run(CLOCK_DOUBT_MS + HOUR_MS);
        contact.hand_over(&mut victim, &late);
        assert_eq!(texts(&mut victim).contains(&"1".to_owned()), kept, "after {after} ms");
        assert_eq!(victim.rows(Table::Sessions), if kept { 2 } else { 1 });
    }
}

/// SPEC §8.5, §9.1: a contact that begins anew whenever it likes leaves forty archived sessions, and not for
/// longer than a month.
#[test]
fn the_sessions_that_a_contact_replaces_are_bounded_and_deleted() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite_for(2);
    let mut begun: Vec<_> = (0..ARCHIVED_SESSIONS_MAX + 3).map(|_| mallory.begin(&victim, &ticket)).collect();
    for (i, session) in begun.iter_mut().enumerate() {
        victim.run(1);
        mallory.say(&mut victim, session, vec![]);
        assert_eq!(victim.rows(Table::Sessions), (i + 1).min(ARCHIVED_SESSIONS_MAX + 1));
    }
    victim.sleep(OPENED_TAG_MS + DAY_MS);
    victim.run(CLOCK_DOUBT_MS + HOUR_MS);
    assert!(victim.rows(Table::Sessions) <= 2, "more than what is sent on and what was before it");
}

/// session.md, Keys: first messages (SPEC §5.2) are as secret as their prekey, so it goes 31 days after its
/// bundle's end; and what was made to it begins nothing any more.
#[test]
fn a_prekey_is_deleted_on_its_day() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite_for(2);
    let [mut first, mut late, mut too_late] = [(); 3].map(|()| mallory.begin(&victim, &ticket));
    mallory.say(&mut victim, &mut first, vec![]);
    let inner = mallory.first(&mut too_late, vec![]);
    let hint = FirstHeader::parse(&inner).unwrap().hint;
    let kept = |victim: &Victim| {
        victim.store.values().any(|(table, value)| *table == Table::Prekeys && value.starts_with(&hint))
    };
    victim.sleep(INVITE_MS + 20 * DAY_MS);
    mallory.say(&mut victim, &mut late, vec![]);
    assert_eq!(victim.contact().sessions, 2);
    victim.sleep(PREKEY_GRACE_MS - 20 * DAY_MS);
    assert!(kept(&victim), "deleted too early");
    victim.sleep(GRACE_MS);
    assert!(kept(&victim), "the clock may be set back yet");
    victim.run(CLOCK_DOUBT_MS + HOUR_MS);
    assert!(!kept(&victim), "kept for ever");
    mallory.hand_over(&mut victim, &inner);
    assert_eq!(victim.contact().sessions, 2, "begun with a prekey of the past");
}

/// session.md, States: tags "opened in the last 31 d" make duplicates (SPEC §8.4.5), and no others: they would
/// be there for ever.
#[test]
fn opened_tags_are_forgotten_after_their_month() {
    let mut victim = Victim::new();
    Correspondent::let_in(Mallory::new(), &mut victim);
    assert_eq!(victim.rows(Table::Opened), 1);
    victim.sleep(OPENED_TAG_MS - DAY_MS);
    assert_eq!(victim.rows(Table::Opened), 1, "forgotten too early");
    victim.sleep(3 * DAY_MS);
    victim.run(CLOCK_DOUBT_MS + HOUR_MS);
    assert_eq!(victim.rows(Table::Opened), 0, "remembered for ever");
}

/// The custodian says of every deposit that it has it; gives their number.
fn hold(victim: &mut Victim) -> usize {
    let envelopes: Vec<EnvelopeId> = victim.deposits().map(|bytes| EnvelopeId::of(bytes)).collect();
    for envelope in &envelopes {
        let receipt = CustodyReceipt::Plain { until: victim.now.plus(14 * DAY_MS) };
        victim.input(Input::Frame(CUSTODIAN, Frame::Held { envelope: *envelope, receipt }));
    }
    envelopes.len()
}

/// The ids of texts that were heard.
fn ids(heard: Vec<ContentV1>) -> Vec<MessageId> {
    let texts = heard.into_iter().flat_map(|content| content.parts);
    texts.filter_map(|part| if let Part::Text { id, .. } = part { Some(id) } else { None }).collect()
}

/// SPEC §8.4.3, §8.4.4: what custodians hold is deposited again on its days, in the same sealed form for a
/// week and then sealed again, as the same message.
#[test]
fn held_mail_is_sealed_again_after_a_week() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::let_in(Mallory::new(), &mut victim);
    victim.run(MINUTE_MS);
    victim.sent.clear();
    send(&mut victim, "hello");
    let (sent, mut first) = (victim.now, None);
    for (day, sealed_again) in [(0, true), (1, false), (3, false), (7, true)] {
        victim.sleep(sent.plus(day * DAY_MS).since(victim.now));
        assert_ne!(hold(&mut victim), 0, "not deposited on day {day}");
        let heard = ids(contact.hear(&victim));
        assert_eq!(heard.len(), usize::from(sealed_again), "on day {day}");
        first = first.or(heard.first().copied());
        assert!(heard.iter().all(|id| Some(*id) == first), "it is the same message");
        victim.sent.clear();
    }
}

/// The same of mail that waited a moment for a session: on day 7 it is two seconds too young to be sealed
/// again, and on the next day of deposits, the 14th, its life is over.
#[test]
fn held_mail_that_waited_for_its_session_is_sealed_again_after_a_week() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::let_in(Mallory::new(), &mut victim);
    victim.restart(true);
    let (id, sent) = (send(&mut victim, "hello"), victim.now);
    let shown = contact.mallory.manifest.clone();
    contact.publish(&mut victim, &shown, 8 * DAY_MS);
    hold(&mut victim);
    victim.sleep(sent.plus(7 * DAY_MS).since(victim.now));
    let story = match victim.ask(Request::Why(MessageParams { id })) {
        Reply::Why(why) => why.steps,
        other => panic!("{other:?}"),
    };
    let results: Vec<String> = story.into_iter().map(|step| step.result).collect();
    let deposits = results.iter().filter(|result| *result == "sent").count();
    assert_eq!(deposits, 2, "at once and on day 7: {results:?}");
    assert!(results.contains(&"sealed again".to_owned()), "{results:?}");
}

/// The numbers of the first messages that went to a contact, by the hint of their bundle.
fn first_numbers(victim: &Victim, contact: &Correspondent, hint: [u8; 8]) -> BTreeSet<u32> {
    let account = contact.mallory.account.id();
    let inners = victim.deposits().map(|bytes| unmask(&account.0, &Envelope::parse(bytes).unwrap()));
    let headers = inners.filter_map(|inner| FirstHeader::parse(&inner));
    headers.filter(|header| header.hint == hint).map(|header| header.n).collect()
}

/// SPEC §5.5: a session that was not answered sends a hundred messages, and none that is sealed 26 h after
/// its bundle's end: then it is begun anew.
#[test]
fn a_session_without_an_answer_is_begun_anew_when_it_is_used_up() {
    for by_number in [true, false] {
        let mut victim = Victim::new();
        let mut contact = Correspondent::let_in(Mallory::new(), &mut victim);
        let shown = contact.mallory.manifest.clone();
        victim.restart(true);
        send(&mut victim, "0");
        let old = contact.publish(&mut victim, &shown, 2 * DAY_MS);
        let mut may_be_used = first_numbers(&victim, &contact, old);
        assert_eq!(may_be_used.first(), Some(&0));
        victim.sent.clear();
        if by_number {
            (1..INITIAL_MESSAGES_MAX).for_each(|i| drop(send(&mut victim, &i.to_string())));
            may_be_used = (0..INITIAL_MESSAGES_MAX).collect();
        } else {
            victim.sleep(2 * DAY_MS + GRACE_MS);
        }
        send(&mut victim, "one more");
        assert!(contact.is_asked_for(&victim), "by number: {by_number}");
        let new = contact.publish(&mut victim, &shown, 2 * DAY_MS);
        let used = first_numbers(&victim, &contact, old);
        assert!(used.is_subset(&may_be_used), "sealed with what is used up: {used:?}");
        assert!(!first_numbers(&victim, &contact, new).is_empty());
    }
}

/// SPEC §8.2: a message whose life is over is shown to nobody; nobody waits for it either, so its author
/// gets its receipt. Clocks have their grace.
#[test]
fn a_text_whose_life_is_over_is_not_shown() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
    let over = victim.now.minus(GRACE_MS);
    for (seq, expires) in [(1, over), (2, over.minus(1))] {
        contact.say(&mut victim, vec![text_until(seq, expires)]);
    }
    assert_eq!(texts(&mut victim), ["1"]);
    let told = victim.sent.iter().filter(|output| match output {
        Output::Event(event) => matches!(event.body, EventBody::MessageReceived(_)),
        _ => false,
    });
    assert_eq!(told.count(), 1);
    let receipts = contact.hear(&victim).into_iter().flat_map(|content| content.parts);
    let acknowledged = receipts.filter_map(|part| match part {
        Part::Receipt { up_to, .. } => Some(up_to),
        _ => None,
    });
    assert_eq!(acknowledged.max(), Some(2));
}
