//! The behaviours of a node and their settings; the reasons are in each line.

use std::num::{NonZeroU8, NonZeroUsize};
use std::pin::Pin;
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};
use libp2p::core::transport::Boxed;
use libp2p::core::{Transport as _, upgrade};
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, connection_limits::ConnectionLimits};
use libp2p::{
    Swarm, SwarmBuilder, connection_limits, dns, gossipsub, identify, kad, mdns, noise, ping, quic, swarm,
    tcp, yamux,
};

use super::{admission, routing, streams};

/// The same for every node: it must not tell versions or systems apart.
const AGENT: &str = "murmesh";
/// Own name: no other network's peers get into the routing table.
const KAD_PROTOCOL: StreamProtocol = StreamProtocol::new("/murmesh/1/kad");
/// Buckets of the routing table; also what an estimate of the network's size goes by.
pub(super) const KAD_BUCKET: usize = 20;
/// Region topics a peer may subscribe to.
const TOPICS_PER_PEER_MAX: usize = 16;
/// An announcement in a region topic, with what gossipsub adds.
const GOSSIP_BYTES_MAX: usize = 8 * 1024;

/// Filter of subscriptions: counted, not named, because regions differ.
type Filter = gossipsub::MaxCountSubscriptionFilter<gossipsub::AllowAllSubscriptionFilter>;
/// Gossip between custodians.
pub(super) type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, Filter>;

/// What a node speaks. Limits come first: they may deny before others allocate.
#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "NodeEvent")]
pub(super) struct NodeBehaviour {
    /// By prefix and peer.
    pub admission: admission::Behaviour,
    /// In all.
    pub limits: connection_limits::Behaviour,
    /// The streams everything of ours goes through.
    pub streams: streams::Behaviour,
    /// Routing.
    pub routing: routing::Behaviour,
    /// Agreement within a region.
    pub gossip: Gossip,
    /// Tells the observed address.
    pub identify: identify::Behaviour,
    /// Finds dead connections.
    pub ping: ping::Behaviour,
    /// Finds neighbours in a local network.
    pub mdns: Toggle<mdns::tokio::Behaviour>,
}

/// Events of [`NodeBehaviour`].
#[derive(Debug)]
pub(super) enum NodeEvent {
    /// A frame stream.
    Streams(streams::Event),
    /// Routing.
    Kad(Box<kad::Event>),
    /// A region topic.
    Gossip(Box<gossipsub::Event>),
    /// What another peer says of itself, and of us.
    Identify(Box<identify::Event>),
    /// A peer in the local network.
    Mdns(mdns::Event),
    /// A connection answers, or does not.
    Ping(ping::Event),
}

impl From<std::convert::Infallible> for NodeEvent {
    fn from(never: std::convert::Infallible) -> NodeEvent {
        match never {}
    }
}
impl From<streams::Event> for NodeEvent {
    fn from(event: streams::Event) -> NodeEvent {
        NodeEvent::Streams(event)
    }
}
impl From<kad::Event> for NodeEvent {
    fn from(event: kad::Event) -> NodeEvent {
        NodeEvent::Kad(Box::new(event))
    }
}
impl From<gossipsub::Event> for NodeEvent {
    fn from(event: gossipsub::Event) -> NodeEvent {
        NodeEvent::Gossip(Box::new(event))
    }
}
impl From<identify::Event> for NodeEvent {
    fn from(event: identify::Event) -> NodeEvent {
        NodeEvent::Identify(Box::new(event))
    }
}
impl From<ping::Event> for NodeEvent {
    fn from(event: ping::Event) -> NodeEvent {
        NodeEvent::Ping(event)
    }
}
impl From<mdns::Event> for NodeEvent {
    fn from(event: mdns::Event) -> NodeEvent {
        NodeEvent::Mdns(event)
    }
}

/// What connections go over.
pub enum Transport {
    /// TCP and QUIC of this system, and its resolver.
    System,
    /// Bytes carried by something else; Noise and yamux go over them as they do over TCP.
    Other(Boxed<Carried>),
}

/// Whatever carries bytes.
pub trait Carry: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Carry for T {}

/// One such connection.
pub type Carried = Pin<Box<dyn Carry>>;

/// The swarm cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the network cannot be set up: {0}")]
pub struct SetupError(String);

fn setup(error: impl std::fmt::Display) -> SetupError {
    SetupError(error.to_string())
}

/// Makes the swarm of a node.
///
/// # Errors
/// When a socket or a key cannot be used.
pub(super) fn make(
    keypair: &Keypair,
    peers_max: usize,
    with_mdns: bool,
    transport: Transport,
) -> Result<Swarm<NodeBehaviour>, SetupError> {
    let behaviour = NodeBehaviour {
        admission: admission::Behaviour::default(),
        limits: connection_limits::Behaviour::new(limits(peers_max)),
        streams: streams::Behaviour::default(),
        routing: routing::Behaviour::new(kad(keypair)),
        gossip: gossip(keypair)?,
        identify: identify(keypair),
        ping: ping::Behaviour::new(ping_settings()),
        mdns: Toggle::from(if with_mdns { mdns(keypair) } else { None }),
    };
    // Types that cannot be named stand between the steps, hence no functions.
    macro_rules! transports {
        () => {
            SwarmBuilder::with_existing_identity(keypair.clone())
                .with_tokio()
                .with_tcp(
                    tcp::Config::new().nodelay(true).listen_backlog(4_096),
                    noise::Config::new,
                    yamux::Config::default,
                )
                .map_err(setup)?
                .with_quic_config(quic)
        };
    }
    macro_rules! finish {
        ($builder:expr) => {
            $builder.with_behaviour(|_| behaviour).map_err(setup)?.with_swarm_config(settings).build()
        };
    }
    if let Transport::Other(carrier) = transport {
        let carried = carrier
            .upgrade(upgrade::Version::V1Lazy)
            .authenticate(noise::Config::new(keypair).map_err(setup)?)
            .multiplex(yamux::Config::default());
        let builder = SwarmBuilder::with_existing_identity(keypair.clone()).with_tokio();
        return Ok(finish!(builder.with_other_transport(|_| carried).map_err(setup)?));
    }
    match transports!().with_dns() {
        Ok(builder) => Ok(finish!(builder)),
        Err(error) => {
            tracing::warn!(%error, "no resolver is configured here: names cannot be dialed");
            let nobody = dns::ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            Ok(finish!(transports!().with_dns_config(nobody, dns::ResolverOpts::default())))
        }
    }
}

fn quic(mut config: quic::Config) -> quic::Config {
    config.handshake_timeout = Duration::from_secs(10);
    config.max_idle_timeout = 60_000;
    config.keep_alive_interval = Duration::from_secs(20);
    config
}

fn settings(config: swarm::Config) -> swarm::Config {
    config
        .with_idle_connection_timeout(Duration::from_secs(60))
        .with_max_negotiating_inbound_streams(512)
        .with_dial_concurrency_factor(NonZeroU8::MIN.saturating_add(7))
}

/// Twice as many as are wanted may be open: the pruner closes the least useful ones.
fn limits(peers_max: usize) -> ConnectionLimits {
    let wanted = u32::try_from(peers_max).unwrap_or(u32::MAX);
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(256))
        .with_max_pending_outgoing(Some(256))
        .with_max_established_incoming(Some(wanted.saturating_mul(2).max(64)))
        .with_max_established_per_peer(Some(3))
}

/// Routing only: nothing is ever stored, and only who was dialed successfully gets into the table.
fn kad(keypair: &Keypair) -> kad::Behaviour<MemoryStore> {
    let peer = keypair.public().to_peer_id();
    let mut config = kad::Config::new(KAD_PROTOCOL);
    config
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .disjoint_query_paths(true)
        .set_query_timeout(Duration::from_secs(10))
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(20 * 60)))
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None);
    if let Some(size) = NonZeroUsize::new(KAD_BUCKET) {
        config.set_kbucket_size(size);
    }
    kad::Behaviour::with_config(peer, MemoryStore::new(peer), config)
}

/// Small control topics: signed, validated by us before they go on, short queues, peers scored.
fn gossip(keypair: &Keypair) -> Result<Gossip, SetupError> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix("/murmesh/1/gossip")
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .flood_publish(false)
        .connection_handler_queue_len(200)
        .max_transmit_size(GOSSIP_BYTES_MAX)
        .build()
        .map_err(setup)?;
    let filter = gossipsub::MaxCountSubscriptionFilter {
        filter: gossipsub::AllowAllSubscriptionFilter {},
        max_subscribed_topics: TOPICS_PER_PEER_MAX,
        max_subscriptions_per_request: TOPICS_PER_PEER_MAX,
    };
    let signed = gossipsub::MessageAuthenticity::Signed(keypair.clone());
    let mut gossip = Gossip::new_with_subscription_filter(signed, config, filter).map_err(setup)?;
    let params = gossipsub::PeerScoreParams {
        // By address: several nodes on one machine or behind one router are no fault.
        ip_colocation_factor_weight: 0.0,
        ..Default::default()
    };
    gossip.with_peer_score(params, gossipsub::PeerScoreThresholds::default()).map_err(setup)?;
    Ok(gossip)
}

/// A connection that does not answer is closed by the runner: writing to it may go well for minutes.
fn ping_settings() -> ping::Config {
    ping::Config::new().with_interval(Duration::from_secs(15)).with_timeout(Duration::from_secs(15))
}

/// Shows no listen addresses: they travel in HELLO, by scope.
fn identify(keypair: &Keypair) -> identify::Behaviour {
    let config = identify::Config::new("/murmesh/1".to_owned(), keypair.public())
        .with_agent_version(AGENT.to_owned())
        .with_push_listen_addr_updates(false)
        .with_hide_listen_addrs(true)
        .with_cache_size(0);
    identify::Behaviour::new(config)
}

/// A machine without multicast has no mDNS; that is no reason not to start.
fn mdns(keypair: &Keypair) -> Option<mdns::tokio::Behaviour> {
    let peer = keypair.public().to_peer_id();
    match mdns::tokio::Behaviour::new(mdns::Config::default(), peer) {
        Ok(behaviour) => Some(behaviour),
        Err(error) => {
            tracing::warn!(%error, "no mDNS on this machine");
            None
        }
    }
}
