//! Everything that is not lost arrives exactly once, whatever the network does (SPEC §5.4).

use std::collections::BTreeMap;

use murmesh_protocol::session::{FirstHeader, SealError, Session};
use rand::{Rng as _, RngExt as _};

use crate::session_world::{NOW, Person, Rng, open, restarted, rng};

struct Side {
    person: Person,
    session: Option<Session>,
    sent: u32,
    delivered: BTreeMap<Vec<u8>, u32>,
}

struct Flight {
    to: usize,
    inner: Vec<u8>,
    content: Vec<u8>,
}

struct World {
    sides: [Side; 2],
    air: Vec<Flight>,
    expected: [u32; 2],
    rng: Rng,
}

impl World {
    fn new(seed: u64) -> World {
        let side = |n| Side { person: Person::new(n), session: None, sent: 0, delivered: BTreeMap::new() };
        let mut world =
            World { sides: [side(1), side(2)], air: Vec::new(), expected: [0; 2], rng: rng(seed) };
        let [alice, bob] = &mut world.sides;
        alice.session = Some(alice.person.initiate(&bob.person, None, &mut world.rng));
        world
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.next_u32() % 100 < percent
    }

    fn send(&mut self, from: usize) {
        let side = &mut self.sides[from];
        let Some(session) = &mut side.session else { return };
        let mut content = format!("{from}/{}", side.sent).into_bytes();
        content.resize(content.len() + self.rng.random_range(0..600), b'.');
        let inner = match session.seal(&content, &mut self.rng) {
            Ok(sealed) => sealed.inner,
            Err(SealError::Exhausted) => return,
            Err(error) => panic!("{error}"),
        };
        side.sent += 1;
        let copies = if self.chance(25) { 0 } else { 1 + u32::from(self.chance(20)) };
        self.expected[1 - from] += u32::from(copies > 0);
        for _ in 0..copies {
            self.air.push(Flight { to: 1 - from, inner: inner.clone(), content: content.clone() });
        }
    }

    /// Delivers one message out of order; what is not recognised yet goes back.
    fn deliver(&mut self, wide: bool) -> bool {
        if self.air.is_empty() {
            return false;
        }
        let flight = self.air.swap_remove(self.rng.random_range(0..self.air.len()));
        let side = &mut self.sides[flight.to];
        if side.delivered.contains_key(&flight.content) {
            // A duplicate: the session must not know it any more, and must not change.
            let session = side.session.as_mut().unwrap();
            let before = session.to_record();
            assert!(open(session, &flight.inner).is_err());
            assert_eq!(*session.to_record(), *before);
            return true;
        }
        let content = match &mut side.session {
            None => {
                let accepted = side.person.accept(&flight.inner).unwrap();
                side.session = Some(accepted.session);
                Some(accepted.opened.content)
            }
            Some(session) if wide && FirstHeader::parse(&flight.inner).is_none() => {
                let table = session.wide_table();
                session.open_wide(NOW, &flight.inner, &table).ok().map(|opened| opened.content)
            }
            Some(session) => open(session, &flight.inner).ok().map(|opened| opened.content),
        };
        let Some(content) = content else {
            self.air.push(flight);
            return false;
        };
        assert_eq!(content, flight.content);
        *side.delivered.entry(content).or_default() += 1;
        true
    }

    fn restart(&mut self, side: usize) {
        if let Some(session) = &self.sides[side].session {
            self.sides[side].session = Some(restarted(session));
        }
    }

    fn run(&mut self) {
        for _ in 0..400 {
            match self.rng.random_range(0..10) {
                0..2 => self.send(0),
                2..4 => self.send(1),
                // A burst, so that epochs get long.
                4 => {
                    let from = self.rng.random_range(0..2);
                    (0..self.rng.random_range(1..40)).for_each(|_| self.send(from));
                }
                5 => {
                    let side = self.rng.random_range(0..2);
                    self.restart(side);
                }
                _ => {
                    self.deliver(false);
                }
            }
        }
        let mut tries_left = 100 * (self.air.len() + 1);
        while !self.air.is_empty() && tries_left > 0 {
            let wide = tries_left.is_multiple_of(16);
            self.deliver(wide);
            tries_left -= 1;
        }
    }
}

#[test]
fn chaos() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        world.run();
        assert!(world.air.is_empty(), "seed {seed}: {} messages are stuck", world.air.len());
        for (side, expected) in world.sides.iter().zip(world.expected) {
            assert!(side.delivered.values().all(|count| *count == 1));
            assert_eq!(side.delivered.len(), expected as usize, "seed {seed}");
        }
    }
}
