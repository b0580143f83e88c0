//! The commands `dial`, `pull`, `push` and `bulk`: a device that dials another device through the relay.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{Event, Message as Exchange};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{PeerId, identify, ping, relay};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::bulk::{Bulk, Pause};
use crate::node::{Behaviour, BehaviourEvent, create};
use crate::options::Options;
use crate::push::Pushing;
use crate::sync::{Message, PullRequest, PullResponse};
use crate::usage::cpu_ms;
use crate::{Outcome, explain, print_line};

/// Default of `--limit`: maximum entries per request.
pub const DEFAULT_LIMIT: usize = 1000;

struct Requester<'a> {
    options: &'a Options,
    swarm: Swarm<Behaviour>,
    peer: PeerId,
    cursor: i64,
    limit: usize,
    entries: usize,
    /// With `--summary`, `pull` prints this hash of the lines of all entries, and not the entries.
    hash: Option<Sha256>,
    start: Instant,
    push: Option<Pushing>,
    /// `dial` waits for the agent of the other device and for its response to a ping.
    agent: Option<String>,
    pinged: bool,
}

pub async fn run(options: &Options) -> Outcome<()> {
    let start = Instant::now();
    let peer = options.peer()?;
    let mut swarm = create(options)?;
    swarm.dial(
        options
            .relay()?
            .with(Protocol::P2pCircuit)
            .with(Protocol::P2p(peer)),
    )?;
    let limit = options
        .optional("--limit")
        .map_or(Ok(DEFAULT_LIMIT), str::parse)?;
    let mut requester = Requester {
        options,
        swarm,
        peer,
        cursor: 0,
        limit,
        entries: 0,
        hash: options.has("--summary").then(Sha256::new),
        start,
        push: None,
        agent: None,
        pinged: false,
    };
    loop {
        let event = requester.swarm.select_next_some().await;
        if requester.on_event(event)? {
            return Ok(());
        }
    }
}

impl Requester<'_> {
    /// Returns whether the command is complete.
    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) -> Outcome<bool> {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == self.peer => {
                self.begin()?
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            SwarmEvent::ConnectionClosed { peer_id, cause, .. } if peer_id == self.peer => {
                let reason = cause.map_or("closed".into(), |error| explain(&error));
                return Err(format!("The circuit has ended: {reason}.").into());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Relay(
                relay::client::Event::OutboundCircuitEstablished { limit, .. },
            )) => print_line(json!({
                "msg": "circuit",
                "peer": self.peer.to_string(),
                "seconds": limit.as_ref().and_then(|limit| limit.duration()).map(|time| time.as_secs()),
                "bytes": limit.as_ref().and_then(|limit| limit.data_in_bytes()),
            })),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) if peer_id == self.peer => {
                self.agent = Some(info.agent_version);
                return Ok(self.report_dialed());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, result, .. }))
                if peer == self.peer && self.options.command == "dial" =>
            {
                result?;
                self.pinged = true;
                return Ok(self.report_dialed());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Pull(event)) => return self.on_pull(event),
            SwarmEvent::Behaviour(BehaviourEvent::Push(event)) => return self.on_push(event),
            SwarmEvent::Behaviour(BehaviourEvent::Bulk(event)) => return self.on_bulk(event),
            _ => {}
        }
        Ok(false)
    }

    fn begin(&mut self) -> Outcome<()> {
        match self.options.command.as_str() {
            "pull" => self.send_pull()?,
            "push" => {
                self.push = Some(Pushing::new(self.options, self.limit)?);
                self.send_push()?;
            }
            "bulk" => {
                let bytes = self.options.number("--bytes")?;
                let bulk = Bulk {
                    bytes,
                    seed: self.options.optional("--seed").map_or(Ok(0), str::parse)?,
                    sha256: String::new(),
                    pause: self.pause(bytes),
                };
                self.swarm
                    .behaviour_mut()
                    .bulk
                    .send_request(&self.peer, bulk);
            }
            _ => {}
        }
        Ok(())
    }

    /// With `--wait`, the data is sent after a line of input; with `--pause`, the second half.
    fn pause(&self, bytes: u64) -> Option<Pause> {
        let (left, msg) = if self.options.has("--wait") {
            (bytes, "ready")
        } else if self.options.has("--pause") {
            (bytes / 2, "half")
        } else {
            return None;
        };
        let resume = notify_on_input();
        Some(Pause { left, msg, resume })
    }

    /// Prints the result of `dial` when it is complete. Returns whether it is.
    fn report_dialed(&self) -> bool {
        let Some(agent) = self
            .agent
            .as_ref()
            .filter(|_| self.options.command == "dial" && self.pinged)
        else {
            return false;
        };
        print_line(json!({ "msg": "dialed", "peer": self.peer.to_string(), "agent": agent }));
        true
    }

    fn send_pull(&mut self) -> Outcome<()> {
        let request = PullRequest {
            cursor: self.cursor,
            limit: self.limit,
        };
        let message = Message::new(String::new(), serde_json::to_vec(&request)?);
        self.swarm
            .behaviour_mut()
            .pull
            .send_request(&self.peer, message);
        Ok(())
    }

    fn on_pull(&mut self, event: Event<Message, Message>) -> Outcome<bool> {
        let response = match event {
            Event::Message {
                message: Exchange::Response { response, .. },
                ..
            } => response,
            Event::OutboundFailure { error, .. } => return Err(error.into()),
            _ => return Ok(false),
        };
        let PullResponse {
            entries,
            next_cursor,
        } = serde_json::from_slice(&response.json)?;
        self.entries += entries.len();
        for entry in entries {
            let entry = entry.with_time(|ts| ts.unix_timestamp());
            if let Some(hash) = self.hash.as_mut() {
                serde_json::to_writer(&mut *hash, &entry)?;
                hash.update(b"\n");
            } else {
                print_line(json!({ "msg": "entry", "entry": entry }));
            }
        }
        let Some(cursor) = next_cursor else {
            self.report_pulled(&response.protocol);
            return Ok(true);
        };
        self.cursor = cursor;
        self.send_pull()?;
        Ok(false)
    }

    fn report_pulled(&mut self, protocol: &str) {
        let mut line = json!({ "msg": "pulled", "entries": self.entries, "protocol": protocol });
        if let Some(hash) = self.hash.take() {
            line["sha256"] = json!(hex::encode(hash.finalize()));
            line["ms"] = json!(self.start.elapsed().as_secs_f64() * 1e3);
            line["cpu_ms"] = json!(cpu_ms());
        }
        print_line(line);
    }

    /// Sends the next push. Returns whether there is none.
    fn send_push(&mut self) -> Outcome<bool> {
        let Some(message) = self.push.as_mut().map_or(Ok(None), Pushing::next)? else {
            return Ok(true);
        };
        self.swarm
            .behaviour_mut()
            .push
            .send_request(&self.peer, message);
        Ok(false)
    }

    fn on_push(&mut self, event: Event<Message, Message>) -> Outcome<bool> {
        let response = match event {
            Event::Message {
                message: Exchange::Response { response, .. },
                ..
            } => response,
            Event::OutboundFailure { error, .. } => return Err(error.into()),
            _ => return Ok(false),
        };
        if let Some(push) = self.push.as_mut() {
            push.on_answer(&response)?;
        }
        let is_complete = self.send_push()?;
        if let Some(push) = self.push.as_ref().filter(|_| is_complete) {
            print_line(push.report(&response.protocol));
        }
        Ok(is_complete)
    }

    fn on_bulk(&mut self, event: Event<Bulk, String>) -> Outcome<bool> {
        match event {
            Event::Message {
                message: Exchange::Response { response, .. },
                ..
            } => {
                print_line(json!({ "msg": "confirmed", "sha256": response, "cpu_ms": cpu_ms() }));
                Ok(true)
            }
            Event::OutboundFailure { error, .. } => Err(error.into()),
            _ => Ok(false),
        }
    }
}

/// Notifies after the next line of standard input.
fn notify_on_input() -> Arc<Notify> {
    let notify = Arc::new(Notify::new());
    let sender = Arc::clone(&notify);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        sender.notify_one();
    });
    notify
}
