//! What people take back: messages that have not left, invites, contacts.

use murmesh_protocol::control::{
    ContactState, ControlError, Done, ErrorName, EventBody, InvitesReply, MessageParams, MessageState,
    NoParams, Reply, Request, RetryParams, RevokeParams, WhoParams,
};
use murmesh_protocol::time::{HOUR_MS, MINUTE_MS, SECOND_MS};

use crate::world::World;

fn who(name: &str) -> WhoParams {
    WhoParams { who: name.to_owned() }
}

fn cancel(world: &mut World, node: usize, id: &str) -> Result<Reply, ControlError> {
    world.call(node, Request::Cancel(MessageParams { id: id.to_owned() }))
}

fn state_of(world: &mut World, node: usize, text: &str) -> MessageState {
    let messages = world.read(node);
    messages.iter().find(|message| message.text == text).expect("it is in the conversation").state
}

fn contact_state(world: &mut World, node: usize, name: &str) -> Result<ContactState, ErrorName> {
    match world.call(node, Request::Contact(who(name))) {
        Ok(Reply::Contact(contact)) => Ok(contact.state),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.name),
    }
}

/// Nobody to keep it and its recipient away: it is here only, and goes nowhere when it is taken back. What is
/// written afterwards shows no gap.
#[test]
fn a_message_that_has_not_left_is_taken_back_without_a_trace_at_the_other_side() {
    let mut world = World::connected(41, 0);
    world.stop(1);
    world.run(2 * SECOND_MS);
    let first = world.say(0, "p1", "not this");
    let second = world.say(0, "p1", "but this");
    world.run(2 * SECOND_MS);
    let Ok(Reply::Send(reply)) = cancel(&mut world, 0, &first.id) else { panic!() };
    assert_eq!(reply.state, MessageState::Failed);
    assert_eq!(state_of(&mut world, 0, "not this"), MessageState::Failed);
    assert_eq!(
        world.outbox(0).iter().map(|entry| entry.id.clone()).collect::<Vec<_>>(),
        std::slice::from_ref(&second.id)
    );
    let again = cancel(&mut world, 0, &first.id).map_err(|error| error.name);
    assert_eq!(again, Err(ErrorName::NotWaiting));
    world.stop(0);
    world.start(0);
    world.start(1);
    assert!(world.wait_state(0, &second.id, MessageState::Delivered, 60 * SECOND_MS));
    let received = world.read(1);
    let texts: Vec<(&str, u64)> = received.iter().map(|m| (m.text.as_str(), m.gap_before)).collect();
    assert_eq!(texts, [("but this", 0)]);
    world.run(HOUR_MS);
    assert_eq!(state_of(&mut world, 0, "not this"), MessageState::Failed, "its place was told, not its text");
    let gap = |body: &EventBody| matches!(body, EventBody::MessageGap { .. });
    assert!(!world.nodes[1].events.iter().any(|event| gap(&event.body)));
}

/// Custodians may have it, or the recipient: to say that it is gone would be a lie.
#[test]
fn what_has_left_cannot_be_taken_back() {
    let mut world = World::connected(42, 4);
    world.stop(1);
    let held = world.say(0, "p1", "held");
    assert!(world.wait_state(0, &held.id, MessageState::Held, 20 * SECOND_MS));
    let refused = cancel(&mut world, 0, &held.id).map_err(|error| error.name);
    assert_eq!(refused, Err(ErrorName::AlreadySent));
    // The sender's restart makes no difference.
    world.stop(0);
    world.start(0);
    let refused = cancel(&mut world, 0, &held.id).map_err(|error| error.name);
    assert_eq!(refused, Err(ErrorName::AlreadySent));
    world.start(1);
    assert!(world.wait_state(0, &held.id, MessageState::Delivered, 60 * SECOND_MS));
    let refused = cancel(&mut world, 0, &held.id).map_err(|error| error.name);
    assert_eq!(refused, Err(ErrorName::NotWaiting));
    assert_eq!(world.texts_from(1, "p0"), ["held"]);
}

/// On the direct stream, before any receipt: that is enough for it to have left.
#[test]
fn what_is_on_a_stream_cannot_be_taken_back() {
    let mut world = World::connected(43, 0);
    world.nodes[1].paused_until = world.now.plus(HOUR_MS);
    let sent = world.say(0, "p1", "on its way");
    let refused = cancel(&mut world, 0, &sent.id).map_err(|error| error.name);
    assert_eq!(refused, Err(ErrorName::AlreadySent));
}

/// Story: of a first message the contact's own machine gets a copy that does
/// not count; nobody else was there, so it had not left, was taken back, and was read all the same.
#[test]
fn a_copy_that_does_not_count_has_left_all_the_same() {
    let mut world = World::new(49, 2, 0);
    world.run(SECOND_MS);
    let ticket = world.invite(0);
    world.run(SECOND_MS);
    world.add(1, &ticket).unwrap();
    world.nodes[0].paused_until = world.now.plus(MINUTE_MS);
    let sent = world.say(1, "mur1", "too late");
    world.run(5 * SECOND_MS);
    let cancelled = cancel(&mut world, 1, &sent.id).map_err(|error| error.name);
    assert_eq!(cancelled, Err(ErrorName::AlreadySent));
    world.run(2 * MINUTE_MS);
    assert_eq!(world.texts_from(0, "p1"), ["too late"]);
}

/// The same with a copy of one's own Keeper's: whose message it is looks there when it is back, and found what had been
/// taken back.
#[test]
fn what_is_taken_back_is_not_found_at_the_own_keeper() {
    let mut world = World::connected(50, 0);
    world.stop(1);
    world.run(2 * SECOND_MS);
    let sent = world.say(0, "p1", "not this");
    world.run(MINUTE_MS);
    assert!(matches!(cancel(&mut world, 0, &sent.id), Ok(Reply::Send(_))));
    world.say(0, "p1", "but this");
    world.start(1);
    world.run(HOUR_MS);
    assert_eq!(world.texts_from(1, "p0"), ["but this"]);
}

/// What waits for its next attempt is tried at once, not in an hour.
#[test]
fn retry_tries_now() {
    let mut world = World::connected(44, 4);
    world.stop(1);
    for custodian in 2..6 {
        world.stop(custodian);
    }
    let sent = world.say(0, "p1", "hello");
    let backed_off = (0..3_600).any(|_| {
        world.run(10 * SECOND_MS);
        let next = world.outbox(0)[0].next_try;
        next.is_some_and(|next| next > world.now.plus(60 * SECOND_MS).into())
    });
    assert!(backed_off);
    let before = world.outbox(0)[0].attempts;
    for id in [None, Some(sent.id.clone())] {
        let Ok(Reply::Outbox(tried)) = world.call(0, Request::Retry(RetryParams { id })) else { panic!() };
        assert_eq!(tried.messages.len(), 1);
        world.run(5 * SECOND_MS);
    }
    assert_eq!(world.outbox(0)[0].attempts, before + 2);
    let none = Request::Retry(RetryParams { id: Some("00000000".to_owned()) });
    assert_eq!(world.call(0, none).map_err(|error| error.name), Err(ErrorName::NoSuchMessage));
}

#[test]
fn a_blocked_contact_is_neither_heard_nor_written_to_until_it_is_let_in_again() {
    let mut world = World::connected(45, 4);
    world.run(2 * SECOND_MS);
    world.stop(1);
    let waiting = world.say(0, "p1", "waits");
    world.run(SECOND_MS);
    let Ok(Reply::Contact(blocked)) = world.call(0, Request::Block(who("p1"))) else { panic!() };
    assert_eq!((blocked.state, blocked.online), (ContactState::Blocked, false));
    assert_eq!(world.state(0, &waiting.id), Some(MessageState::Failed));
    assert!(world.outbox(0).is_empty());
    let refused = world.call(0, World::send_request("p1", "x", None)).map_err(|error| error.name);
    assert_eq!(refused, Err(ErrorName::Blocked));
    world.start(1);
    world.run(5 * SECOND_MS);
    let unheard = world.say(1, "p0", "unheard");
    world.run(60 * SECOND_MS);
    assert_ne!(world.state(1, &unheard.id), Some(MessageState::Delivered));
    assert_eq!(world.texts_from(0, "p1"), [] as [&str; 0]);
    // It stays so over a restart.
    world.stop(0);
    world.start(0);
    world.run(60 * SECOND_MS);
    assert_eq!(contact_state(&mut world, 0, "p1"), Ok(ContactState::Blocked));
    assert_eq!(world.texts_from(0, "p1"), [] as [&str; 0]);
    let Ok(Reply::Contact(open)) = world.call(0, Request::Unblock(who("p1"))) else { panic!() };
    assert_eq!(open.state, ContactState::Connected);
    world.run(5 * SECOND_MS);
    let heard = world.say(1, "p0", "heard");
    let back = world.say(0, "p1", "welcome back");
    assert!(world.wait_state(1, &heard.id, MessageState::Delivered, 60 * SECOND_MS));
    assert!(world.wait_state(0, &back.id, MessageState::Delivered, 60 * SECOND_MS));
    assert!(world.texts_from(0, "p1").contains(&"heard".to_owned()));
    assert_eq!(world.call(0, Request::Unblock(who("p1"))).map(|_| ()), Ok(()), "once more changes nothing");
}

/// Its stream is nobody's from then on: it is not shown as online, and gets no receipt over it.
#[test]
fn a_contact_that_is_blocked_while_it_is_online_loses_its_stream() {
    let mut world = World::connected(48, 4);
    let met = world.say(1, "p0", "before");
    assert!(world.wait_state(1, &met.id, MessageState::Delivered, 5 * SECOND_MS));
    let Ok(Reply::Contact(blocked)) = world.call(0, Request::Block(who("p1"))) else { panic!() };
    assert!(!blocked.online);
    let unheard = world.say(1, "p0", "after");
    world.run(60 * SECOND_MS);
    assert_ne!(world.state(1, &unheard.id), Some(MessageState::Delivered));
    assert_eq!(world.texts_from(0, "p1"), ["before"]);
}

#[test]
fn a_removed_contact_is_gone_with_all_that_was_said_and_may_come_again_by_a_new_ticket() {
    let mut world = World::connected(46, 4);
    let sent = world.say(0, "p1", "secret");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 5 * SECOND_MS));
    let Ok(Reply::Done(done)) = world.call(0, Request::Remove(who("p1"))) else { panic!() };
    assert_eq!(done, Done { state: "removed".to_owned() });
    assert_eq!(contact_state(&mut world, 0, "p1"), Err(ErrorName::NoSuchContact));
    assert!(world.read(0).is_empty());
    let store = &world.nodes[0].private;
    let left = store.values().filter(|(_, value)| value.windows(6).any(|window| window == b"secret"));
    // Events are what was told to clients; they go with time.
    use murmesh_protocol::messenger::store::Table;
    assert_eq!(left.filter(|(table, _)| **table != Table::Events).count(), 0);
    assert_eq!(store.values().filter(|(table, _)| **table == Table::Sessions).count(), 0);
    let unheard = world.say(1, "p0", "are you there?");
    world.run(60 * SECOND_MS);
    assert_ne!(world.state(1, &unheard.id), Some(MessageState::Delivered));
    assert_eq!(
        contact_state(&mut world, 0, "p1"),
        Err(ErrorName::NoSuchContact),
        "it does not come by itself"
    );
    world.stop(0);
    world.start(0);
    assert!(matches!(world.call(1, Request::Remove(who("p0"))), Ok(Reply::Done(_))));
    let ticket = world.invite(0);
    world.run(5 * SECOND_MS);
    world.add(1, &ticket).expect("a new ticket");
    world.run(20 * SECOND_MS);
    assert_eq!(contact_state(&mut world, 0, "p1"), Ok(ContactState::Connected));
    let again = world.say(0, "p1", "hello again");
    assert!(world.wait_state(0, &again.id, MessageState::Delivered, 60 * SECOND_MS));
}

#[test]
fn a_revoked_invite_lets_nobody_in() {
    let mut world = World::new(47, 2, 4);
    world.run(2 * SECOND_MS);
    let ticket = world.invite(0);
    world.run(5 * SECOND_MS);
    let open = |world: &mut World| match world.call(0, Request::Invites(NoParams {})) {
        Ok(Reply::Invites(InvitesReply { invites })) => invites,
        other => panic!("{other:?}"),
    };
    let invites = open(&mut world);
    assert_eq!((invites.len(), invites[0].uses), (1, 1));
    let revoke = |id: &str| Request::Revoke(RevokeParams { id: id.to_owned() });
    let unknown = world.call(0, revoke("00000000")).map_err(|error| error.name);
    assert_eq!(unknown, Err(ErrorName::NoSuchInvite));
    assert!(matches!(world.call(0, revoke(&invites[0].id)), Ok(Reply::Done(_))));
    assert!(open(&mut world).is_empty());
    let again = world.call(0, revoke(&invites[0].id)).map_err(|error| error.name);
    assert_eq!(again, Err(ErrorName::NoSuchInvite));
    world.run(5 * SECOND_MS);
    let added = world.add(1, &ticket).map_err(|error| error.name);
    assert_eq!(added.map(|_| ()), Err(ErrorName::TicketEnded));
    // A used one is not listed either.
    let ticket = world.invite(0);
    world.add(1, &ticket).expect("this one is good");
    assert!(world.run_until(60 * SECOND_MS, |world| {
        world.nodes[0].events.iter().any(|event| matches!(event.body, EventBody::ContactConnected { .. }))
    }));
    assert!(open(&mut world).is_empty());
}
