//! What one device does with one peer in one round: dial, pull, push, over connections of its own.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{Event, Message, OutboundRequestId, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::node::{Behaviour, BehaviourEvent};
use crate::reach::Route;
use crate::store::{Position, Store};
use crate::wire::{PullAnswer, PullRequest, PushAnswer, PushRequest, from_wire, to_wire};
use crate::{IS_GEN1, Outcome, explain, print_line};

const CIRCUIT_TRIES_SECONDS: [u64; 3] = [10, 20, 30];
const DIRECT_TRIES_SECONDS: [u64; 3] = [3, 6, 12];
const REQUEST_TRIES_SECONDS: [u64; 3] = [5, 10, 20];

/// Pause before the next try of a dial that failed at once.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Maximum entries, and deletions, of one request.
pub const LIMIT: i64 = 1000;

/// The first words of libp2p for a relay that has no reservation of the target.
const NO_RESERVATION: &str = "no reservation for destination";

#[derive(Default)]
pub struct Summary {
    pub tries: usize,
    pub pulled: usize,
    pub deletions: usize,
    pub pushed: usize,
    pub pushes: usize,
}

pub struct Exchange {
    pub swarm: Swarm<Behaviour>,
    pub store: Arc<Mutex<Store>>,
    pub peer: PeerId,
    pub relay: Multiaddr,
    /// The device whose entries are pushed; `None`: nothing is pushed.
    pub device: Option<String>,
    /// Maximum entries, and deletions, of one push.
    pub push_limit: i64,
    /// Requests of the other side, which are taken and never answered.
    pub ignored: Vec<ResponseChannel<Vec<u8>>>,
    pub summary: Summary,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Pull,
    Push,
}

impl Exchange {
    pub async fn run(&mut self, route: Route) -> Outcome<()> {
        self.dial(route).await?;
        self.pull().await?;
        match self.device.clone() {
            Some(device) => self.push(&device).await,
            None => Ok(()),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no holder of the lock panics")
    }

    async fn dial(&mut self, route: Route) -> Outcome<()> {
        let circuit = vec![self.relay.clone().with(Protocol::P2pCircuit)];
        match route {
            Route::Relay => self.dial_any(circuit, CIRCUIT_TRIES_SECONDS).await,
            Route::Direct(addresses) => self.dial_any(addresses, DIRECT_TRIES_SECONDS).await,
            Route::DirectThenRelay(addresses) => {
                if !addresses.is_empty()
                    && self.dial_any(addresses, DIRECT_TRIES_SECONDS).await.is_ok()
                {
                    return Ok(());
                }
                self.dial_any(circuit, CIRCUIT_TRIES_SECONDS).await
            }
        }
    }

    async fn dial_any(&mut self, addresses: Vec<Multiaddr>, tries: [u64; 3]) -> Outcome<()> {
        let mut last = String::new();
        for seconds in tries {
            self.summary.tries += 1;
            let options = DialOpts::peer_id(self.peer)
                .addresses(addresses.clone())
                // A dial that did not end in time may still be pending.
                .condition(PeerCondition::Always)
                .build();
            self.swarm.dial(options)?;
            let result = timeout(Duration::from_secs(seconds), self.connected()).await;
            last = match result {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => explain(error.as_ref()),
                Err(_) => format!("dial timeout after {seconds}s"),
            };
            print_line(
                json!({ "msg": "dial failed", "peer": self.peer.to_string(), "reason": last }),
            );
            if last.contains(NO_RESERVATION) {
                break;
            }
            sleep(RETRY_PAUSE).await;
        }
        Err(last.into())
    }

    async fn connected(&mut self) -> Outcome<()> {
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == self.peer => {
                    return Ok(());
                }
                SwarmEvent::OutgoingConnectionError {
                    peer_id: Some(peer_id),
                    error,
                    ..
                } if peer_id == self.peer => return Err(error.into()),
                _ => {}
            }
        }
    }

    async fn pull(&mut self) -> Outcome<()> {
        let peer = self.peer.to_string();
        let mut cursor = self.store().position(Position::PULLED, &peer)?;
        let mut delete_cursor = match IS_GEN1 {
            true => Some(self.store().position(Position::PULLED_DELETIONS, &peer)?),
            false => None,
        };
        loop {
            let request = PullRequest {
                cursor,
                limit: LIMIT,
                delete_cursor,
            };
            let json = serde_json::to_vec(&request)?;
            let answer: PullAnswer = serde_json::from_slice(&self.ask(Kind::Pull, &json).await?)?;
            // 0.1 ignores the field.
            let deletions = answer.deletions.filter(|_| IS_GEN1).unwrap_or_default();
            if answer.entries.is_empty() && deletions.is_empty() {
                return Ok(());
            }
            self.summary.pulled += answer.entries.len();
            self.summary.deletions += deletions.len();
            let has_entries = !answer.entries.is_empty();
            let entries: Vec<_> = answer.entries.into_iter().map(from_wire).collect();
            self.store().apply(&entries, &deletions)?;
            if has_entries {
                cursor = grown(answer.next_cursor, cursor)?;
                self.store().advance(Position::PULLED, &peer, cursor)?;
            }
            if !deletions.is_empty() {
                let next = grown(answer.next_delete_cursor, delete_cursor.unwrap_or(0))?;
                self.store()
                    .advance(Position::PULLED_DELETIONS, &peer, next)?;
                delete_cursor = Some(next);
            }
        }
    }

    async fn push(&mut self, device: &str) -> Outcome<()> {
        let peer = self.peer.to_string();
        loop {
            let after = self.store().position(Position::PUSHED, &peer)?;
            let entries = self
                .store()
                .entries_after(after, self.push_limit, Some(device))?;
            let deletions = if IS_GEN1 {
                let after = self.store().position(Position::PUSHED_DELETIONS, &peer)?;
                self.store()
                    .deletions_after(after, self.push_limit, Some(device))?
            } else {
                Vec::new()
            };
            if entries.is_empty() && deletions.is_empty() {
                return Ok(());
            }
            let last_entry = entries.last().map(|(seq, _)| *seq);
            let last_deletion = deletions.last().map(|(seq, _)| *seq);
            let request = PushRequest {
                entries: entries
                    .into_iter()
                    .map(|(_, entry)| to_wire(entry))
                    .collect::<Result<_, _>>()?,
                deletions: IS_GEN1.then(|| {
                    deletions
                        .into_iter()
                        .map(|(_, deletion)| deletion)
                        .collect()
                }),
            };
            let json = serde_json::to_vec(&request)?;
            let answer: PushAnswer = serde_json::from_slice(&self.ask(Kind::Push, &json).await?)?;
            if !answer.ok {
                return Err("the push was refused".into());
            }
            self.summary.pushes += 1;
            self.summary.pushed += request.entries.len();
            if let Some(seq) = last_entry {
                self.store().advance(Position::PUSHED, &peer, seq)?;
            }
            if let Some(seq) = last_deletion {
                self.store()
                    .advance(Position::PUSHED_DELETIONS, &peer, seq)?;
            }
        }
    }

    /// Sends a request and returns its answer. A request without an answer is sent again.
    async fn ask(&mut self, kind: Kind, json: &[u8]) -> Outcome<Vec<u8>> {
        for seconds in REQUEST_TRIES_SECONDS {
            let behaviour = self.swarm.behaviour_mut();
            let exchanges = match kind {
                Kind::Pull => &mut behaviour.pull,
                Kind::Push => &mut behaviour.push,
            };
            let id = exchanges.send_request(&self.peer, json.to_vec());
            match timeout(Duration::from_secs(seconds), self.answer(kind, id)).await {
                Ok(result) => return result,
                Err(_) => print_line(
                    json!({ "msg": "no answer", "peer": self.peer.to_string(), "seconds": seconds }),
                ),
            }
        }
        Err("no answer in three tries".into())
    }

    async fn answer(&mut self, kind: Kind, id: OutboundRequestId) -> Outcome<Vec<u8>> {
        loop {
            let (from, event) = match self.swarm.select_next_some().await {
                SwarmEvent::Behaviour(BehaviourEvent::Pull(event)) => (Kind::Pull, event),
                SwarmEvent::Behaviour(BehaviourEvent::Push(event)) => (Kind::Push, event),
                SwarmEvent::ConnectionClosed { peer_id, cause, .. } if peer_id == self.peer => {
                    let reason = cause.map_or("closed".into(), |error| explain(&error));
                    return Err(format!("the connection ended: {reason}").into());
                }
                _ => continue,
            };
            match event {
                Event::Message {
                    message: Message::Request { channel, .. },
                    ..
                } => self.ignored.push(channel),
                Event::Message {
                    message:
                        Message::Response {
                            request_id,
                            response,
                        },
                    ..
                } if from == kind && request_id == id => return Ok(response),
                Event::OutboundFailure {
                    request_id, error, ..
                } if from == kind && request_id == id => return Err(error.into()),
                _ => {}
            }
        }
    }
}

/// The next position of a page that is not empty.
fn grown(next: Option<i64>, cursor: i64) -> Outcome<i64> {
    next.filter(|next| *next > cursor)
        .ok_or_else(|| format!("the cursor of the answer does not grow from {cursor}").into())
}
