//! The HTTP client of the tracker, without TLS. Each request is a new TCP connection.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::options::Options;
use crate::store::{Member, Store};
use crate::{IS_GEN1, Outcome, VERSION};

/// A longer list is refused.
const MAX_LIST_BYTES: u64 = 512 * 1024;

/// Time limits of the tries of a request: to connect, and for the response.
const TRIES: &[(u64, u64)] = if IS_GEN1 {
    &[(300, 1000), (600, 2000), (1200, 4000)]
} else {
    &[(1000, 1000)]
};

#[derive(Clone, Default, Deserialize, Serialize)]
pub struct Meta {
    pub device_id: Option<String>,
    pub hostname: Option<String>,
    pub user_id: Option<String>,
    pub version: Option<String>,
    pub build_revision: Option<String>,
    pub build_dirty: Option<bool>,
}

#[derive(Clone, Deserialize)]
pub struct Peer {
    pub peer_id: String,
    pub addrs: Vec<String>,
    pub meta: Option<Meta>,
    #[serde(default)]
    pub last_seen_unix: i64,
}

#[derive(Deserialize)]
struct Listing {
    peers: Vec<Peer>,
}

#[derive(Clone)]
pub struct Tracker {
    url: String,
    token: Option<String>,
    pub user: String,
    pub device: String,
    /// The version in the registration; one program imitates several releases.
    version: String,
}

impl Tracker {
    pub fn new(options: &Options) -> Outcome<Self> {
        Ok(Self {
            url: options.text("--tracker")?.trim_end_matches('/').into(),
            token: options.optional("--token").map(String::from),
            user: options.text("--user")?.into(),
            device: options.text("--device")?.into(),
            version: options.optional("--rr-version").unwrap_or(VERSION).into(),
        })
    }

    pub fn register(&self, identity: &Keypair, addresses: &[String]) -> Outcome<()> {
        let peer_id = identity.public().to_peer_id().to_string();
        let meta = Meta {
            device_id: Some(self.device.clone()),
            hostname: Some(format!("{}.lan", self.device)),
            user_id: Some(self.user.clone()),
            version: Some(self.version.clone()),
            build_revision: None,
            build_dirty: None,
        };
        let mut body = json!({ "peer_id": peer_id, "addrs": addresses, "meta": meta });
        if IS_GEN1 {
            body["retirement_protocol"] = json!(1);
            body["membership_protocol"] = json!(1);
            body["membership_enforced"] = json!(false);
            body["device_proof"] = proof(identity, &peer_id)?;
        }
        let url = format!("{}/api/v1/peers/register", self.url);
        self.request(|agent| {
            let mut request = agent.post(&url);
            if let Some(token) = self.token_for(&url) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            request.send_json(&body)
        })
        .map(|_| ())
    }

    /// The devices of the user. @returns an error also for a list above 512 KiB
    pub fn list(&self) -> Outcome<Vec<Peer>> {
        let url = format!("{}/api/v1/peers", self.url);
        let json = self.request(|agent| {
            let mut request = agent.get(&url).query("user_id", &self.user);
            if let Some(token) = self.token_for(&url) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            request.call()
        })?;
        Ok(serde_json::from_slice::<Listing>(&json)?.peers)
    }

    /// Writes the listed peers to `peer_book`.
    pub fn remember(&self, store: &Store, peers: &[Peer]) -> Outcome<()> {
        for peer in peers {
            let meta = peer.meta.clone().unwrap_or_default();
            let member = Member {
                user_id: meta.user_id,
                device_id: meta.device_id,
            };
            store.remember(&peer.peer_id, &peer.addrs, &member, peer.last_seen_unix)?;
        }
        Ok(())
    }

    /// 1.x never sends a token over http to a host that is not loopback.
    fn token_for(&self, url: &str) -> Option<&str> {
        let host = url.strip_prefix("http://").unwrap_or_default();
        let is_loopback = ["127.", "localhost", "[::1]"]
            .iter()
            .any(|name| host.starts_with(name));
        let is_safe = !IS_GEN1 || url.starts_with("https://") || is_loopback;
        self.token.as_deref().filter(|_| is_safe)
    }

    fn request<Call>(&self, call: Call) -> Outcome<Vec<u8>>
    where
        Call: Fn(&ureq::Agent) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    {
        let mut last = None;
        for (connect_ms, answer_ms) in TRIES {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .timeout_connect(Some(Duration::from_millis(*connect_ms)))
                .timeout_global(Some(Duration::from_millis(connect_ms + answer_ms)))
                .max_redirects(0)
                .max_idle_connections(0)
                .build()
                .into();
            let result = call(&agent).and_then(|response| {
                if !response.status().is_success() {
                    return Err(ureq::Error::StatusCode(response.status().as_u16()));
                }
                let mut body = response.into_body();
                body.with_config().limit(MAX_LIST_BYTES).read_to_vec()
            });
            match result {
                Ok(bytes) => return Ok(bytes),
                Err(error) if is_temporary(&error) => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.map_or("no try".into(), Into::into))
    }
}

fn is_temporary(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::StatusCode(code) => matches!(code, 408 | 429 | 500..),
        ureq::Error::Timeout(_) => true,
        _ => false,
    }
}

/// The proof that the sender has the identity key. Byte strings are arrays of numbers.
fn proof(identity: &Keypair, peer_id: &str) -> Outcome<Value> {
    let issued = unix_seconds();
    let nonce = format!(
        "{:032x}",
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos()
    );
    let signature = identity.sign(format!("{peer_id}\n{issued}\n{nonce}").as_bytes())?;
    Ok(json!({
        "peer_id": peer_id,
        "issued_at_unix": issued,
        "nonce": nonce,
        "public_key": identity.public().encode_protobuf(),
        "signature": signature,
    }))
}

/// By the clock of this device, which may be wrong.
pub fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs() as i64)
}

pub fn parse_addresses(peer: &Peer) -> Vec<Multiaddr> {
    peer.addrs
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect()
}
