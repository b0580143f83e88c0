//! `p2p-sync`: rounds in which a device syncs with every listed device of its user.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::stream::iter;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::exchange::{Exchange, LIMIT, Summary};
use crate::node::create;
use crate::options::Options;
use crate::reach::{Route, route};
use crate::store::Store;
use crate::tracker::{Peer, Tracker, parse_addresses};
use crate::{IS_GEN1, Outcome, explain, print_line};

/// Peers that one round syncs with at the same time.
const PARALLEL: usize = 4;

/// Time limit for everything with one peer in one round of 1.x.
const PEER_TIMEOUT_SECONDS: u64 = 30;

/// 0.1 has no limit for a whole peer; its dials and requests have their own.
const PEER_TIMEOUT_SECONDS_OF_GEN01: u64 = 300;

pub async fn run(options: &Options) -> Outcome<ExitCode> {
    let identity = options.identity()?;
    let tracker = Tracker::new(options)?;
    let store = Arc::new(Mutex::new(options.store()?));
    let interval: u64 = options.number_or("--interval-sec", 60)?;
    loop {
        if options.has("--aligned") {
            sleep(until_multiple_of(interval)).await;
        }
        let is_ok = round(options, &identity, &tracker, &store).await?;
        if !options.has("--watch") {
            return Ok(if is_ok {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        if !options.has("--aligned") {
            sleep(Duration::from_secs(interval)).await;
        }
    }
}

/// Time until the clock shows a multiple of the interval, so that all devices start a round in the same second.
fn until_multiple_of(seconds: u64) -> Duration {
    let interval = u128::from(seconds) * 1000;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis());
    Duration::from_millis((interval - now % interval) as u64)
}

/// Returns whether every sync of the round succeeded.
async fn round(
    options: &Options,
    identity: &Keypair,
    tracker: &Tracker,
    store: &Arc<Mutex<Store>>,
) -> Outcome<bool> {
    let start = Instant::now();
    let client = tracker.clone();
    let peers = match tokio::task::spawn_blocking(move || client.list()).await? {
        Ok(peers) => peers,
        Err(error) => {
            print_line(json!({ "msg": "list failed", "reason": explain(error.as_ref()) }));
            return Ok(false);
        }
    };
    tracker.remember(&store.lock().expect("no holder of the lock panics"), &peers)?;
    let own = identity.public().to_peer_id();
    let listed = peers.len();
    let targets: Vec<_> = peers
        .into_iter()
        .filter_map(|peer| target(&own, &tracker.device, &peer, options.has("--lan")))
        .collect();
    let count = targets.len();
    let results: Vec<bool> = iter(targets)
        .map(|(peer, route)| sync(options, identity, store, peer, route))
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let failed = results.iter().filter(|is_ok| !**is_ok).count();
    print_line(json!({
        "msg": "round",
        "device": tracker.device,
        "listed": listed,
        "peers": count,
        "failed": failed,
        "duration_ms": start.elapsed().as_millis() as u64,
    }));
    Ok(failed == 0)
}

/// The peer and its route; `None` if it is this device or has no address to dial.
fn target(own: &PeerId, device: &str, peer: &Peer, lan: bool) -> Option<(PeerId, Route)> {
    let id: PeerId = peer.peer_id.parse().ok()?;
    let listed_device = peer
        .meta
        .as_ref()
        .and_then(|meta| meta.device_id.as_deref());
    if id == *own || listed_device == Some(device) {
        return None;
    }
    Some((id, route(&id, parse_addresses(peer), lan)?))
}

async fn sync(
    options: &Options,
    identity: &Keypair,
    store: &Arc<Mutex<Store>>,
    peer: PeerId,
    route: Route,
) -> bool {
    let start = Instant::now();
    let mut summary = Summary::default();
    let result = exchange(options, identity, store, peer, route, &mut summary).await;
    let mut line = json!({
        "msg": "synced",
        "peer": peer.to_string(),
        "tries": summary.tries,
        "pulled": summary.pulled,
        "deletions": summary.deletions,
        "pushed": summary.pushed,
        "pushes": summary.pushes,
        "duration_ms": start.elapsed().as_millis() as u64,
    });
    if let Err(error) = &result {
        line["msg"] = json!("sync failed");
        line["reason"] = json!(explain(error.as_ref()));
    }
    print_line(line);
    result.is_ok()
}

async fn exchange(
    options: &Options,
    identity: &Keypair,
    store: &Arc<Mutex<Store>>,
    peer: PeerId,
    route: Route,
    summary: &mut Summary,
) -> Outcome<()> {
    // 0.1 has another identity for each peer and round.
    let swarm = if IS_GEN1 {
        create(options, identity)?
    } else {
        create(options, &Keypair::generate_ed25519())?
    };
    let device = match options.has("--push") {
        true => Some(options.text("--device")?.to_string()),
        false => None,
    };
    let mut exchange = Exchange {
        swarm,
        store: Arc::clone(store),
        peer,
        relay: options.relay()?,
        device,
        push_limit: options.number_or("--push-limit", LIMIT)?,
        ignored: Vec::new(),
        summary: Summary::default(),
    };
    let limit = Duration::from_secs(if IS_GEN1 {
        options.number_or("--peer-sec", PEER_TIMEOUT_SECONDS)?
    } else {
        PEER_TIMEOUT_SECONDS_OF_GEN01
    });
    let result = timeout(limit, exchange.run(route)).await;
    *summary = exchange.summary;
    result.map_err(|_| format!("not complete within {} s", limit.as_secs()))?
}
