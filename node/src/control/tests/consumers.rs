//! Named consumers, as far as the server has a part in them: names for subscriptions.

use murmesh_protocol::control::SubscribeReply;

use super::*;

/// What the fake says to a consumer; it refuses everything else. A new consumer begins at 2.
#[expect(clippy::wildcard_enum_match_arm, reason = "the fake refuses the rest")]
pub(super) fn answer(
    consumers: &Mutex<BTreeMap<String, u64>>,
    request: Request,
) -> Result<Reply, ControlError> {
    match request {
        Request::Subscribe(params) => {
            let name = params.name.unwrap();
            if name == "one-too-many" {
                return Err(ErrorName::TooMany.into());
            }
            let cursor = *consumers.lock().unwrap().entry(name.clone()).or_insert(2);
            Ok(Reply::Subscribe(SubscribeReply { subscription: name, cursor: cursor.to_string() }))
        }
        Request::Ack(params) => {
            consumers.lock().unwrap().insert(params.subscription, params.cursor.parse().unwrap());
            Ok(Reply::Done(Done { state: "acknowledged".into() }))
        }
        _ => Err(ControlError::with(ErrorName::NoSuchContact, "zed")),
    }
}

#[tokio::test]
async fn a_named_consumer_is_told_again_what_it_has_not_acknowledged() {
    let world = World::start();
    (1..=4).for_each(|cursor| world.happens(cursor));
    let subscribe = json!({"name": "bot", "since": "4"});
    let mut client = world.client().await;
    let reply = client.ask("events.subscribe", subscribe.clone()).await;
    assert_eq!(reply["result"], json!({"subscription": "s1", "cursor": "2"}), "the consumer's, not since");
    for cursor in ["3", "4"] {
        assert_eq!(client.read().await["params"]["cursor"], cursor);
    }
    let reply = client.ask("events.ack", json!({"subscription": "s1", "cursor": "3"})).await;
    assert_eq!(reply["result"]["state"], "acknowledged");
    drop(client);
    let mut client = world.client().await;
    assert_eq!(client.ask("events.subscribe", subscribe).await["result"]["cursor"], "3");
    assert_eq!(client.read().await["params"]["cursor"], "4", "again: it was not acknowledged");
    // A subscription of no name has nothing to acknowledge, and one of another connection is not known.
    let mut other = world.client().await;
    other.ask("events.subscribe", json!({})).await;
    let reply = other.ask("events.ack", json!({"subscription": "s1", "cursor": "4"})).await;
    assert_eq!(reply["error"]["message"], "bad-request");
    let reply = other.ask("events.subscribe", json!({"name": "one-too-many"})).await;
    assert_eq!(reply["error"]["message"], "too-many");
    assert_eq!(*world.fake.consumers.lock().unwrap(), BTreeMap::from([("bot".to_owned(), 3)]));
}

#[tokio::test]
async fn a_consumer_that_is_too_late_is_told_that_events_are_missing() {
    let world = World::start();
    (1..=9).for_each(|cursor| world.happens(cursor));
    world.forget_before(6);
    let mut client = world.client().await;
    client.ask("events.subscribe", json!({"name": "bot"})).await;
    let gap = client.read().await;
    assert_eq!(
        (&gap["params"]["type"], &gap["params"]["data"]["after"]),
        (&json!("stream.gap"), &json!("2"))
    );
    assert_eq!(client.read().await["params"]["cursor"], "6");
}
