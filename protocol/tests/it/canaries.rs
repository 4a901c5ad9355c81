//! Who learns what: a thousand texts and names, looked for in everything custodians keep and in every
//! frame that crossed the network.

use murmesh_protocol::control::MessageState;
use murmesh_protocol::time::SECOND_MS;
use murmesh_protocol::wire::frame::Frame;

use crate::world::World;

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn no_text_and_no_name_is_in_custody_or_on_the_wire() {
    let mut world = World::new(21, 2, 5);
    world.record = true;
    world.run(SECOND_MS);
    world.introduce(0, 1);
    // One on the direct stream, where no mask is around what is sealed.
    let direct = world.say(0, "p1", "canary-direct");
    assert!(world.wait_state(0, &direct.id, MessageState::Delivered, 2 * SECOND_MS));
    world.stop(1);
    // 100 messages of ten canaries each; the nicknames are p0 and p1 with a canary beside them.
    let mut last = None;
    for i in 0..100 {
        let text: Vec<String> = (0..10).map(|j| format!("canary-{i:03}-{j}")).collect();
        last = Some(world.say(0, "p1", &text.join(" ")));
    }
    let last = last.unwrap();
    assert!(world.wait_state(0, &last.id, MessageState::Held, 20 * SECOND_MS));
    let seen: Vec<&[u8]> = world.recorded.iter().map(Vec::as_slice).collect();
    let kept: Vec<&[u8]> = world.nodes.iter().flat_map(|node| node.custody.held()).collect();
    assert!(kept.len() > 400 && seen.len() > 400, "there is something to look through");
    let directly = |bytes: &&[u8]| matches!(Frame::from_bytes(bytes), Ok(Frame::Direct { .. }));
    assert!(seen.iter().any(directly), "also on a direct stream");
    for haystack in seen.into_iter().chain(kept) {
        assert!(!contains(haystack, b"canary-"), "a text in clear");
        assert!(!contains(haystack, b"\x02p0") && !contains(haystack, b"\x02p1"), "a nickname in clear");
    }
    // The search would find them: they are in the sender's own store.
    assert!(world.nodes[0].private.values().any(|(_, value)| contains(value, b"canary-099-9")));
    world.start(1);
    world.run(20 * SECOND_MS);
    assert_eq!(world.texts_from(1, "p0").len(), 101);
}
