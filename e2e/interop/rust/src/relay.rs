//! The command `relay`: a circuit-relay-v2 server with the behaviors of rust-libp2p, the counterpart of our relay in the
//! benchmarks. All limits are lifted, so that it measures the library; `--defaults` keeps those of the crate, and
//! `--rr-limits` has those of the relay of `rr` 1.1.1. It has one thread, like everything in this program.

use std::fs;
use std::time::Duration;

use futures::StreamExt;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{self, NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{identify, ping, relay, tcp};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::node;
use crate::options::Options;
use crate::{Outcome, print_line};

const DEFAULT_LISTEN: &str = "/ip4/127.0.0.1/tcp/0";

/// The longest duration and the most bytes that clients of every language can parse.
const NO_DURATION_LIMIT: Duration = Duration::from_secs(u32::MAX as u64);
const NO_BYTE_LIMIT: u64 = i64::MAX as u64;

/// The relay of `rr` 1.1.1.
const RR_RESERVATIONS: usize = 32;
const RR_RESERVATIONS_PER_PEER: usize = 4;
const RR_CIRCUITS: usize = 8;
const RR_CIRCUIT_DURATION: Duration = Duration::from_secs(15 * 60);
const RR_CIRCUIT_BYTES: u64 = 64 * 1024 * 1024;
const RR_CONNECTIONS: u32 = 32;

#[derive(NetworkBehaviour)]
struct Behaviour {
    connections: connection_limits::Behaviour,
    relay: relay::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

pub async fn run(options: &Options) -> Outcome<()> {
    // Before the line that tells the parent to go on: it may send the signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut swarm = create(options)?;
    swarm.listen_on(
        options
            .optional("--listen")
            .unwrap_or(DEFAULT_LISTEN)
            .parse()?,
    )?;
    let peer = *swarm.local_peer_id();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::NewListenAddr { address, .. } => {
                    // Without an external address, the response to RESERVE has none, and clients reject it.
                    swarm.add_external_address(address.clone());
                    let address = address.with(Protocol::P2p(peer)).to_string();
                    print_line(json!({ "msg": "listening", "peer_id": peer.to_string(), "addresses": [address] }));
                }
                SwarmEvent::ListenerClosed { reason, .. } => {
                    reason?;
                    return Err("The listener is closed.".into());
                }
                _ => {}
            },
            _ = terminate.recv() => return Ok(()),
        }
    }
}

fn create(options: &Options) -> Outcome<Swarm<Behaviour>> {
    let identity = identity(options)?;
    let peer = identity.public().to_peer_id();
    let sockets = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let transport = node::secure(options, &identity, sockets)?;
    let (limits, connections) = limits(options)?;
    let behaviour = Behaviour {
        connections: connection_limits::Behaviour::new(connections),
        relay: relay::Behaviour::new(peer, limits),
        identify: identify::Behaviour::new(node::about(&identity)),
        ping: ping::Behaviour::default(),
    };
    let config =
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(node::IDLE_TIMEOUT);
    Ok(Swarm::new(transport, behaviour, peer, config))
}

fn limits(options: &Options) -> Outcome<(relay::Config, ConnectionLimits)> {
    let connections = ConnectionLimits::default();
    match (options.has("--defaults"), options.has("--rr-limits")) {
        (true, true) => Err("--defaults and --rr-limits exclude each other.".into()),
        (true, false) => Ok((relay::Config::default(), connections)),
        (false, true) => Ok((
            relay::Config {
                max_reservations: RR_RESERVATIONS,
                max_reservations_per_peer: RR_RESERVATIONS_PER_PEER,
                max_circuits: RR_CIRCUITS,
                max_circuit_duration: RR_CIRCUIT_DURATION,
                max_circuit_bytes: RR_CIRCUIT_BYTES,
                // All devices of a benchmark have one address.
                reservation_rate_limiters: Vec::new(),
                circuit_src_rate_limiters: Vec::new(),
                ..relay::Config::default()
            },
            connections.with_max_established(Some(RR_CONNECTIONS)),
        )),
        (false, false) => Ok((
            relay::Config {
                max_reservations: usize::MAX,
                max_reservations_per_peer: usize::MAX,
                reservation_rate_limiters: Vec::new(),
                max_circuits: usize::MAX,
                max_circuits_per_peer: usize::MAX,
                max_circuit_duration: NO_DURATION_LIMIT,
                max_circuit_bytes: NO_BYTE_LIMIT,
                circuit_src_rate_limiters: Vec::new(),
                ..relay::Config::default()
            },
            connections,
        )),
    }
}

/// The identity in the file of `--identity`, which is created if it does not exist. Without the option, a new one.
fn identity(options: &Options) -> Outcome<Keypair> {
    let Some(path) = options.optional("--identity") else {
        return Ok(Keypair::generate_ed25519());
    };
    if let Ok(bytes) = fs::read(path) {
        return Ok(Keypair::from_protobuf_encoding(&bytes)?);
    }
    let identity = Keypair::generate_ed25519();
    fs::write(path, identity.to_protobuf_encoding()?)?;
    Ok(identity)
}
