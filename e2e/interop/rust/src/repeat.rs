//! The command `sync`: empty syncs, as `rr p2p-sync` makes them every minute with every device. Each has a node and
//! connections of its own: connect to the relay, identify, circuit, pull nothing, leave. One process makes all of them, so
//! that a benchmark does not measure the start of processes.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::iter;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{Event, Message as Exchange};
use libp2p::swarm::{Swarm, SwarmEvent};
use serde_json::json;
use tokio::time::timeout;

use crate::node::{Behaviour, BehaviourEvent, create_as};
use crate::options::Options;
use crate::requester::DEFAULT_LIMIT;
use crate::sync::{Message, PullRequest, PullResponse};
use crate::usage::cpu_ms;
use crate::{Outcome, explain, print_line};

/// Time limit of one sync; that of `rr` for everything with one peer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Makes `--count` syncs, `--parallel` at a time, of `--devices` identities with the peers in turn. Ends at the first one
/// that fails.
pub async fn run(options: &Options) -> Outcome<()> {
    // All nodes of a device of 1.x have its peer id.
    let devices: Vec<Keypair> = (0..options.number("--devices")?)
        .map(|_| Keypair::generate_ed25519())
        .collect();
    let peers = options
        .text("--peers")?
        .split(',')
        .map(str::parse)
        .collect::<Result<Vec<PeerId>, _>>()?;
    let count = usize::try_from(options.number("--count")?)?;
    let parallel = usize::try_from(options.number("--parallel")?)?;
    let start = Instant::now();
    let turns = devices.iter().cycle().zip(peers.into_iter().cycle());
    let mut syncs = iter(turns.take(count))
        .map(|(identity, peer)| sync(options, identity, peer))
        .buffer_unordered(parallel);
    let mut microseconds = Vec::with_capacity(count);
    while let Some(result) = syncs.next().await {
        let time = result.map_err(|error| {
            let reason = explain(error.as_ref());
            format!(
                "Sync {} of {count} failed: {reason}",
                microseconds.len() + 1
            )
        })?;
        microseconds.push(time.as_micros() as u64);
    }
    print_line(json!({
        "msg": "synced",
        "count": count,
        "us": microseconds,
        "ms": start.elapsed().as_secs_f64() * 1e3,
        "cpu_ms": cpu_ms(),
    }));
    Ok(())
}

/// Returns the time from the dial to the answer.
async fn sync(options: &Options, identity: &Keypair, peer: PeerId) -> Outcome<Duration> {
    let start = Instant::now();
    let mut swarm = create_as(options, identity)?;
    let circuit = options.relay()?.with(Protocol::P2pCircuit);
    swarm.dial(circuit.with(Protocol::P2p(peer)))?;
    timeout(TIMEOUT, pull_nothing(&mut swarm, peer))
        .await
        .map_err(|_| format!("not complete within {} s", TIMEOUT.as_secs()))??;
    Ok(start.elapsed())
}

async fn pull_nothing(swarm: &mut Swarm<Behaviour>, peer: PeerId) -> Outcome<()> {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == peer => {
                let request = PullRequest {
                    cursor: 0,
                    limit: DEFAULT_LIMIT,
                };
                let message = Message::new(String::new(), serde_json::to_vec(&request)?);
                swarm.behaviour_mut().pull.send_request(&peer, message);
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            SwarmEvent::ConnectionClosed { cause, .. } => {
                let reason = cause.map_or("closed".into(), |error| explain(&error));
                return Err(format!("a connection has ended: {reason}").into());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Pull(Event::Message {
                message: Exchange::Response { response, .. },
                ..
            })) => {
                let PullResponse { entries, .. } = serde_json::from_slice(&response.json)?;
                return match entries.len() {
                    0 => Ok(()),
                    more => Err(format!("the answer has {more} entries instead of none").into()),
                };
            }
            SwarmEvent::Behaviour(BehaviourEvent::Pull(Event::OutboundFailure {
                error, ..
            })) => return Err(error.into()),
            _ => {}
        }
    }
}
