//! Plain files: what a cut may do to them, and what not.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use murmesh_crash_vfs::{Call, Disk, Fault, FaultKind};

/// What is left of a file after a cut, by each of many seeds.
fn left(name: &str, make: impl Fn(&Disk)) -> BTreeSet<Option<Vec<u8>>> {
    (0..200)
        .map(|seed| {
            let disk = Disk::new();
            make(&disk);
            disk.cut();
            disk.start(seed);
            disk.read(&disk.directory().join(name)).ok()
        })
        .collect()
}

#[test]
fn what_was_synced_with_its_name_stays() {
    let kept = left("a", |disk| {
        let path = disk.directory().join("a");
        disk.write(&path, b"one").unwrap();
        disk.sync(&path).unwrap();
        disk.sync_directory().unwrap();
    });
    assert_eq!(kept, BTreeSet::from([Some(b"one".to_vec())]));
}

#[test]
fn a_name_without_a_synced_directory_may_vanish() {
    let kept = left("a", |disk| {
        let path = disk.directory().join("a");
        disk.write(&path, b"one").unwrap();
        disk.sync(&path).unwrap();
    });
    assert_eq!(kept, BTreeSet::from([None, Some(b"one".to_vec())]));
}

#[test]
fn a_removed_name_may_return_and_a_renamed_one_is_the_old_or_the_new() {
    let make = |disk: &Disk| {
        for (name, content) in [("a", b"old"), ("b", b"new")] {
            let path = disk.directory().join(name);
            disk.write(&path, content).unwrap();
            disk.sync(&path).unwrap();
        }
        disk.sync_directory().unwrap();
    };
    let removed = left("a", |disk| {
        make(disk);
        disk.remove(&disk.directory().join("a")).unwrap();
    });
    assert_eq!(removed, BTreeSet::from([None, Some(b"old".to_vec())]));
    let renamed = left("a", |disk| {
        make(disk);
        disk.rename(&disk.directory().join("b"), &disk.directory().join("a")).unwrap();
    });
    assert_eq!(renamed, BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]));
}

#[test]
fn unsynced_sectors_are_kept_lost_or_torn_in_any_order() {
    let kept = left("a", |disk| {
        let path = disk.directory().join("a");
        disk.write(&path, &[1; 1_536]).unwrap();
        disk.sync(&path).unwrap();
        disk.sync_directory().unwrap();
        disk.write(&path, &[2; 1_536]).unwrap();
    });
    let contents: Vec<Vec<u8>> = kept.into_iter().flatten().collect();
    let whole = |byte| contents.iter().any(|content| *content == [byte; 1_536]);
    assert!(whole(1) && whole(2), "all lost, all kept");
    let sector = |content: &[u8], i: usize, byte: u8| {
        content.get(i * 512..i * 512 + 512).is_some_and(|sector| sector == [byte; 512])
    };
    assert!(contents.iter().any(|c| !sector(c, 0, 2) && sector(c, 2, 2)), "a later one without an earlier");
    let torn = contents.iter().any(|content| {
        content.chunks(512).any(|sector| sector.contains(&2) && sector.last().is_some_and(|last| *last != 2))
    });
    assert!(torn, "part of a sector");
}

#[test]
fn the_call_in_which_the_power_fails_may_have_happened() {
    let kept = left("a", |disk| {
        let path = disk.directory().join("a");
        disk.write(&path, b"one").unwrap();
        disk.sync(&path).unwrap();
        disk.sync_directory().unwrap();
        // Opened, then emptied.
        disk.cut_after(2);
        assert!(disk.write(&path, b"two").is_err());
        assert!(!disk.is_on());
        assert!(disk.read(&path).is_err(), "and nothing works any more");
    });
    assert_eq!(kept, BTreeSet::from([Some(Vec::new()), Some(b"one".to_vec())]));
}

#[test]
fn a_failed_sync_loses_for_good_what_can_still_be_read() {
    let kept = |seed| {
        let disk = Disk::new();
        let path = disk.directory().join("a");
        disk.write(&path, &[1; 512]).unwrap();
        disk.sync(&path).unwrap();
        disk.sync_directory().unwrap();
        disk.start(seed);
        disk.write(&path, &[2; 512]).unwrap();
        disk.fail(Fault { kind: FaultKind::Io, after: 2, lasting: false });
        assert!(disk.sync(&path).is_err());
        assert_eq!(disk.heal(), [Call::Sync]);
        assert_eq!(disk.read(&path).unwrap(), [2; 512]);
        disk.sync(&path).unwrap();
        disk.start(seed);
        disk.read(&path).unwrap() == [2; 512]
    };
    let kept = (0..20).filter(|seed| kept(*seed)).count();
    assert!((1..20).contains(&kept), "{kept}");
}

#[test]
fn the_nth_call_fails_as_told_and_only_that_one() {
    let disk = Disk::new();
    let path = disk.directory().join("a");
    disk.write(&path, b"one").unwrap();
    disk.fail(Fault { kind: FaultKind::Io, after: 3, lasting: false });
    // Opened, emptied, written.
    assert!(disk.write(&path, b"two").is_err());
    assert_eq!(disk.read(&path).unwrap(), b"");
    assert_eq!(disk.heal(), [Call::Write]);
    disk.fail(Fault { kind: FaultKind::Short, after: 1, lasting: true });
    for _ in 0..2 {
        let error = disk.write(&path, b"four").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(disk.read(&path).unwrap(), b"fo");
    }
    disk.heal();
    disk.fail(Fault { kind: FaultKind::Full, after: 1, lasting: true });
    let error = disk.write(&disk.directory().join("b"), b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.read(&path).unwrap(), b"fo", "what needs no room works");
    disk.heal();
    disk.write(&path, b"five").unwrap();
    assert_eq!(disk.read(&path).unwrap(), b"five");
}

#[test]
fn a_seed_means_the_same_every_time() {
    let once = |seed| {
        let disk = Disk::new();
        let path = disk.directory().join("a");
        disk.write(&path, &[1; 9_000]).unwrap();
        disk.sync_directory().unwrap();
        let lost = disk.start(seed);
        (lost, disk.read(&path).ok())
    };
    (0..50).for_each(|seed| assert_eq!(once(seed), once(seed)));
}

#[test]
fn a_copy_is_a_disk_of_its_own() {
    let disk = Disk::new();
    let path = disk.directory().join("a");
    disk.write(&path, b"one").unwrap();
    let copy = disk.copy();
    copy.start(0);
    let copied = copy.directory().join("a");
    assert_eq!(copy.read(&copied).unwrap(), b"one", "safe there");
    copy.write(&copied, b"two").unwrap();
    assert_eq!(disk.read(&path).unwrap(), b"one");
}
