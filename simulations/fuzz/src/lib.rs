//! What the fuzz targets share: the core's own list of decoders, and the machines' test worlds, included as
//! they are. Nothing is decided here; the same functions are replayed by the core's tests.
//!
//! The node's own decoders (configuration, control lines, announcements, custody rows, peer cache) are not here:
//! they would link libp2p under the sanitizer. Their property tests and replay are in `node/src/decoders.rs`.

use murmesh_protocol::decoders;

#[path = "../../../protocol/tests/it/correspondent.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod correspondent;
#[path = "../../../protocol/tests/it/mallory.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod mallory;
#[path = "../../../protocol/tests/it/sequences.rs"]
mod sequences;
#[path = "../../../protocol/tests/it/victim.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod victim;

/// Reads an input with a decoder, under the bound of memory; then checks the format's promises.
///
/// # Panics
/// When one is broken: a finding.
pub fn decode(name: &str, data: &[u8]) {
    let decoder = decoders::named(name).expect("a target is named after its decoder");
    let allocated = allocation_counter::measure(|| _ = (decoder.read)(data)).bytes_max;
    assert!(allocated <= decoder.allocated_bytes_max(data.len()), "{allocated} bytes for {}", data.len());
    (decoder.check)(data);
}

/// Runs a program in the world of the Messenger.
pub fn messenger(data: &[u8]) {
    sequences::messenger::run(data);
}

/// Runs a program in the world of the Keeper.
pub fn keeper(data: &[u8]) {
    sequences::keeper::run(data);
}

/// Damages a row of an account's store.
pub fn disk(data: &[u8]) {
    sequences::disk::run(data);
}
