//! A network in memory: hosts with addresses, links with latency between them, cables that can be pulled.
//!
//! A link carries bytes in their order, as TCP does, later by its latency. What TCP does when it goes wrong is
//! here too: a link that is [cut](Net::cut_after) delivers a part of what was written, then errors at both
//! ends; a host without its cable hears and says nothing, and nobody is told. Bandwidth is not limited.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::channel::mpsc;
use rand::rngs::ChaCha20Rng;
use rand::{Rng, SeedableRng};

pub(crate) use self::link::End;
use self::link::Link;
pub(crate) use self::transport::{HostTransport, multiaddr};
use crate::trace;

mod link;
mod transport;

/// Connections that wait at a port; one more is refused.
const BACKLOG: usize = 4_096;
/// Latency of a link one way, at least and at most.
const LATENCY_MS: std::ops::Range<u64> = 5..60;
/// First port that a dial goes out from.
const EPHEMERAL: u16 = 32_768;

/// See the module.
#[derive(Clone)]
pub(crate) struct Net(Arc<Mutex<State>>);

struct State {
    hosts: BTreeMap<Ipv4Addr, Host>,
    links: Vec<Weak<Link>>,
    rng: ChaCha20Rng,
    seed: u64,
    counts: Counts,
}

#[derive(Default)]
struct Host {
    ports: BTreeMap<u16, mpsc::Sender<(End, SocketAddrV4)>>,
    /// Of the last dial from here.
    port: u16,
    unplugged: bool,
    dials: u64,
    dialed: u64,
}

/// What went on in all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Dials begun.
    pub(crate) dials: u64,
    /// Of them, those that found a port.
    pub(crate) links: u64,
    /// Links cut by the scenario.
    pub(crate) cuts: u64,
}

/// Why a dial found nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nobody listens there.
    Refused,
    /// No answer will ever come.
    Silence,
}

impl Net {
    /// An empty network.
    pub(crate) fn new(seed: u64) -> Net {
        let rng = ChaCha20Rng::seed_from_u64(seed ^ 0x6e65_7477_6f72_6b00);
        let (hosts, links, counts) = (BTreeMap::new(), Vec::new(), Counts::default());
        Net(Arc::new(Mutex::new(State { hosts, links, rng, seed, counts })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens at a port; none if somebody does already.
    fn listen(&self, at: SocketAddrV4) -> Option<mpsc::Receiver<(End, SocketAddrV4)>> {
        let mut state = self.state();
        let ports = &mut state.hosts.entry(*at.ip()).or_default().ports;
        if ports.get(&at.port()).is_some_and(|port| !port.is_closed()) {
            return None;
        }
        let (port, dialed) = mpsc::channel(BACKLOG);
        ports.insert(at.port(), port);
        Some(dialed)
    }

    fn close_port(&self, at: SocketAddrV4) {
        if let Some(host) = self.state().hosts.get_mut(at.ip()) {
            host.ports.remove(&at.port());
        }
    }

    /// Dials a port from a host.
    ///
    /// # Errors
    /// When nobody answers.
    pub(crate) async fn dial(&self, from: Ipv4Addr, to: SocketAddrV4) -> Result<End, Found> {
        let (from, latency) = {
            let mut state = self.state();
            state.counts.dials += 1;
            let host = state.hosts.entry(from).or_default();
            host.dials += 1;
            host.port =
                if host.port < EPHEMERAL { EPHEMERAL } else { host.port.wrapping_add(1).max(EPHEMERAL) };
            let from = SocketAddrV4::new(from, host.port);
            (from, state.latency(*from.ip(), *to.ip()))
        };
        trace::note(&format!("{from} dials {to}"), &[]);
        tokio::time::sleep(latency).await;
        let dialed = self.accept(from, to, latency);
        if dialed != Err(Found::Silence) {
            tokio::time::sleep(latency).await;
        }
        dialed
    }

    fn accept(&self, from: SocketAddrV4, to: SocketAddrV4, latency: Duration) -> Result<End, Found> {
        let mut state = self.state();
        let unplugged = |state: &State, host| state.hosts.get(host).is_none_or(|host| host.unplugged);
        if unplugged(&state, from.ip()) || unplugged(&state, to.ip()) {
            return Err(Found::Silence);
        }
        let Some(host) = state.hosts.get_mut(to.ip()) else { return Err(Found::Silence) };
        host.dialed += 1;
        let Some(port) = host.ports.get_mut(&to.port()) else { return Err(Found::Refused) };
        let link = Link::new(from, to, latency);
        let [dialer, listener] = End::pair(&link);
        if port.try_send((listener, from)).is_err() {
            return Err(Found::Refused);
        }
        state.counts.links += 1;
        state.links.retain(|link| link.strong_count() > 0);
        state.links.push(Arc::downgrade(&link));
        Ok(dialer)
    }

    /// The links of a host.
    fn links_of(&self, host: Ipv4Addr) -> Vec<Arc<Link>> {
        let links: Vec<Arc<Link>> = self.state().links.iter().filter_map(Weak::upgrade).collect();
        links.into_iter().filter(|link| link.side_of(host).is_some()).collect()
    }

    /// How many links of a host are open at its end.
    pub(crate) fn open_links(&self, host: Ipv4Addr) -> usize {
        let open = |link: &Arc<Link>| link.side_of(host).is_some_and(|side| link.is_open(side));
        self.links_of(host).iter().filter(|link| open(link)).count()
    }

    /// How many links between two hosts are open at both ends.
    pub(crate) fn open_links_between(&self, a: Ipv4Addr, b: Ipv4Addr) -> usize {
        let links = self.links_of(a);
        links.iter().filter(|link| link.side_of(b).is_some() && link.is_open(0) && link.is_open(1)).count()
    }

    /// Pulls the cable of a host: nothing gets in or out, and nobody is told.
    pub(crate) fn unplug(&self, host: Ipv4Addr) {
        self.state().hosts.entry(host).or_default().unplugged = true;
        self.links_of(host).iter().for_each(|link| link.stall());
    }

    /// Puts it back. What was sent meanwhile arrives; a host that has forgotten a link says so.
    pub(crate) fn plug(&self, host: Ipv4Addr) {
        self.state().hosts.entry(host).or_default().unplugged = false;
        self.links_of(host).iter().for_each(|link| link.go_on());
    }

    /// Cuts every link between two hosts as soon as so many bytes more were sent on it either way.
    pub(crate) fn cut_after(&self, a: Ipv4Addr, b: Ipv4Addr, bytes: usize) {
        for link in self.links_of(a).iter().filter(|link| link.side_of(b).is_some()) {
            self.state().counts.cuts += 1;
            link.cut_after(bytes);
        }
    }

    /// A number below `bound`, from the network's own stream of chance.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.state().rng.next_u64() % bound.max(1)
    }

    /// See [`Counts`].
    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Dials that a host began, and that reached it.
    pub(crate) fn dials_of(&self, host: Ipv4Addr) -> (u64, u64) {
        self.state().hosts.get(&host).map_or((0, 0), |host| (host.dials, host.dialed))
    }
}

impl State {
    /// The same both ways and for the whole run.
    fn latency(&self, a: Ipv4Addr, b: Ipv4Addr) -> Duration {
        let ends = [a.min(b), a.max(b)].map(|ip| u64::from(u32::from(ip)));
        let pair = ChaCha20Rng::seed_from_u64(self.seed ^ (ends[0] << 32) ^ ends[1]).next_u64();
        Duration::from_millis(LATENCY_MS.start + pair % (LATENCY_MS.end - LATENCY_MS.start))
    }
}
