//! The commands `reserve` and `serve`: a device that is reachable through the relay.

use std::collections::VecDeque;
use std::fs;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{Event, Message as Exchange};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, relay};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until};

use crate::node::{Behaviour, BehaviourEvent, create};
use crate::options::Options;
use crate::push;
use crate::sync::{Entry, Message, PullRequest, PullResponse};
use crate::usage::cpu_ms;
use crate::{Outcome, explain, print_line};

/// Delay before a lost reservation is requested again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Longer than any run: no retry is scheduled.
const NEVER: Duration = Duration::from_secs(86_400);

struct Responder {
    swarm: Swarm<Behaviour>,
    relay: Multiaddr,
    entries: Vec<Entry<OffsetDateTime>>,
    /// How the next pushes are answered; the last one repeats.
    answers: VecDeque<String>,
    /// Granted reservations that are not printed yet, because their addresses are not known yet.
    granted: VecDeque<Value>,
    listener: Option<ListenerId>,
    /// Whether the command is `reserve`, which exits after the first reservation.
    once: bool,
}

pub async fn run(options: &Options) -> Outcome<()> {
    let mut responder = Responder {
        swarm: create(options)?,
        relay: options.relay()?.with(Protocol::P2pCircuit),
        entries: read_entries(options)?,
        answers: options
            .optional("--answer")
            .unwrap_or("counts")
            .split(',')
            .map(String::from)
            .collect(),
        granted: VecDeque::new(),
        listener: None,
        once: options.command == "reserve",
    };
    let mut retry_at = Instant::now();
    loop {
        tokio::select! {
            event = responder.swarm.select_next_some() => match responder.on_event(event)? {
                Next::Wait => {}
                Next::Retry => retry_at = Instant::now() + RETRY_DELAY,
                Next::End => return Ok(()),
            },
            _ = sleep_until(retry_at) => {
                retry_at = Instant::now() + NEVER;
                let relay = responder.relay.clone();
                responder.listener = Some(responder.swarm.listen_on(relay)?);
            },
        }
    }
}

enum Next {
    Wait,
    Retry,
    End,
}

impl Responder {
    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) -> Outcome<Next> {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => self.on_relay(event),
            SwarmEvent::Behaviour(BehaviourEvent::Pull(event)) => self.on_pull(event)?,
            SwarmEvent::Behaviour(BehaviourEvent::Push(Event::Message {
                message:
                    Exchange::Request {
                        request, channel, ..
                    },
                ..
            })) => {
                // Dropping the channel closes the stream without an answer.
                if let Some(message) = push::answer(&request, &self.next_answer())? {
                    let _ = self
                        .swarm
                        .behaviour_mut()
                        .push
                        .send_response(channel, message);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Bulk(Event::Message {
                message:
                    Exchange::Request {
                        request, channel, ..
                    },
                ..
            })) => {
                print_line(json!({
                    "msg": "received",
                    "bytes": request.bytes,
                    "sha256": request.sha256,
                    "cpu_ms": cpu_ms(),
                }));
                let _ = self
                    .swarm
                    .behaviour_mut()
                    .bulk
                    .send_response(channel, request.sha256);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Bulk(Event::InboundFailure {
                error, ..
            })) => {
                print_line(json!({ "msg": "broken", "reason": explain(&error) }));
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                if let Some(mut line) = self.granted.pop_front() {
                    line["addresses"] = json!([address.to_string()]);
                    print_line(line);
                    if self.once {
                        return Ok(Next::End);
                    }
                }
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                print_line(json!({ "msg": "unreachable", "reason": explain(&error) }));
                if self.once {
                    return Err(error.into());
                }
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } if self.listener == Some(listener_id) => {
                let reason = reason
                    .err()
                    .map_or("closed".into(), |error| explain(&error));
                print_line(
                    json!({ "msg": "lost", "reason": reason, "connected": self.is_connected() }),
                );
                return if self.once {
                    Err(reason.into())
                } else {
                    Ok(Next::Retry)
                };
            }
            _ => {}
        }
        Ok(Next::Wait)
    }

    fn next_answer(&mut self) -> String {
        if self.answers.len() > 1 {
            return self.answers.pop_front().unwrap_or_default();
        }
        self.answers.front().cloned().unwrap_or_default()
    }

    /// Whether the connection to the relay is open. A refused reservation must not close it.
    fn is_connected(&self) -> bool {
        self.swarm.network_info().num_peers() > 0
    }

    fn on_relay(&mut self, event: relay::client::Event) {
        match event {
            relay::client::Event::ReservationReqAccepted { renewal, limit, .. } => {
                let line = json!({
                    "msg": "reserved",
                    "renewal": renewal,
                    "seconds": limit.as_ref().and_then(|limit| limit.duration()).map(|time| time.as_secs()),
                    "bytes": limit.as_ref().and_then(|limit| limit.data_in_bytes()),
                });
                // A renewal emits no new address.
                if renewal {
                    print_line(line)
                } else {
                    self.granted.push_back(line)
                }
            }
            relay::client::Event::InboundCircuitEstablished { src_peer_id, limit } => {
                print_line(json!({
                    "msg": "circuit",
                    "peer": src_peer_id.to_string(),
                    "seconds": limit.as_ref().and_then(|limit| limit.duration()).map(|time| time.as_secs()),
                    "bytes": limit.as_ref().and_then(|limit| limit.data_in_bytes()),
                }))
            }
            relay::client::Event::OutboundCircuitEstablished { .. } => {}
        }
    }

    fn on_pull(&mut self, event: Event<Message, Message>) -> Outcome<()> {
        let Event::Message {
            message: Exchange::Request {
                request, channel, ..
            },
            ..
        } = event
        else {
            return Ok(());
        };
        let PullRequest { cursor, limit } = serde_json::from_slice(&request.json)?;
        let entries: Vec<_> = self
            .entries
            .iter()
            .skip(usize::try_from(cursor)?)
            .take(limit)
            .cloned()
            .collect();
        let next_cursor = (!entries.is_empty()).then_some(cursor + entries.len() as i64);
        print_line(
            json!({ "msg": "served", "protocol": request.protocol, "entries": entries.len() }),
        );
        let json = serde_json::to_vec(&PullResponse {
            entries,
            next_cursor,
        })?;
        let message = Message::new(request.protocol, json);
        let _ = self
            .swarm
            .behaviour_mut()
            .pull
            .send_response(channel, message);
        Ok(())
    }
}

pub fn read_entries(options: &Options) -> Outcome<Vec<Entry<OffsetDateTime>>> {
    let Some(path) = options.optional("--entries") else {
        return Ok(Vec::new());
    };
    let entries: Vec<Entry<i64>> = serde_json::from_slice(&fs::read(path)?)?;
    entries
        .into_iter()
        .map(|entry| {
            let ts = OffsetDateTime::from_unix_timestamp(entry.ts)?;
            Ok(entry.with_time(|_| ts))
        })
        .collect()
}
