//! `p2p-serve`: is reachable through the relay, registers, and answers pulls and pushes.

use std::process::ExitCode;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{Event, Message};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, identify, relay};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::answers::{Answers, Pull};
use crate::node::{Behaviour, BehaviourEvent, create};
use crate::options::Options;
use crate::reach::{is_circuit, is_public};
use crate::tracker::Tracker;
use crate::{IS_GEN1, Outcome, explain, print_line};

/// Delays in seconds before a lost or refused reservation is requested again, without jitter. The last one repeats.
const BACKOFF_SECONDS: [u64; 5] = [5, 10, 20, 40, 60];

/// 0.1 never requests a reservation again.
const NEVER: Duration = Duration::from_secs(100 * 86_400);

const HEARTBEAT: Duration = Duration::from_secs(30);

const MAX_ADDRESSES: usize = 64;

struct Responder {
    swarm: Swarm<Behaviour>,
    answers: Answers,
    addresses: Vec<Multiaddr>,
    announced: watch::Sender<Vec<String>>,
    listener: Option<ListenerId>,
    failures: usize,
    retry_at: Instant,
    relay: Multiaddr,
    /// Private and loopback addresses are announced too.
    lan: bool,
}

pub async fn run(options: &Options) -> Outcome<ExitCode> {
    let identity = options.identity()?;
    let mut swarm = create(options, &identity)?;
    swarm.listen_on("/ip4/0.0.0.0/tcp/0".parse()?)?;
    let tracker = Tracker::new(options)?;
    let extra = extra_addresses(options)?;
    let (announced, changes) = watch::channel(Vec::new());
    tokio::spawn(announce(tracker.clone(), identity, changes));
    print_line(
        json!({ "msg": "started", "process": "p2p-serve", "peer_id": swarm.local_peer_id().to_string() }),
    );
    let mut responder = Responder {
        swarm,
        answers: Answers {
            store: options.store()?,
            tracker,
        },
        addresses: extra,
        announced,
        listener: None,
        failures: 0,
        retry_at: Instant::now(),
        relay: options.relay()?.with(Protocol::P2pCircuit),
        lan: options.has("--lan"),
    };
    loop {
        tokio::select! {
            event = responder.swarm.select_next_some() => {
                if let Some(reason) = responder.on_event(event)? {
                    print_line(json!({ "msg": "ended", "process": "p2p-serve", "reason": reason }));
                    return Ok(ExitCode::FAILURE);
                }
            }
            _ = sleep_until(responder.retry_at) => {
                responder.retry_at = Instant::now() + NEVER;
                let relay = responder.relay.clone();
                responder.listener = Some(responder.swarm.listen_on(relay)?);
            }
        }
    }
}

/// Addresses in addition to the own ones, like those of a device with many networks.
fn extra_addresses(options: &Options) -> Outcome<Vec<Multiaddr>> {
    let count: u8 = options.number_or("--extra-addresses", 0)?;
    // Addresses of carriers, which count as public and lead nowhere.
    (1..=count)
        .map(|number| Ok(format!("/ip4/100.64.0.{number}/tcp/4001").parse()?))
        .collect()
}

/// Registers at each change and every 30 s. A lost reservation is registered once as an empty list; then 1.x is silent.
async fn announce(tracker: Tracker, identity: Keypair, mut changes: watch::Receiver<Vec<String>>) {
    let mut was_listed = false;
    loop {
        let addresses = changes.borrow_and_update().clone();
        let is_listed = !addresses.is_empty();
        if is_listed || was_listed {
            was_listed = is_listed;
            let (tracker, identity) = (tracker.clone(), identity.clone());
            let circuits = addresses
                .iter()
                .filter(|text| text.contains("/p2p-circuit"))
                .count();
            let count = addresses.len();
            let result =
                tokio::task::spawn_blocking(move || tracker.register(&identity, &addresses)).await;
            match result {
                Ok(Ok(())) => print_line(
                    json!({ "msg": "registered", "addresses": count, "circuits": circuits }),
                ),
                Ok(Err(error)) => print_line(
                    json!({ "msg": "register failed", "reason": explain(error.as_ref()) }),
                ),
                Err(_) => return,
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = sleep(HEARTBEAT) => {}
        }
    }
}

impl Responder {
    /// Returns the reason if the process must end.
    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) -> Outcome<Option<String>> {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Pull(Event::Message {
                peer,
                message:
                    Message::Request {
                        request, channel, ..
                    },
                ..
            })) => match self.answers.pull(&peer, &request)? {
                Pull::Answer(json) => {
                    let _ = self.swarm.behaviour_mut().pull.send_response(channel, json);
                }
                // Dropping the channel closes the stream without an answer.
                Pull::Refused => {}
                Pull::End(reason) => return Ok(Some(reason)),
            },
            SwarmEvent::Behaviour(BehaviourEvent::Push(Event::Message {
                peer,
                message:
                    Message::Request {
                        request, channel, ..
                    },
                ..
            })) => {
                if let Some(json) = self.answers.push(&peer, &request)? {
                    let _ = self.swarm.behaviour_mut().push.send_response(channel, json);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => self.on_relay(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                info,
                ..
            })) if !IS_GEN1 => self.add_address(info.observed_addr),
            SwarmEvent::NewListenAddr { address, .. } => self.add_address(address),
            // 0.1 never forgets an address.
            SwarmEvent::ExpiredListenAddr { address, .. } if IS_GEN1 => {
                self.addresses.retain(|known| *known != address);
                self.publish();
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } if self.listener == Some(listener_id) => {
                let reason = reason
                    .err()
                    .map_or("closed".into(), |error| explain(&error));
                if IS_GEN1 {
                    self.addresses.retain(|known| !addresses.contains(known));
                    self.publish();
                }
                self.on_lost(&reason);
            }
            _ => {}
        }
        Ok(None)
    }

    fn on_relay(&mut self, event: relay::client::Event) {
        match event {
            relay::client::Event::ReservationReqAccepted { renewal, .. } => {
                self.failures = 0;
                print_line(json!({ "msg": "reserved", "renewal": renewal }));
            }
            relay::client::Event::InboundCircuitEstablished { src_peer_id, .. } => {
                print_line(json!({ "msg": "circuit", "peer": src_peer_id.to_string() }));
            }
            relay::client::Event::OutboundCircuitEstablished { .. } => {}
        }
    }

    fn on_lost(&mut self, reason: &str) {
        self.listener = None;
        let mut line = json!({ "msg": "lost", "reason": reason });
        if IS_GEN1 {
            let delay = BACKOFF_SECONDS[self.failures.min(BACKOFF_SECONDS.len() - 1)];
            self.failures += 1;
            self.retry_at = Instant::now() + Duration::from_secs(delay);
            line["retry_sec"] = json!(delay);
        }
        print_line(line);
    }

    fn add_address(&mut self, address: Multiaddr) {
        if self.addresses.contains(&address) {
            return;
        }
        if is_circuit(&address) {
            print_line(json!({ "msg": "reachable", "address": address.to_string() }));
        }
        self.addresses.push(address);
        self.publish();
    }

    /// Announces the addresses, circuits last: a tracker that shortens a list must keep them wherever they are.
    fn publish(&mut self) {
        let (circuits, direct): (Vec<&Multiaddr>, Vec<&Multiaddr>) = self
            .addresses
            .iter()
            .partition(|address| is_circuit(address));
        let max = if IS_GEN1 {
            MAX_ADDRESSES - circuits.len()
        } else {
            usize::MAX
        };
        let texts: Vec<String> = direct
            .into_iter()
            .filter(|address| !IS_GEN1 || self.lan || is_public(address))
            .take(max)
            .chain(circuits)
            .map(ToString::to_string)
            .collect();
        self.announced.send_if_modified(|known| {
            let is_changed = *known != texts;
            *known = texts;
            is_changed
        });
    }
}
