//! A data directory any file of which may be anything: a node starts, or says why not. It does not panic, and
//! what it says has a name.

use std::path::Path;
use std::time::Duration;

use murmesh_node::Node;
use murmesh_node::store::Unlock;
use murmesh_protocol::control::{ErrorName, NoParams, Request};
use rand::rngs::ChaCha20Rng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::nodes::{config, init, start};
use crate::stub::PATIENCE;

/// Longer than a start of whatever a file says.
const START: Duration = Duration::from_secs(60);

/// Files of a node with an account.
fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for name in files(from) {
        std::fs::copy(from.join(&name), to.path().join(&name)).unwrap();
    }
    to
}

/// What may have become of a file.
fn damages(bytes: &[u8], rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
    let mut noise = vec![0; 5_000];
    rng.fill_bytes(&mut noise);
    let mut all = vec![Vec::new(), noise.clone(), vec![b'['; 100_000], bytes[..bytes.len() / 2].to_vec()];
    for _ in 0..12 {
        let mut flipped = bytes.to_vec();
        for _ in 0..=rng.next_u32() % 8 {
            if flipped.is_empty() {
                continue;
            }
            let at = usize::try_from(rng.next_u32()).unwrap() % flipped.len();
            flipped[at] ^= 1 << (rng.next_u32() % 8);
        }
        all.push(flipped);
    }
    let mut swapped = bytes.to_vec();
    let middle = swapped.len() / 2;
    swapped.iter_mut().skip(middle).zip(&noise).for_each(|(byte, other)| *byte = *other);
    all.push(swapped);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn any_file_of_a_data_directory_may_be_anything() {
    let home = tempfile::tempdir().unwrap();
    let node = start(&home, &[]).await;
    init(&node, "alice").await;
    node.stop().await;
    std::fs::write(home.path().join("config.toml"), "[node]\npeers_max = 9\n").unwrap();
    let names = files(home.path());
    assert!(
        names.contains(&"private.db".to_owned()) && names.contains(&"custody.db".to_owned()),
        "{names:?}"
    );
    let (mut rng, mut refused, mut started) = (ChaCha20Rng::seed_from_u64(4), 0, 0);
    for name in &names {
        let whole = std::fs::read(home.path().join(name)).unwrap();
        for damaged in damages(&whole, &mut rng) {
            let copy = copy(home.path());
            std::fs::write(copy.path().join(name), &damaged).unwrap();
            let (config, unlock) = (config(copy.path(), &[]), Unlock::default());
            let begun = Node::start(&config, &unlock);
            match tokio::time::timeout(START, begun).await.expect("starts or refuses in time") {
                Ok(node) => {
                    started += 1;
                    let asked = node.call(Request::Contacts(NoParams {}));
                    let answer = tokio::time::timeout(PATIENCE, asked).await.expect("answers");
                    let damage =
                        [ErrorName::Database, ErrorName::NoAccount, ErrorName::Stopping, ErrorName::Locked];
                    assert!(
                        answer.as_ref().is_ok_and(|_| true) || damage.contains(&answer.unwrap_err().name)
                    );
                    node.stop().await;
                }
                Err(error) => {
                    refused += 1;
                    assert_ne!(error.name, ErrorName::Internal, "{name}: {error:?}");
                }
            }
        }
    }
    eprintln!("{} files: {started} starts, {refused} refusals", names.len());
    assert!(started > 0 && refused > 0);
}
