use super::*;

fn id(i: u16) -> PeerId {
    let mut key = [7; 32];
    key[..2].copy_from_slice(&i.to_be_bytes());
    PeerId(key)
}

fn told(table: &mut PeerTable, id: PeerId, addresses: &[&str], now: Instant) {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    table.learn(id, addresses, Standing::Told, None, now);
}

fn rng() -> impl Rng {
    use rand::SeedableRng;
    rand::rngs::ChaCha20Rng::seed_from_u64(1)
}

#[test]
fn one_peer_above_the_bound_displaces_the_worst() {
    let (mut table, now) = (PeerTable::new(id(9_999)), Instant::now());
    for i in 0..PEERS_KNOWN_MAX {
        told(&mut table, id(u16::try_from(i).unwrap()), &[], now);
    }
    table.on_own_word(id(5), vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()], now);
    (0..3).for_each(|_| table.on_dialing(&id(5), now, &mut rng()));
    table.on_dialing(&id(6), now, &mut rng());
    told(&mut table, id(8_000), &[], now);
    assert_eq!(table.iter().count(), PEERS_KNOWN_MAX);
    assert!(table.peer(&id(6)).is_none() && table.peer(&id(8_000)).is_some());
    assert!(table.peer(&id(5)).is_some(), "hearsay goes before who has shown itself");
}

#[test]
fn one_pin_above_the_bound_takes_the_oldest_back() {
    let (mut table, now) = (PeerTable::new(id(9_999)), Instant::now());
    for i in 0..PINNED_MAX {
        table.pin(id(u16::try_from(i).unwrap()), now + Duration::from_secs(i as u64));
    }
    table.pin(id(0), now + Duration::from_secs(10_000));
    assert!(table.iter().all(|(_, peer)| peer.pinned), "a pin renewed is no further one");
    table.pin(id(8_000), now + Duration::from_secs(10_001));
    assert!(!table.peer(&id(1)).unwrap().pinned && table.peer(&id(0)).unwrap().pinned);
    assert_eq!(table.iter().filter(|(_, peer)| peer.pinned).count(), PINNED_MAX);
}

#[test]
fn redials_begin_within_a_second_and_end_at_an_hour() {
    let (mut table, now, mut rng) = (PeerTable::new(id(0)), Instant::now(), rng());
    told(&mut table, id(1), &["/ip4/127.0.0.1/tcp/1"], now);
    table.on_lost(&id(1), Duration::ZERO, now, &mut rng);
    assert!(table.peer(&id(1)).unwrap().next_dial <= now + Duration::from_secs(1));
    for _ in 0..100 {
        table.on_dialing(&id(1), now, &mut rng);
        table.on_dial_failed(&id(1), now, &mut rng);
        assert!(table.peer(&id(1)).unwrap().next_dial <= now + REDIAL_MAX);
    }
    table.pin(id(1), now);
    assert_eq!(table.due(now, |_| false), [id(1)]);
    assert_eq!(table.due(now, |_| true), []);
}

#[test]
fn sessions_that_never_last_are_dialed_less_and_less() {
    let (mut table, now, mut rng) = (PeerTable::new(id(0)), Instant::now(), rng());
    told(&mut table, id(1), &[], now);
    let mut longest = |lasted| {
        let pauses = (0..20).map(|_| {
            table.on_lost(&id(1), lasted, now, &mut rng);
            table.on_up(id(1), vec![], None, now);
            table.peer(&id(1)).unwrap().next_dial - now
        });
        pauses.max().unwrap()
    };
    assert!(longest(LASTING) <= REDIAL_MIN);
    assert!(longest(Duration::from_secs(1)) > REDIAL_MIN * 100);
}

#[test]
fn a_cache_brings_peers_back() {
    let (mut table, now) = (PeerTable::new(id(0)), Instant::now());
    told(&mut table, id(1), &["/ip4/127.0.0.1/tcp/1"], now);
    table.on_announced(id(1), Role::Full, true, Time(5), now);
    assert!(table.cache(9).is_empty(), "hearsay is not kept");
    let (own, worked) = ("/ip4/8.8.8.8/tcp/1".parse().unwrap(), "/ip4/127.0.0.1/tcp/2".parse().unwrap());
    table.on_up(id(1), vec![own], Some(worked), now);
    told(&mut table, id(1), &["/ip4/6.6.6.6/tcp/1"], now);
    let cache = table.cache(9);
    let mut back = PeerTable::new(id(0));
    back.load(cache.clone(), now);
    assert_eq!(back.cache(9), cache);
    assert_eq!((cache[0].addresses.len(), cache[0].worked.len()), (2, 1));
}

#[test]
fn one_session_above_the_bound_is_too_many_until_the_window_is_over() {
    let (mut table, now) = (PeerTable::new(id(0)), Instant::now());
    for _ in 0..SESSIONS_MAX {
        assert!(table.on_session(id(1), now));
    }
    assert!(!table.on_session(id(1), now) && table.on_session(id(2), now));
    assert!(table.on_session(id(1), now + SESSIONS_WINDOW));
}

#[test]
fn faults_add_up_to_a_ban() {
    let (mut table, now) = (PeerTable::new(id(0)), Instant::now());
    told(&mut table, id(1), &[], now);
    for _ in 1..FAULTS_MAX {
        assert!(!table.on_fault(&id(1), PeerFault::Unexpected));
    }
    assert!(table.on_fault(&id(1), PeerFault::Unexpected));
    assert!(table.on_fault(&id(1), PeerFault::Malformed));
}
