//! The corpora of sequences replayed, and programs that proptest makes.

use std::path::PathBuf;

use proptest::prelude::*;

use crate::sequences::{disk, keeper, messenger};

type Run = fn(&[u8]);

const ALL: [(&str, Run); 3] = [("messenger", messenger::run), ("keeper", keeper::run), ("disk", disk::run)];

/// What the machines' own steps need in any case, beside what a program brings.
const ALLOCATED_BYTES_MAX: u64 = 24 * 1024 * 1024;

fn corpus(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../simulations/fuzz/corpus", name].iter().collect()
}

/// Programs that reach far: each a few hundred steps of one kind after another.
fn samples(name: &str) -> Vec<Vec<u8>> {
    let of = |steps: &[&[u8]]| steps.concat();
    match name {
        "messenger" => vec![
            // A text written and sent; again; changed; by a stranger.
            of(&[
                &[0, 0, 0],
                &[2, 0, 0, 4, 0],
                &[2, 0, 0, 4, 0],
                &[3, 0, 0, 4, 0, 9, 0, 0, 3],
                &[2, 2, 0, 4, 0],
            ]),
            // A content that is none, sealed and sent; an hour passes; a restart.
            of(&[
                &[1, 0, 0, 3, 0, 1, 2, 3],
                &[2, 0, 0, 4, 0],
                &[5, 0, 0, 255],
                &[9, 0, 0, 1],
                &[5, 0, 0, 255],
            ]),
            // Mailboxes listed, envelopes handed over, records answered, the contact gone and back.
            of(&[
                &[11, 1, 0, 1, 0, 9, 1, 0, 0],
                &[10, 1, 0, 0, 0, 1, 0],
                &[12, 1, 0, 0, 0, 0],
                &[6, 0, 0],
                &[7, 0, 0, 1],
            ]),
            of(&[
                &[8, 0, 0, 2, 0, b'h', b'i', 0],
                &[11, 1, 0, 0, 0, 0, 0, 2],
                &[13, 0, 0, 7, 1, 0, b'x', 1],
                &[5, 0, 0, 60],
            ]),
        ],
        "keeper" => vec![
            // Deposited, subscribed to, fetched, buried; replayed, changed.
            of(&[
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 3],
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0],
                &[2, 1, 0, 0, 0],
            ]),
            of(&[
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 9, 3],
                &[0, 0, 0, 0, 0, 0, 0, 1, 0, 4],
                &[4, 0, 0, 9],
                &[5, 0, 0],
                &[6, 0, 0, 1],
            ]),
            of(&[
                &[0, 0, 0, 0, 0, 9, 0, 0, 0, 5, 1, 0, 77, 1],
                &[1, 0, 0, 0, 0, 9, 0, 0, 0, 5, 1, 0, 77, 1, 5, 0, 0, 1],
                &[7, 0, 0, 0],
                &[8, 0, 0],
            ]),
        ],
        "disk" => (0..12)
            .flat_map(|table| [vec![table, 0, 0, 0, 1, 2, 3], vec![table, 0, 0, 1, 9, 0, 0, 3]])
            .collect(),
        other => panic!("{other} has no samples"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a corpus is files")]
fn files(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(corpus(name)).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
#[ignore = "writes into the tree; run by hand"]
#[expect(clippy::disallowed_methods, reason = "a corpus is files")]
fn write_programs() {
    for (name, _) in ALL {
        std::fs::create_dir_all(corpus(name)).unwrap();
        for (i, sample) in samples(name).iter().enumerate() {
            std::fs::write(corpus(name).join(format!("sample-{i:02}")), sample).unwrap();
        }
    }
}

fn checked(name: &str, run: Run, program: &[u8]) {
    // Made once, and not by a program.
    messenger::snapshot();
    let allocated = allocation_counter::measure(|| run(program)).bytes_max;
    assert!(allocated <= ALLOCATED_BYTES_MAX, "{name}: {allocated} bytes: {program:02x?}");
}

#[test]
fn the_corpora_of_sequences_are_replayed() {
    for (name, run) in ALL {
        let files = files(name);
        assert!(files.len() >= samples(name).len(), "{name}: run write_programs");
        files.iter().for_each(|file| checked(name, run, file));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_leaves_the_machines_alive(
        which in 0..ALL.len(),
        steps in prop::collection::vec((any::<u8>(), prop::collection::vec(prop_oneof![0u8..8, any::<u8>()], 2..16)), 0..30),
    ) {
        let program: Vec<u8> = steps.iter().flat_map(|(step, rest)| [&[*step], rest.as_slice()].concat()).collect();
        let (name, run) = ALL[which];
        checked(name, run, &program);
    }
}
