//! The commands `register` and `list`: the HTTP API of the tracker with serde structs. An empty `Option` is sent as
//! `null`, and a response without an integer `last_seen_unix` is rejected.

use std::time::Duration;

use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use crate::options::Options;
use crate::{Outcome, print_line};

/// Timeout of one request; the same as in `rr` clients.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize, Serialize)]
struct Meta {
    device_id: Option<String>,
    hostname: Option<String>,
    user_id: Option<String>,
    version: Option<String>,
    build_revision: Option<String>,
    build_dirty: Option<bool>,
}

#[derive(Serialize)]
struct Registration {
    peer_id: String,
    addrs: Vec<String>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Registered {
    ok: bool,
    ttl_sec: u64,
}

#[derive(Deserialize)]
struct Listing {
    peers: Vec<Peer>,
}

#[derive(Deserialize, Serialize)]
struct Peer {
    peer_id: String,
    addrs: Vec<String>,
    meta: Option<Meta>,
    #[serde(with = "time::serde::rfc3339")]
    last_seen: OffsetDateTime,
    last_seen_unix: i64,
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(REQUEST_TIMEOUT))
        .build()
        .into()
}

pub fn register(options: &Options) -> Outcome<()> {
    let peer_id = Keypair::generate_ed25519()
        .public()
        .to_peer_id()
        .to_string();
    let registration = Registration {
        addrs: vec![format!(
            "{}/p2p-circuit/p2p/{peer_id}",
            options.text("--relay")?
        )],
        peer_id: peer_id.clone(),
        meta: Some(Meta {
            device_id: Some("interop".into()),
            hostname: None,
            user_id: Some(options.text("--user")?.into()),
            version: None,
            build_revision: None,
            build_dirty: Some(true),
        }),
    };
    let url = format!("{}/api/v1/peers/register", options.text("--tracker")?);
    let Registered { ok, ttl_sec } = agent()
        .post(&url)
        .send_json(&registration)?
        .body_mut()
        .read_json()?;
    print_line(json!({ "msg": "registered", "peer_id": peer_id, "ok": ok, "ttl_sec": ttl_sec }));
    Ok(())
}

pub fn list(options: &Options) -> Outcome<()> {
    let url = format!("{}/api/v1/peers", options.text("--tracker")?);
    let Listing { peers } = agent()
        .get(&url)
        .query("user_id", options.text("--user")?)
        .call()?
        .body_mut()
        .read_json()?;
    print_line(json!({ "msg": "listed", "peers": peers }));
    Ok(())
}
