//! Named consumers of events: where one stands survives a restart, and their number is bounded.

use murmesh_protocol::control::{
    AckParams, ControlError, ErrorName, ForgetParams, NoParams, Reply, Request, SubscribeParams,
};
use murmesh_protocol::limits::CONSUMERS_MAX;
use murmesh_protocol::time::SECOND_MS;

use crate::world::World;

fn subscribe(world: &mut World, name: &str, since: Option<&str>) -> Result<u64, ControlError> {
    let since = since.map(str::to_owned);
    let params = SubscribeParams { since, types: Vec::new(), name: Some(name.to_owned()) };
    match world.call(0, Request::Subscribe(params))? {
        Reply::Subscribe(reply) => Ok(reply.cursor.parse().unwrap()),
        other => panic!("{other:?}"),
    }
}

fn ack(world: &mut World, name: &str, cursor: u64) -> Result<(), ErrorName> {
    let params = AckParams { subscription: name.to_owned(), cursor: cursor.to_string() };
    world.call(0, Request::Ack(params)).map(|_| ()).map_err(|error| error.name)
}

fn forget(world: &mut World, name: &str) -> Result<(), ErrorName> {
    let params = ForgetParams { name: name.to_owned() };
    world.call(0, Request::Forget(params)).map(|_| ()).map_err(|error| error.name)
}

fn kept(world: &mut World) -> Vec<(String, String)> {
    match world.call(0, Request::Consumers(NoParams {})) {
        Ok(Reply::Consumers(reply)) => reply.consumers.into_iter().map(|c| (c.name, c.cursor)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_consumer_goes_on_behind_what_it_has_acknowledged_also_after_a_restart() {
    let mut world = World::connected(61, 0);
    let now = subscribe(&mut world, "bot", None).unwrap();
    assert!(now > 0, "there were events already: a new one begins now");
    assert_eq!(subscribe(&mut world, "archive", Some("0")), Ok(0), "or where it wants to");
    for text in ["one", "two", "three"] {
        world.say(0, "p1", text);
    }
    world.run(2 * SECOND_MS);
    let last = subscribe(&mut world, "third", None).unwrap();
    assert!(last > now + 1, "several events came");
    assert_eq!(ack(&mut world, "bot", now + 1), Ok(()));
    assert_eq!(ack(&mut world, "bot", now), Ok(()), "late, and changes nothing");
    world.stop(0);
    world.start(0);
    assert_eq!(subscribe(&mut world, "bot", Some("0")), Ok(now + 1), "whatever since says");
    assert_eq!(subscribe(&mut world, "archive", None), Ok(0));
    assert_eq!(ack(&mut world, "bot", u64::MAX), Err(ErrorName::OutOfRange), "of the future");
    assert_eq!(ack(&mut world, "zed", 1), Err(ErrorName::NoSuchConsumer));
    let names: Vec<_> = kept(&mut world).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["archive", "bot", "third"]);
}

#[test]
fn consumers_are_bounded_until_one_is_forgotten() {
    let mut world = World::connected(62, 0);
    for i in 0..CONSUMERS_MAX {
        subscribe(&mut world, &format!("c{i}"), None).unwrap();
    }
    let refused = |world: &mut World| subscribe(world, "more", None).map_err(|error| error.name);
    assert_eq!(refused(&mut world), Err(ErrorName::TooMany));
    assert!(subscribe(&mut world, "c0", None).is_ok(), "a known one is not refused");
    assert_eq!(forget(&mut world, "c1"), Ok(()));
    assert_eq!(forget(&mut world, "c1"), Err(ErrorName::NoSuchConsumer));
    assert!(refused(&mut world).is_ok());
    assert_eq!(kept(&mut world).len(), CONSUMERS_MAX);
    let unnamed = subscribe(&mut world, " ", None).map_err(|error| error.name);
    assert_eq!(unnamed, Err(ErrorName::BadName));
}
