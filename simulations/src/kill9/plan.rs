//! The schedule of a round: who is killed, at which moment, and for how long it stays down. Pure: the same
//! seed and round give the same plan.

use core::fmt;
use std::time::Duration;

use super::CUSTODIANS;
use super::draw::Draw;
use crate::history::Person;

/// A node that can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Somebody's own.
    Person(Person),
    /// One that keeps mail.
    Custodian(usize),
}

impl Target {
    /// All nodes of a round; the first is a custodian, whom all others know.
    pub fn all() -> impl Iterator<Item = Target> {
        (0..CUSTODIANS).map(Target::Custodian).chain(Person::BOTH.map(Target::Person))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Person(person) => f.write_str(person.name()),
            Target::Custodian(number) => write!(f, "c{}", number + 1),
        }
    }
}

/// What is waited for before a strike, so that it falls into the work that this causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing: whatever happens then.
    Any,
    /// A message of this person's is being written to the control socket.
    Written(Person),
    /// One was acknowledged.
    Acknowledged(Person),
    /// One was shown to this person.
    Shown(Person),
    /// A state was told to this person: held, delivered.
    State(Person),
}

/// One victim of a strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blow {
    pub(crate) target: Target,
    /// Killed so long after the strike began.
    pub(crate) wait: Duration,
    /// How long it stays down.
    pub(crate) down: Duration,
    /// Killed once more so long after its start, mostly before it answers.
    pub(crate) again: Option<Duration>,
}

impl Blow {
    pub(crate) fn kills(&self) -> u32 {
        1 + u32::from(self.again.is_some())
    }
}

/// One or two nodes are killed at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    /// Pause after the strike before.
    pub(crate) pause: Duration,
    pub(crate) moment: Moment,
    /// Delay after the moment.
    pub(crate) delay: Duration,
    pub(crate) blows: Vec<Blow>,
}

/// Strikes with exactly so many kills.
#[must_use]
pub fn plan(seed: u64, round: u32, kills: u32) -> Plan {
    let mut draw = Draw::new(seed, round, PURPOSE);
    let mut strikes = Vec::new();
    let mut left = kills;
    while left > 0 {
        let mut strike = strike(&mut draw);
        let mut fits = Vec::new();
        for mut blow in strike.blows {
            if blow.kills() > left {
                blow.again = None;
            }
            if blow.kills() <= left {
                left -= blow.kills();
                fits.push(blow);
            }
        }
        strike.blows = fits;
        strikes.push(strike);
    }
    Plan { strikes }
}

/// See [`plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(crate) strikes: Vec<Strike>,
}

fn strike(draw: &mut Draw) -> Strike {
    let relay = draw.percent(RELAY_PERCENT);
    let targets = if relay { Vec::new() } else { targets(draw) };
    let person = draw.one_of(&Person::BOTH).unwrap_or(Person::Alice);
    let moments = [
        Moment::Any,
        Moment::Any,
        Moment::Written(person),
        Moment::Written(person),
        Moment::Acknowledged(person),
        Moment::Shown(person),
        Moment::State(person),
    ];
    let moment = draw.one_of(&moments).unwrap_or(Moment::Any);
    let delay = if draw.percent(40) { Duration::ZERO } else { draw.time(0, DELAY_MS_MAX) };
    let blows = if relay {
        relayed(draw, person)
    } else {
        targets.into_iter().map(|target| blow(draw, target)).collect()
    };
    Strike { pause: draw.time(0, PAUSE_MS_MAX), moment, delay, blows }
}

fn targets(draw: &mut Draw) -> Vec<Target> {
    let custodian = |draw: &mut Draw| {
        let number = draw.below(u64::try_from(CUSTODIANS).unwrap_or(1));
        Target::Custodian(usize::try_from(number).unwrap_or(0))
    };
    let person = Target::Person(draw.one_of(&Person::BOTH).unwrap_or(Person::Alice));
    match draw.below(100) {
        0..45 => vec![person],
        45..60 => vec![custodian(draw)],
        60..75 => vec![Target::Person(Person::Alice), Target::Person(Person::Bob)],
        75..90 => vec![person, custodian(draw)],
        _ => {
            let (one, other) = (custodian(draw), custodian(draw));
            if one == other { vec![one] } else { vec![one, other] }
        }
    }
}

fn blow(draw: &mut Draw, target: Target) -> Blow {
    let down = match draw.below(100) {
        0..35 => Duration::ZERO,
        35..75 => draw.time(0, 300),
        75..93 => draw.time(300, 1_500),
        _ => draw.time(1_500, 4_000),
    };
    let again = draw.percent(12).then(|| draw.time(0, AGAIN_MS_MAX));
    Blow { target, wait: Duration::ZERO, down, again }
}

/// The recipient goes, the sender writes on and goes too, the recipient is back before the sender: only
/// custodians can bring what was written meanwhile.
fn relayed(draw: &mut Draw, recipient: Person) -> Vec<Blow> {
    let (wait, away) = (draw.time(200, 500), draw.time(600, 1_200));
    let apart = draw.time(300, 800);
    let sender = Target::Person(recipient.other());
    vec![
        Blow { target: Target::Person(recipient), wait: Duration::ZERO, down: away, again: None },
        Blow { target: sender, wait, down: away + apart, again: None },
    ]
}

/// Its stream of draws.
const PURPOSE: u8 = 0;
/// Of a hundred strikes, those that leave a message to custodians alone.
const RELAY_PERCENT: u64 = 8;
/// Longest pause between two strikes.
const PAUSE_MS_MAX: u64 = 250;
/// Longest delay after a moment.
const DELAY_MS_MAX: u64 = 20;
/// Longest time from a start to the kill that hits it.
const AGAIN_MS_MAX: u64 = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_its_kills_and_every_kind_and_follows_its_seed() {
        let strikes = plan(7, 0, 1_000).strikes;
        assert_eq!(strikes.iter().flat_map(|s| &s.blows).map(Blow::kills).sum::<u32>(), 1_000);
        assert_eq!(plan(7, 0, 1_000).strikes, strikes);
        assert_ne!(plan(7, 1, 1_000).strikes, strikes);
        assert_ne!(plan(8, 0, 1_000).strikes, strikes);
        for kills in 1..20 {
            let strikes = plan(1, 0, kills).strikes;
            assert_eq!(strikes.iter().flat_map(|s| &s.blows).map(Blow::kills).sum::<u32>(), kills);
        }
        let is_person = |blow: &Blow| matches!(blow.target, Target::Person(_));
        for (persons, custodians) in [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2)] {
            let of_kind = strikes.iter().filter(|strike| {
                let count = strike.blows.iter().filter(|blow| is_person(blow)).count();
                (count, strike.blows.len() - count) == (persons, custodians)
            });
            assert!(of_kind.count() > 20, "{persons} and {custodians}");
        }
        for target in Target::all() {
            assert!(strikes.iter().flat_map(|s| &s.blows).filter(|b| b.target == target).count() > 20);
        }
        assert!(strikes.iter().flat_map(|s| &s.blows).filter(|blow| blow.again.is_some()).count() > 50);
    }
}
