//! What strangers can make a node do, and what they learn from it: nothing (SPEC §8.7).

use murmesh_protocol::blind::request_address;
use murmesh_protocol::control::{
    AcceptRequestParams, AcceptRequests, AddParams, ContactState, DeclineRequestParams, ErrorName, EventBody,
    MessageParams, MessageState, NoParams, Reply, Request, RequestEntry,
};
use murmesh_protocol::id::EnvelopeId;
use murmesh_protocol::limits::{
    BUNDLE_MS, DECLINED_MS, FIRST_MESSAGES_RATE, PREKEY_GRACE_MS, REQUEST_BYTES_MAX, REQUEST_MESSAGES_MAX,
    REQUEST_MS, REQUEST_TEXT_BYTES_MAX, REQUESTS_MAX,
};
use murmesh_protocol::messenger::io::{Input, Output, RequestId};
use murmesh_protocol::messenger::store::Table;
use murmesh_protocol::session::Session;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use murmesh_protocol::wire::envelope::seal_round;
use murmesh_protocol::wire::frame::Frame;

use crate::correspondent::Correspondent;
use crate::mallory::{ContentV1, Mallory, Part, text};
use crate::victim::{CUSTODIAN, NOW, Victim};

fn open() -> Victim {
    Victim::accepting(AcceptRequests::Anyone)
}

fn pending(victim: &mut Victim) -> Vec<RequestEntry> {
    match victim.ask(Request::ContactRequests(NoParams {})) {
        Reply::Requests(list) => list.requests,
        other => panic!("{other:?}"),
    }
}

fn accept(victim: &mut Victim, id: &str) {
    victim.ask(Request::AcceptRequest(AcceptRequestParams { id: id.to_owned(), name: None }));
}

fn decline(victim: &mut Victim, id: &str) {
    victim.ask(Request::DeclineRequest(DeclineRequestParams { id: id.to_owned(), block: false }));
}

fn texts(victim: &mut Victim) -> Vec<String> {
    victim.read().into_iter().map(|message| message.text).collect()
}

/// Says it, and gives what the victim does.
fn outputs(
    victim: &mut Victim,
    mallory: &mut Mallory,
    session: &mut Session,
    parts: Vec<Part>,
) -> Vec<Output> {
    let from = victim.sent.len();
    mallory.say(victim, session, parts);
    victim.run(10 * SECOND_MS);
    victim.sent.split_off(from)
}

/// A custodian may be the stranger's own. It sees the same of a node that hears the request as of one that
/// hears no strangers at all: nothing. Not even that copies are dropped.
#[test]
fn a_stranger_learns_nothing_before_it_is_let_in() {
    for accepts in [AcceptRequests::Anyone, AcceptRequests::WithInvite] {
        let (mut victim, mut mallory) = (Victim::accepting(accepts), Mallory::new());
        let mut session = mallory.begin_as_stranger(&victim);
        let mut done = outputs(&mut victim, &mut mallory, &mut session, vec![text(1, NOW)]);
        done.extend(outputs(&mut victim, &mut mallory, &mut session, vec![text(2, NOW)]));
        let (told, sent): (Vec<Output>, Vec<Output>) =
            done.into_iter().filter(|output| !is_by_the_clock(output)).partition(is_event);
        assert_eq!(sent, [], "{accepts:?}");
        let asked = |output: &Output| match output {
            Output::Event(event) => matches!(&event.body, EventBody::ContactRequest { .. }),
            _ => false,
        };
        assert_eq!(told.len(), usize::from(accepts == AcceptRequests::Anyone));
        assert!(told.iter().all(asked));
        // It is connected to the victim's node, and asks for a proof: there is none.
        let proof = session.direct_proof(&mallory.peer, &crate::victim::OWN, &[8; 32], &[9; 32]);
        victim.input(Input::PeerUp(crate::victim::facts(mallory.peer, false)));
        let frame = Frame::DirectProof { proof, want: true };
        let answered = victim.outputs(Input::Frame(mallory.peer, frame));
        assert_eq!(answered, []);
    }
}

fn is_event(output: &Output) -> bool {
    matches!(output, Output::Event(_))
}

/// What a node does anyway: its own records.
fn is_by_the_clock(output: &Output) -> bool {
    matches!(output, Output::FindCustodians(..) | Output::Send(_, Frame::PutRecord { .. }))
}

/// What was set aside is listed whenever the mailbox is, and fetched once.
#[test]
fn what_was_set_aside_is_not_fetched_again_until_it_may_be_heard() {
    let (mut victim, mut mallory) = (open(), Mallory::new());
    let mut session = mallory.begin_as_stranger(&victim);
    let inner = mallory.first(&mut session, vec![]);
    let day = victim.account.day(victim.now);
    let address = request_address(&victim.account, day).unwrap();
    let expires = victim.now.plus(DAY_MS).seconds();
    let envelope = seal_round(&victim.account.0, address, day, expires, &inner, &mut mallory.rng).unwrap();
    let ids = vec![EnvelopeId::of(&envelope)];
    let fetches = |victim: &mut Victim| {
        let have = Frame::Have { address, ids: ids.clone(), cursor: 1, more: false, holder: None };
        let done = victim.outputs(Input::Frame(CUSTODIAN, have));
        done.iter().any(|output| matches!(output, Output::Send(CUSTODIAN, Frame::Get { .. })))
    };
    assert!(fetches(&mut victim));
    victim.input(Input::Frame(CUSTODIAN, Frame::Push { envelope: envelope.clone() }));
    assert!(!fetches(&mut victim), "it is known");
    let id = pending(&mut victim)[0].id.clone();
    accept(&mut victim, &id);
    assert!(fetches(&mut victim), "its copies can be dropped");
}

#[test]
fn what_it_said_is_heard_when_it_is_let_in_also_after_a_restart() {
    for restarts in [false, true] {
        let (mut victim, mut mallory) = (open(), Mallory::new());
        let mut session = mallory.begin_as_stranger(&victim);
        let said: Vec<Vec<u8>> =
            (1..4).map(|seq| mallory.first(&mut session, vec![text(seq, NOW)])).collect();
        said.iter().for_each(|inner| mallory.hand_over(&mut victim, inner));
        if restarts {
            victim.restart(false);
            // Its copies are with the custodian still: they are known, and not told of again.
            let from = victim.sent.len();
            said.iter().for_each(|inner| mallory.hand_over(&mut victim, inner));
            assert!(!victim.sent[from..].iter().any(|output| matches!(output, Output::Event(_))));
        }
        let requests = pending(&mut victim);
        assert_eq!((requests.len(), requests[0].text.as_str()), (1, "1"));
        assert_eq!((texts(&mut victim).len(), victim.rows(Table::Sessions)), (0, 0));
        accept(&mut victim, &requests[0].account);
        assert_eq!(texts(&mut victim), ["1", "2", "3"]);
        assert_eq!((victim.rows(Table::Requests), victim.contact().name.as_str()), (0, "mallory"));
        // Copies that come again are dropped: it is a contact.
        let from = victim.sent.len();
        mallory.hand_over(&mut victim, &said[0]);
        let dropped = |output: &Output| matches!(output, Output::Send(_, Frame::Tombstone(_)));
        assert!(victim.sent[from..].iter().any(dropped));
        assert_eq!(texts(&mut victim).len(), 3);
    }
}

/// Of one stranger so many messages and bytes are kept. The rest stays with custodians, and is fetched once it is
/// a contact.
#[test]
fn one_stranger_has_its_room_and_no_more() {
    let (mut victim, mut mallory) = (open(), Mallory::new());
    let mut session = mallory.begin_as_stranger(&victim);
    for seq in 1..=u64::try_from(REQUEST_MESSAGES_MAX).unwrap() + 1 {
        mallory.say(&mut victim, &mut session, vec![text(seq, NOW)]);
    }
    let big = Part::Text {
        id: murmesh_protocol::id::MessageId([9; 16]),
        run: 1,
        seq: 10,
        at: NOW,
        expires: NOW.plus(DAY_MS),
        text: "x".repeat(REQUEST_BYTES_MAX),
    };
    let big = mallory.first(&mut session, vec![big]);
    mallory.hand_over(&mut victim, &big);
    let row: usize = row_bytes(&victim);
    assert!(row < REQUEST_BYTES_MAX + 4_096, "{row} bytes");
    let from = victim.sent.len();
    let id = pending(&mut victim)[0].id.clone();
    accept(&mut victim, &id);
    assert_eq!(texts(&mut victim).len(), REQUEST_MESSAGES_MAX);
    let listed = |output: &Output| matches!(output, Output::Send(_, Frame::Subscribe { .. }));
    assert!(victim.sent[from..].iter().any(listed), "the rest is asked for");
    mallory.hand_over(&mut victim, &big);
    assert_eq!(texts(&mut victim).len(), REQUEST_MESSAGES_MAX + 1);
}

fn row_bytes(victim: &Victim) -> usize {
    let rows = victim.store.values().filter(|(table, _)| **table == Table::Requests);
    rows.map(|(_, value)| value.len()).sum()
}

/// Another ephemeral key in front of a first message: to find that it does not open is as much work.
fn forged(inner: &[u8], i: u64) -> Vec<u8> {
    let mut forged = inner.to_vec();
    forged[8 + 48 + 1_088..][..8].copy_from_slice(&i.to_le_bytes());
    forged
}

/// Its handshake is known: what it says beyond its room, or after it was declined, is not opened, and does not use
/// up what others need to be heard.
#[test]
fn who_has_said_enough_costs_nothing() {
    for declined in [false, true] {
        let (mut victim, mut mallory) = (open(), Mallory::new());
        let mut session = mallory.begin_as_stranger(&victim);
        let most = u64::try_from(REQUEST_MESSAGES_MAX).unwrap();
        (1..=most).for_each(|seq| mallory.say(&mut victim, &mut session, vec![text(seq, NOW)]));
        if declined {
            let id = pending(&mut victim)[0].id.clone();
            decline(&mut victim, &id);
        }
        for seq in most + 1..100 {
            mallory.say(&mut victim, &mut session, vec![text(seq, NOW)]);
        }
        // So many are left of this hour: the last of them opens.
        let mut other = Mallory::number(77);
        let mut session = other.begin_as_stranger(&victim);
        let inner = other.first(&mut session, vec![]);
        for i in 1..FIRST_MESSAGES_RATE.burst - most {
            other.hand_over(&mut victim, &forged(&inner, i));
        }
        other.hand_over(&mut victim, &inner);
        assert_eq!(pending(&mut victim).len(), 2 - usize::from(declined), "declined: {declined}");
    }
}

/// Others have used up the hour's first messages: who is let in is heard all the same.
#[test]
fn letting_in_needs_no_room_in_the_hour() {
    let (mut victim, mut mallory) = (open(), Mallory::new());
    let mut session = mallory.begin_as_stranger(&victim);
    mallory.say(&mut victim, &mut session, vec![text(1, NOW)]);
    let junk = mallory.first(&mut session, vec![]);
    for i in 0..FIRST_MESSAGES_RATE.burst {
        mallory.hand_over(&mut victim, &forged(&junk, i));
    }
    let id = pending(&mut victim)[0].id.clone();
    accept(&mut victim, &id);
    assert_eq!(texts(&mut victim), ["1"]);
}

/// Its first message was long on its way: it waits no longer than it can be opened.
#[test]
fn a_request_does_not_outlive_its_prekey() {
    let (mut victim, mut mallory) = (open(), Mallory::new());
    let mut session = mallory.begin_as_stranger(&victim);
    let inner = mallory.first(&mut session, vec![text(1, NOW)]);
    let opens_until = NOW.plus(BUNDLE_MS + PREKEY_GRACE_MS + DAY_MS);
    sleep_until(&mut victim, opens_until.minus(10 * DAY_MS));
    mallory.hand_over(&mut victim, &inner);
    let until = pending(&mut victim)[0].until.0;
    assert!(until > victim.now && until <= opens_until, "{until:?}");
    accept(&mut victim, &mallory.account.id().to_string());
    assert_eq!(victim.rows(Table::Sessions), 1);
}

/// A first message that alone is larger than what is kept of a stranger asks nothing.
#[test]
fn a_request_that_cannot_be_kept_is_none() {
    let (mut victim, mut mallory) = (open(), Mallory::new());
    let mut session = mallory.begin_as_stranger(&victim);
    let text = Part::Text {
        id: murmesh_protocol::id::MessageId([9; 16]),
        run: 1,
        seq: 1,
        at: NOW,
        expires: NOW.plus(DAY_MS),
        text: "x".repeat(REQUEST_BYTES_MAX),
    };
    mallory.say(&mut victim, &mut session, vec![text]);
    assert_eq!((pending(&mut victim).len(), victim.rows(Table::Requests)), (0, 0));
}

/// Those that are there stay. Who came too late is looked at again when there is room.
#[test]
fn so_many_wait_and_the_first_keep_their_places() {
    let mut victim = open();
    let mut late = None;
    for i in 0..=REQUESTS_MAX {
        let mut mallory = Mallory::made_up(1_000 + i as u64, 66);
        mallory.nickname = format!("m{i}");
        let mut session = mallory.begin_as_stranger(&victim);
        let inner = mallory.first(&mut session, vec![]);
        mallory.hand_over(&mut victim, &inner);
        victim.run(FIRST_MESSAGES_RATE.refill_ms);
        assert_eq!(pending(&mut victim).len(), (i + 1).min(REQUESTS_MAX));
        late = Some((mallory, inner));
    }
    let names: Vec<String> = pending(&mut victim).into_iter().map(|request| request.name).collect();
    assert_eq!(names, (0..REQUESTS_MAX).map(|i| format!("m{i}")).collect::<Vec<_>>());
    let (mut late, inner) = late.unwrap();
    late.hand_over(&mut victim, &inner);
    assert_eq!(pending(&mut victim).len(), REQUESTS_MAX);
    let id = pending(&mut victim)[0].id.clone();
    decline(&mut victim, &id);
    late.hand_over(&mut victim, &inner);
    let names: Vec<String> = pending(&mut victim).into_iter().map(|request| request.name).collect();
    assert_eq!(names.last(), Some(&format!("m{REQUESTS_MAX}")));
    assert_eq!(names.len(), REQUESTS_MAX);
}

/// Ten thousand made-up accounts in a day. A contact is heard as before; the disk has room for 64 of them.
#[test]
fn a_flood_of_strangers_does_not_reach_contacts_nor_fill_the_disk() {
    let mut victim = open();
    let mut contact = Correspondent::connected(Mallory::number(77), &mut victim);
    let events =
        |victim: &Victim| victim.sent.iter().filter(|output| matches!(output, Output::Event(_))).count();
    let (mut session, mut opened) = (None, 0);
    for i in 0..10_000u64 {
        let mut mallory = Mallory::made_up(10_000 + i, 66);
        // Each sixteenth makes a handshake of its own; the others repeat it with another key: as much work for us.
        if i % 16 == 0 {
            session = Some(mallory.begin_as_stranger(&victim));
        }
        let mut inner = mallory.first(session.as_mut().unwrap(), vec![text(i, NOW)]);
        if i % 16 != 0 {
            inner = forged(&inner, i);
        }
        mallory.hand_over(&mut victim, &inner);
        if i % 100 == 0 {
            victim.run(10 * MINUTE_MS);
            opened = opened.max(pending(&mut victim).len());
            let said = contact.seal(vec![text(1 + i / 100, NOW)]);
            contact.send(&mut victim, said);
        }
    }
    assert_eq!(opened, REQUESTS_MAX);
    assert_eq!(victim.rows(Table::Requests), REQUESTS_MAX);
    let most = REQUESTS_MAX * (REQUEST_BYTES_MAX + 2 * REQUEST_TEXT_BYTES_MAX);
    assert!(row_bytes(&victim) <= most, "{} bytes", row_bytes(&victim));
    assert_eq!(texts(&mut victim).len(), 100, "the contact's");
    assert!(events(&victim) < 100 + REQUESTS_MAX + 50, "{} events", events(&victim));
    assert_eq!((victim.rows(Table::Contacts), victim.rows(Table::Sessions)), (1, 1));
}

/// A declined one is not heard for so long, by whatever handshake; then it may ask again. So may one whose
/// request was not answered.
#[test]
fn a_declined_one_is_silent_for_its_time() {
    let (mut victim, mut mallory) = (open(), Mallory::new());
    let asks = |victim: &mut Victim, mallory: &mut Mallory| {
        let mut session = mallory.begin_as_stranger(victim);
        mallory.say(victim, &mut session, vec![]);
        pending(victim).len()
    };
    assert_eq!(asks(&mut victim, &mut mallory), 1);
    let account = pending(&mut victim)[0].account.clone();
    decline(&mut victim, &account);
    let declined_at = victim.now;
    assert_eq!(asks(&mut victim, &mut mallory), 0);
    victim.restart(false);
    assert_eq!(asks(&mut victim, &mut mallory), 0, "also after a restart");
    sleep_until(&mut victim, declined_at.plus(DECLINED_MS - HOUR_MS));
    assert_eq!(asks(&mut victim, &mut mallory), 0);
    sleep_until(&mut victim, declined_at.plus(DECLINED_MS + 8 * HOUR_MS));
    assert_eq!(asks(&mut victim, &mut mallory), 1);
    let asked_at = victim.now;
    sleep_until(&mut victim, asked_at.plus(REQUEST_MS - HOUR_MS));
    assert_eq!(asks(&mut victim, &mut mallory), 1, "asking again prolongs nothing");
    sleep_until(&mut victim, asked_at.plus(REQUEST_MS + 8 * HOUR_MS));
    assert_eq!((pending(&mut victim).len(), victim.rows(Table::Requests)), (0, 0));
    assert_eq!(asks(&mut victim, &mut mallory), 1);
}

fn sleep_until(victim: &mut Victim, at: murmesh_protocol::time::Time) {
    // Suspended for the most of it; then for longer than a clock that jumped is doubted.
    victim.sleep(at.since(victim.now).saturating_sub(8 * HOUR_MS));
    victim.run(at.since(victim.now));
}

/// At the asker's: nobody answers, and after its time the request says so. It can be made again. Meanwhile it does
/// not knock every hour.
#[test]
fn a_request_that_nobody_answers_expires() {
    let mut victim = Victim::new();
    victim.holds = true;
    let mut stranger = Correspondent::let_in(Mallory::new(), &mut Victim::new());
    let account = stranger.mallory.account.id().to_string();
    let add = |victim: &mut Victim, text: Option<&str>| {
        let ticket = account.clone();
        let params = AddParams { ticket, name: Some("zed".to_owned()), text: text.map(str::to_owned) };
        match victim.ask(Request::Add(params)) {
            Reply::Add(added) => (added.state, added.known),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(add(&mut victim, Some("hello")), (ContactState::Requested, false));
    let asked_at = victim.now;
    let manifest = stranger.mallory.manifest.clone();
    assert!(stranger.is_asked_for(&victim));
    stranger.publish(&mut victim, &manifest, 40 * DAY_MS);
    victim.run(MINUTE_MS);
    let first = victim.read()[0].id.clone();
    let says_it = |content: &ContentV1| content.parts.iter().any(|part| matches!(part, Part::Text { .. }));
    let heard = stranger.hear_firsts(&victim);
    assert!(heard.len() >= 2 && heard.iter().all(says_it), "each says why, whichever comes first");
    let cancelled = refusal(&mut victim, Request::Cancel(MessageParams { id: first.clone() }));
    assert_eq!(cancelled, Some(ErrorName::AlreadySent), "it went with the request");
    let before = victim.deposits().count();
    victim.run(20 * HOUR_MS);
    assert_eq!(victim.deposits().count(), before, "asked again and again");
    sleep_until(&mut victim, asked_at.plus(REQUEST_MS - HOUR_MS));
    assert_eq!(victim.contact().state, ContactState::Requested);
    sleep_until(&mut victim, asked_at.plus(REQUEST_MS + 8 * HOUR_MS));
    assert_eq!(victim.contact().state, ContactState::Expired);
    assert_eq!(victim.read()[0].state, MessageState::Expired);
    victim.restart(false);
    assert_eq!(victim.contact().state, ContactState::Expired);
    // Answered after all, it is a contact like others.
    let mut copy = Victim::resumed(victim.store.clone(), victim.now);
    let mut session = stranger.mallory.begin_as_stranger(&copy);
    stranger.mallory.say(&mut copy, &mut session, vec![]);
    assert_eq!(copy.contact().state, ContactState::Connected);
    assert_eq!(add(&mut victim, None), (ContactState::Requested, false));
    assert_eq!(add(&mut victim, None), (ContactState::Requested, true), "it is being asked");
    victim.run(MINUTE_MS);
    let mut session = stranger.mallory.begin_as_stranger(&victim);
    stranger.mallory.say(&mut victim, &mut session, vec![]);
    assert_eq!(victim.contact().state, ContactState::Connected);
}

/// The error that a request is refused with.
fn refusal(victim: &mut Victim, request: Request) -> Option<ErrorName> {
    let id = RequestId(1 << 40);
    victim.outputs(Input::Command(id, request)).into_iter().find_map(|output| match output {
        Output::Reply(told, Err(error)) if told == id => Some(error.name),
        _ => None,
    })
}

#[test]
fn a_text_of_a_request_below_at_and_above_its_length() {
    for (bytes, taken) in [
        (REQUEST_TEXT_BYTES_MAX - 1, true),
        (REQUEST_TEXT_BYTES_MAX, true),
        (REQUEST_TEXT_BYTES_MAX + 1, false),
        (0, false),
    ] {
        let mut victim = Victim::new();
        let ticket = Mallory::new().account.id().to_string();
        let params = AddParams { ticket, name: None, text: Some("x".repeat(bytes)) };
        let refused = refusal(&mut victim, Request::Add(params));
        assert_eq!(refused, (!taken).then_some(ErrorName::BadText), "{bytes}");
        assert_eq!(victim.rows(Table::Contacts), usize::from(taken));
    }
}
