//! Limits that protect a Messenger, met by honest heavy use (SPEC §9.1), and what one contact's junk does to
//! what others have sent.

use murmesh_protocol::time::MINUTE_MS;

use crate::world::World;

/// Whoever goes back to older copies twice has messages of three runs on their way; each is sent until a receipt
/// names its run.
#[test]
fn receipts_name_every_run_that_is_on_its_way() {
    let mut world = World::connected(4, 5);
    world.set_cut(0, 1, true);
    world.say(0, "p1", "run 1");
    for run in 2..=4 {
        world.stop(0);
        world.nodes[0].rolled_back = true;
        world.start(0);
        world.say(0, "p1", &format!("run {run}"));
    }
    world.run(MINUTE_MS);
    world.set_cut(0, 1, false);
    world.run(10 * MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0").len(), 4);
    assert!(world.outbox(0).is_empty(), "{:?}", world.outbox(0));
}
