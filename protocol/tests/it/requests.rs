//! Strangers who ask to become contacts, in a world of nodes (SPEC §8.7). What a stranger can make one node do is
//! in [`strangers`].

use murmesh_protocol::control::{
    AcceptRequestParams, AcceptRequests, AddParams, AddReply, ContactReply, ContactState, ControlError,
    DeclineRequestParams, Done, ErrorName, EventBody, MessageState, NoParams, Reply, Request, RequestEntry,
};
use murmesh_protocol::messenger::io::RequestId;
use murmesh_protocol::time::{MINUTE_MS, SECOND_MS};

use crate::world::{Faults, World};

mod strangers;

/// p0, whom anybody may ask; p1, a stranger to it; and so many custodians.
fn strangers(seed: u64, custodians: usize) -> World {
    let mut world = World::new(seed, 2, custodians);
    world.nodes[0].accepts = AcceptRequests::Anyone;
    world.stop(0);
    world.start(0);
    world.run(SECOND_MS);
    world
}

/// Adds an account without a ticket.
fn add(world: &mut World, node: usize, whom: usize, text: Option<&str>) -> AddReply {
    let ticket = world.account(whom).to_string();
    let params = AddParams { ticket, name: None, text: text.map(str::to_owned) };
    match world.call(node, Request::Add(params)) {
        Ok(Reply::Add(added)) => added,
        other => panic!("{other:?}"),
    }
}

fn pending(world: &mut World, node: usize) -> Vec<RequestEntry> {
    match world.call(node, Request::ContactRequests(NoParams {})) {
        Ok(Reply::Requests(list)) => list.requests,
        other => panic!("{other:?}"),
    }
}

fn accept(world: &mut World, node: usize, id: &str) -> Result<ContactReply, ControlError> {
    accept_as(world, node, id, None)
}

fn accept_as(
    world: &mut World,
    node: usize,
    id: &str,
    name: Option<&str>,
) -> Result<ContactReply, ControlError> {
    let params = AcceptRequestParams { id: id.to_owned(), name: name.map(str::to_owned) };
    match world.call(node, Request::AcceptRequest(params)) {
        Ok(Reply::Contact(contact)) => Ok(*contact),
        Err(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn decline(world: &mut World, node: usize, id: &str, block: bool) -> Done {
    let params = DeclineRequestParams { id: id.to_owned(), block };
    match world.call(node, Request::DeclineRequest(params)) {
        Ok(Reply::Done(done)) => done,
        other => panic!("{other:?}"),
    }
}

fn contacts(world: &mut World, node: usize) -> Vec<ContactReply> {
    match world.call(node, Request::Contacts(NoParams {})) {
        Ok(Reply::Contacts(list)) => list.contacts,
        other => panic!("{other:?}"),
    }
}

fn is_asked(world: &World, node: usize) -> bool {
    world.nodes[node].events.iter().any(|event| matches!(&event.body, EventBody::ContactRequest { .. }))
}

fn are_connected(world: &World) -> bool {
    let told =
        |event: &murmesh_protocol::control::Event| matches!(&event.body, EventBody::ContactConnected { .. });
    [0, 1].iter().all(|node| world.nodes[*node].events.iter().any(told))
}

#[test]
fn a_stranger_asks_and_is_let_in_with_all_that_it_has_said() {
    let mut world = strangers(1, 6);
    let added = add(&mut world, 1, 0, Some("it is me, from the train"));
    assert_eq!((added.state, added.known), (ContactState::Requested, false));
    assert!(world.run_until(MINUTE_MS, |world| is_asked(world, 0)));
    world.run(MINUTE_MS);
    let requests = pending(&mut world, 0);
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    let stranger = world.account(1).to_string();
    assert_eq!((request.name.as_str(), request.text.as_str()), ("p1", "it is me, from the train"));
    assert_eq!(request.account, stranger);
    let told = world.nodes[0].events.iter().find_map(|event| match &event.body {
        EventBody::ContactRequest { account, name, id, text } => Some((account, name, id, text)),
        _ => None,
    });
    assert_eq!(told, Some((&stranger, &request.name, &request.id, &request.text)));
    // More than is kept of a stranger, and longer.
    let long = "x".repeat(50_000);
    for text in (0..20).map(|i| i.to_string()).chain([long.clone()]) {
        world.say(1, "mur1", &text);
    }
    world.run(10 * MINUTE_MS);
    assert_eq!((contacts(&mut world, 0).len(), world.read(0).len()), (0, 0), "not heard yet");
    assert_eq!(contacts(&mut world, 1)[0].state, ContactState::Requested);
    assert_eq!(accept(&mut world, 0, "").unwrap_err().name, ErrorName::NoSuchRequest);
    let contact = accept(&mut world, 0, &request.id).unwrap();
    assert_eq!((contact.name.as_str(), contact.account.as_str()), ("p1", request.account.as_str()));
    assert!(world.run_until(MINUTE_MS, are_connected));
    let said = world.say(0, "p1", "welcome");
    assert!(world.wait_state(0, &said.id, MessageState::Delivered, MINUTE_MS));
    world.run(MINUTE_MS);
    let mut texts = vec!["it is me, from the train".to_owned()];
    texts.extend((0..20).map(|i| i.to_string()));
    texts.push(long);
    assert_eq!(world.texts_from(0, "p1"), texts, "all, once, in order");
    assert_eq!(world.texts_from(1, "p0"), ["welcome"]);
    assert_eq!((world.outbox(1).len(), pending(&mut world, 0).len()), (0, 0));
    assert_eq!(accept(&mut world, 0, &request.id).unwrap_err().name, ErrorName::NoSuchRequest);
}

/// They are never up at the same time: custodians carry the request, the answer, and what was said meanwhile.
#[test]
fn a_request_and_its_answer_go_by_custodians() {
    let mut world = strangers(2, 8);
    let account = world.account(0).to_string();
    world.stop(0);
    let params = AddParams { ticket: account, name: Some("zed".to_owned()), text: None };
    world.call(1, Request::Add(params)).unwrap();
    world.run(MINUTE_MS);
    let (first, second) = (world.say(1, "zed", "one").id, world.say(1, "zed", "two").id);
    for id in [&first, &second] {
        assert!(world.wait_state(1, id, MessageState::Held, MINUTE_MS), "held for who may never answer");
    }
    world.stop(1);
    world.start(0);
    assert!(world.run_until(MINUTE_MS, |world| is_asked(world, 0)));
    world.run(MINUTE_MS);
    let request = pending(&mut world, 0).remove(0);
    assert_eq!(request.text, "one", "a text that came after the request is shown with it");
    accept(&mut world, 0, &request.id[..4]).unwrap();
    world.run(MINUTE_MS);
    assert_eq!(world.texts_from(0, "p1"), ["one", "two"]);
    let said = world.say(0, "p1", "come in").id;
    world.wait_state(0, &said, MessageState::Held, MINUTE_MS);
    world.stop(0);
    world.start(1);
    let arrived = |world: &World| {
        world.nodes[1].events.iter().any(|event| matches!(&event.body, EventBody::MessageReceived(_)))
    };
    assert!(world.run_until(MINUTE_MS, arrived));
    assert_eq!(contacts(&mut world, 1)[0].state, ContactState::Connected);
    assert_eq!(world.texts_from(1, "zed"), ["come in"]);
    assert_eq!(world.state(1, &second), Some(MessageState::Delivered));
    world.start(0);
    assert!(world.run_until(MINUTE_MS, are_connected));
}

/// Loss, repetition, and crashes at both ends between any two steps.
#[test]
fn a_crash_between_any_two_steps_loses_nothing() {
    for seed in 0..20 {
        let mut world = strangers(seed, 4);
        world.faults = Faults { loss: 100, duplication: 100, crash: 20 };
        let account = world.account(0).to_string();
        let request =
            || Request::Add(AddParams { ticket: account.clone(), name: None, text: Some("0".to_owned()) });
        until_answered(&mut world, 1, request);
        for text in ["1", "2"] {
            let client_id = Some(text.to_owned());
            until_answered(&mut world, 1, || World::send_request("mur1", text, client_id.clone()));
        }
        assert!(world.run_until(30 * MINUTE_MS, |world| is_stored(world, 0)), "seed {seed}");
        let by_account = world_account(&world, 1);
        let accept = || Request::AcceptRequest(AcceptRequestParams { id: by_account.clone(), name: None });
        until_answered(&mut world, 0, accept);
        world.faults.crash = 0;
        world.run(2 * MINUTE_MS);
        world.faults = Faults::default();
        world.run(30 * MINUTE_MS);
        assert_eq!(contacts(&mut world, 0).len(), 1, "seed {seed}");
        assert_eq!(contacts(&mut world, 0)[0].state, ContactState::Connected, "seed {seed}");
        assert_eq!(contacts(&mut world, 1)[0].state, ContactState::Connected, "seed {seed}");
        assert_eq!(world.texts_from(0, "p1"), ["0", "1", "2"], "seed {seed}");
        assert_eq!(pending(&mut world, 0).len(), 0, "seed {seed}");
    }
}

/// A request is on the disk, whatever the events say: their outputs may have been lost.
fn is_stored(world: &World, node: usize) -> bool {
    let rows = world.nodes[node].private.values();
    rows.filter(|(table, _)| **table == murmesh_protocol::messenger::store::Table::Requests).count() == 1
}

fn world_account(world: &World, node: usize) -> String {
    let mut store = world.nodes[node].private.clone();
    store.transaction(|tx| murmesh_protocol::messenger::Messenger::identity(tx)).unwrap().account
}

/// Asks until an answer comes: a node that crashes gives none, and may have done what it was asked.
fn until_answered(world: &mut World, node: usize, request: impl Fn() -> Request) {
    for _ in 0..50 {
        if !world.run_until(MINUTE_MS, |world| world.is_up(node)) {
            continue;
        }
        let id = world.ask(node, request());
        world.run(SECOND_MS);
        match world.nodes[node].replies.remove(&RequestId(id).0) {
            None => {}
            Some(Err(error)) if error.name == ErrorName::NoSuchRequest => return,
            Some(answer) => return drop(answer.unwrap()),
        }
    }
    panic!("no answer");
}

#[test]
fn two_who_ask_one_another_need_no_answer() {
    let mut world = strangers(4, 4);
    add(&mut world, 1, 0, Some("a"));
    add(&mut world, 0, 1, None);
    assert!(world.run_until(MINUTE_MS, are_connected));
    world.run(MINUTE_MS);
    assert_eq!(pending(&mut world, 0).len(), 0);
    assert_eq!(world.texts_from(0, "p1"), ["a"]);
}

/// The one who is asked adds the other: by its account, or by a ticket that it got meanwhile.
#[test]
fn who_adds_a_stranger_lets_it_in() {
    for by_ticket in [false, true] {
        let mut world = strangers(5, 4);
        add(&mut world, 1, 0, Some("a"));
        assert!(world.run_until(MINUTE_MS, |world| is_asked(world, 0)));
        let before = contacts(&mut world, 0).len();
        if by_ticket {
            let ticket = world.invite(1);
            world.add(0, &ticket).unwrap();
        } else {
            add(&mut world, 0, 1, None);
        }
        assert_eq!((before, pending(&mut world, 0).len()), (0, 0), "by ticket: {by_ticket}");
        assert!(world.run_until(MINUTE_MS, are_connected), "by ticket: {by_ticket}");
        world.run(MINUTE_MS);
        assert_eq!(world.texts_from(0, "p1"), ["a"]);
    }
}

/// Silence, then and later; the stranger's node cannot tell it from an owner who is away.
#[test]
fn who_is_declined_hears_nothing() {
    for block in [false, true] {
        let mut world = strangers(6, 4);
        add(&mut world, 1, 0, Some("a"));
        assert!(world.run_until(MINUTE_MS, |world| is_asked(world, 0)));
        let request = pending(&mut world, 0).remove(0);
        let done = decline(&mut world, 0, &request.id, block);
        assert_eq!(done.state, if block { "blocked" } else { "declined" });
        world.say(1, "mur1", "b");
        world.run(MINUTE_MS);
        // It begins anew, as after a rollback.
        world.stop(1);
        world.nodes[1].rolled_back = true;
        world.start(1);
        world.say(1, "mur1", "c");
        world.run(5 * MINUTE_MS);
        assert_eq!((pending(&mut world, 0).len(), world.read(0).len()), (0, 0));
        let asked = world.nodes[0].events.iter();
        let asked = asked.filter(|event| matches!(&event.body, EventBody::ContactRequest { .. })).count();
        assert_eq!(asked, 1, "not told of again");
        let contact = contacts(&mut world, 1).remove(0);
        assert_eq!((contact.state, contact.seen_at, contact.online), (ContactState::Requested, None, false));
        let states: Vec<MessageState> = world.outbox(1).into_iter().map(|entry| entry.state).collect();
        assert_eq!(states, [MessageState::Held; 3], "nothing but custodians' words");
        let here = contacts(&mut world, 0);
        assert_eq!(here.len(), usize::from(block));
        assert!(here.iter().all(|contact| contact.state == ContactState::Blocked));
        // Whoever declined may still change its mind.
        if !block {
            add(&mut world, 0, 1, None);
            assert!(world.run_until(MINUTE_MS, are_connected));
            world.run(MINUTE_MS);
            assert_eq!(world.texts_from(0, "p1"), ["a", "b", "c"]);
        }
    }
}

/// The default: a ticket or nothing. And nobody at all, not even by a ticket that was made before.
#[test]
fn who_may_ask_is_as_configured() {
    for accepts in [AcceptRequests::WithInvite, AcceptRequests::Nobody] {
        let mut world = World::new(7, 3, 4);
        world.run(SECOND_MS);
        let ticket = world.invite(0);
        world.run(SECOND_MS);
        world.stop(0);
        world.nodes[0].accepts = accepts;
        world.start(0);
        add(&mut world, 1, 0, Some("a"));
        world.add(2, &ticket).unwrap();
        world.run(2 * MINUTE_MS);
        assert!(!is_asked(&world, 0) && !is_stored(&world, 0));
        let names: Vec<String> = contacts(&mut world, 0).into_iter().map(|contact| contact.name).collect();
        let closed = accepts == AcceptRequests::Nobody;
        let let_in: &[&str] = if closed { &[] } else { &["p2"] };
        assert_eq!(names, let_in, "{accepts:?}");
        let params =
            murmesh_protocol::control::InviteParams { uses: None, expires_ms: None, no_address: false };
        let refused = world.call(0, Request::Invite(params)).err().map(|error| error.name);
        assert_eq!(refused, closed.then_some(ErrorName::Closed));
        // It opens up: the stranger's request is with custodians still.
        world.stop(0);
        world.nodes[0].accepts = AcceptRequests::Anyone;
        world.start(0);
        assert!(world.run_until(MINUTE_MS, |world| is_asked(world, 0)));
    }
}

/// Story: `request accept --as bob` where there was a bob made a bob-2, without a word.
#[test]
fn a_name_that_is_taken_lets_nobody_in_under_another_one() {
    let mut world = World::new(93, 3, 3);
    world.nodes[0].accepts = AcceptRequests::Anyone;
    world.stop(0);
    world.start(0);
    world.run(SECOND_MS);
    add(&mut world, 1, 0, None);
    add(&mut world, 2, 0, None);
    world.run(10 * MINUTE_MS);
    assert_eq!(pending(&mut world, 0).len(), 2);
    let ids: Vec<String> = pending(&mut world, 0).into_iter().map(|request| request.id).collect();
    assert_eq!(accept_as(&mut world, 0, &ids[0], Some("bob")).unwrap().name, "bob");
    let refused = accept_as(&mut world, 0, &ids[1], Some("bob")).unwrap_err();
    assert_eq!(refused.name, ErrorName::NameTaken);
    assert_eq!(pending(&mut world, 0).len(), 1, "it waits as before");
    assert_eq!(accept_as(&mut world, 0, &ids[1], Some("carol")).unwrap().name, "carol");
}
