//! Nodes on a [network in memory](crate::net): each is the node that ships, from its swarm to its databases,
//! without a process around it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::core::Transport as _;
use libp2p::identity::{Keypair, ed25519};
use murmesh_node::assembly::{Assembly, Found};
use murmesh_node::config::{Config, Profile, RoleChoice};
use murmesh_node::store::{CustodyStore, PrivateStore, Unlock};
use murmesh_node::swarm::{self, Transport};
use murmesh_protocol::control::{
    AddParams, ContactState, InitParams, InviteParams, MessageReply, MessageState, NoParams, PeerReply,
    ReadParams, Reply, Request, SendParams, StatusReply,
};
use murmesh_protocol::id::PeerId;
use rand::rngs::ChaCha20Rng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::net::{HostTransport, Net, multiaddr};

/// Where every node listens.
pub(crate) const PORT: u16 = 4_001;
/// How often a condition is asked for.
const LOOK: Duration = Duration::from_millis(100);

/// How a node is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where it lives; its prefix is its own unless the scenario says otherwise.
    pub(crate) host: Ipv4Addr,
    /// What its owner typed as `--peer`: nodes of this world.
    pub(crate) seeds: Vec<usize>,
    /// The same, outside of it.
    pub(crate) typed: Vec<Multiaddr>,
    /// Connections wanted at most.
    pub(crate) peers_max: usize,
    /// Its role.
    pub(crate) role: RoleChoice,
    /// It keeps mail.
    pub(crate) keeps: bool,
}

/// A node, running or not.
pub(crate) struct Site {
    pub(crate) plan: Plan,
    pub(crate) peer: PeerId,
    keypair: Keypair,
    directory: PathBuf,
    running: Option<Running>,
}

struct Running {
    assembly: Assembly,
    machines: Vec<JoinHandle<()>>,
}

/// See the module.
pub(crate) struct World {
    pub(crate) net: Net,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) sites: Vec<Site>,
    homes: TempDir,
}

impl World {
    /// An empty world. Its databases lie in memory where the system has a place for that.
    pub(crate) fn new(seed: u64) -> World {
        let memory = PathBuf::from("/dev/shm");
        let homes =
            if memory.is_dir() { TempDir::with_prefix_in("murmesh-stack", memory) } else { TempDir::new() };
        let homes = homes.expect("there is room for databases");
        World { net: Net::new(seed), rng: ChaCha20Rng::seed_from_u64(seed), sites: Vec::new(), homes }
    }

    /// A full node that keeps mail, on a host of its own.
    pub(crate) fn plan(&self) -> Plan {
        let [_, _, high, low] = u32::try_from(self.sites.len()).unwrap_or(0).to_be_bytes();
        let host = Ipv4Addr::new(8, high, low, 1);
        Plan {
            host,
            seeds: Vec::new(),
            typed: Vec::new(),
            peers_max: 50,
            role: RoleChoice::Full,
            keeps: true,
        }
    }

    /// A node that does not run yet.
    pub(crate) fn add(&mut self, plan: Plan) -> usize {
        let mut secret = [0; 32];
        self.rng.fill_bytes(&mut secret);
        let secret = ed25519::SecretKey::try_from_bytes(&mut secret).expect("any 32 bytes are one");
        let keypair = Keypair::from(ed25519::Keypair::from(secret));
        let peer = swarm::own_peer(&keypair).expect("it is Ed25519");
        let directory = self.homes.path().join(self.sites.len().to_string());
        std::fs::create_dir(&directory).expect("nobody else makes one there");
        self.sites.push(Site { plan, peer, keypair, directory, running: None });
        self.sites.len() - 1
    }

    /// Where a node can be reached, with its PeerId.
    pub(crate) fn address(&self, site: usize) -> String {
        let site = &self.sites[site];
        let at = multiaddr(SocketAddrV4::new(site.plan.host, PORT));
        format!("{at}/p2p/{}", site.keypair.public().to_peer_id())
    }

    /// Starts a node from what is on its disk.
    pub(crate) fn start(&mut self, site: usize) {
        let peers = self.sites[site].plan.seeds.iter().map(|seed| self.address(*seed));
        let peers = peers.map(|address| address.parse().expect("it was an address"));
        let peers = peers.chain(self.sites[site].plan.typed.clone()).collect();
        let here = &mut self.sites[site];
        let (plan, unlock) = (&here.plan, Unlock::default());
        self.net.plug(plan.host);
        crate::trace::note(&format!("{} starts as {}", plan.host, here.peer), &[]);
        let listen = vec![multiaddr(SocketAddrV4::new(plan.host, PORT))];
        let config = Config {
            listen: listen.clone(),
            peers,
            peers_max: plan.peers_max,
            role: plan.role,
            mdns: false,
            held_bytes_max: if plan.keeps { 64 << 20 } else { 0 },
            ..Config::of(Profile::Home, &here.directory)
        };
        let private = PrivateStore::exists(&here.directory)
            .then(|| PrivateStore::open(&here.directory, &unlock).expect("the account opens"));
        let found = Found {
            keypair: here.keypair.clone(),
            listen,
            transport: Transport::Other(HostTransport::new(&self.net, plan.host).boxed()),
            private,
            unlock,
            custody: CustodyStore::open(&here.directory).expect("custody opens"),
            cache: None,
        };
        let (assembly, loops) = Assembly::start(&config, found).expect("the node starts");
        let machines = loops.into_iter().map(|machine| tokio::spawn(machine.run)).collect();
        here.running = Some(Running { assembly, machines });
    }

    /// Ends a node as its owner would.
    pub(crate) async fn stop(&mut self, site: usize) {
        let Some(running) = self.sites[site].running.take() else { return };
        running.assembly.stop().await;
        for machine in running.machines {
            machine.await.expect("a machine ends well");
        }
    }

    /// A node's host is gone at once: nobody hears of it.
    pub(crate) async fn kill(&mut self, site: usize) {
        self.net.unplug(self.sites[site].plan.host);
        self.stop(site).await;
    }

    /// Those that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.sites.len()).filter(|site| self.sites[*site].running.is_some()).collect()
    }

    /// Asks as a client of a node would.
    pub(crate) async fn call(&self, site: usize, request: Request) -> Reply {
        let running = self.sites[site].running.as_ref().expect("it runs");
        running.assembly.call(request).await.expect("it is answered")
    }

    pub(crate) async fn status(&self, site: usize) -> StatusReply {
        let running = self.sites[site].running.as_ref().expect("it runs");
        running.assembly.status().await.expect("it is answered")
    }

    /// How many peers a node is connected to.
    pub(crate) async fn connected(&self, site: usize) -> u64 {
        self.status(site).await.peers.connected
    }

    pub(crate) async fn peers(&self, site: usize) -> Vec<PeerReply> {
        match self.call(site, Request::Peers(NoParams {})).await {
            Reply::Peers(peers) => peers.peers,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn init(&self, site: usize, name: &str) {
        self.call(site, Request::Init(InitParams { name: Some(name.to_owned()) })).await;
    }

    /// Two accounts that know each other.
    pub(crate) async fn befriend(&self, a: usize, b: usize) {
        let invite = InviteParams { uses: None, expires_ms: None, no_address: false };
        let ticket = match self.call(a, Request::Invite(invite)).await {
            Reply::Invite(invite) => invite.ticket,
            other => panic!("{other:?}"),
        };
        self.call(b, Request::Add(AddParams { ticket, name: None, text: None })).await;
        for site in [a, b] {
            until("friends", Duration::from_secs(60), async || {
                match self.call(site, Request::Contacts(NoParams {})).await {
                    Reply::Contacts(all) => all.contacts.iter().any(|c| c.state == ContactState::Connected),
                    other => panic!("{other:?}"),
                }
            })
            .await;
        }
    }

    pub(crate) async fn send(&self, site: usize, to: &str, text: String) -> String {
        let params = SendParams { to: to.to_owned(), text, client_id: None, expire_ms: None };
        match self.call(site, Request::Send(params)).await {
            Reply::Send(sent) => sent.id,
            other => panic!("{other:?}"),
        }
    }

    /// Everything a node can read, oldest first.
    pub(crate) async fn messages(&self, site: usize) -> Vec<MessageReply> {
        let limit = Some(1_000);
        let params = ReadParams { who: None, unread: false, since: None, limit, peek: true };
        match self.call(site, Request::Read(params)).await {
            Reply::Read(read) => read.messages,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn state_of(&self, site: usize, id: &str) -> Option<MessageState> {
        self.messages(site).await.into_iter().find(|message| message.id == id).map(|message| message.state)
    }

    /// A span between the two, evenly by chance.
    pub(crate) fn span_ms(&mut self, between: std::ops::Range<u64>) -> Duration {
        let width = between.end.saturating_sub(between.start).max(1);
        Duration::from_millis(between.start + self.rng.next_u64() % width)
    }

    /// Ends every node.
    pub(crate) async fn end(mut self) {
        for site in self.running() {
            self.stop(site).await;
        }
    }
}

/// Waits, in virtual time, until something is so; says how long that took.
///
/// # Panics
/// When it is not so in time.
pub(crate) async fn until(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < limit, "not within {} s: {what}", limit.as_secs());
        sleep(LOOK).await;
    }
    began.elapsed()
}
