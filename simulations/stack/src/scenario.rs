//! The scenarios: each plays a story and asserts what must be so; it panics if it is not.

mod custody;
mod join;
mod kept;
mod loss;
mod peers;
mod regions;
mod storm;

use clap::ValueEnum;

use crate::world::World;

/// See the module.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scenario {
    /// Newcomers join by few seeds.
    Join,
    /// Everybody dials one node at once.
    Storm,
    /// A network larger than anybody wants peers.
    Peers,
    /// Too many sessions, of which some are in use.
    Kept,
    /// Links between friends are cut again and again.
    Loss,
    /// Custodians announce themselves; somebody lies.
    Regions,
    /// Mail for who is away, while its holders die.
    Custody,
}

impl Scenario {
    /// Plays it; `nodes` is how large, if not as usual.
    pub(crate) async fn play(self, seed: u64, nodes: Option<usize>) {
        let mut world = World::new(seed);
        match self {
            Scenario::Join => join::play(&mut world, nodes.unwrap_or(30)).await,
            Scenario::Storm => storm::play(&mut world, nodes.unwrap_or(30)).await,
            Scenario::Peers => peers::play(&mut world, nodes.unwrap_or(30)).await,
            Scenario::Kept => kept::play(&mut world, nodes.unwrap_or(12)).await,
            Scenario::Loss => loss::play(&mut world, nodes.unwrap_or(6)).await,
            Scenario::Regions => regions::play(&mut world, nodes.unwrap_or(25)).await,
            Scenario::Custody => custody::play(&mut world, nodes.unwrap_or(30)).await,
        }
        world.end().await;
    }
}
