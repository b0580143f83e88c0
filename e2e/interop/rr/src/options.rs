//! The command line: a command, then options with a value, and flags.

use std::collections::HashMap;
use std::fs;
use std::net::ToSocketAddrs;
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::pnet::PreSharedKey;

use crate::Outcome;
use crate::store::Store;

const FLAGS: [&str; 5] = [
    "--watch",
    "--push",
    "--aligned",
    "--service-manager",
    "--lan",
];

pub struct Options {
    pub command: String,
    values: HashMap<String, String>,
}

impl Options {
    pub fn read(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let command = args.next().ok_or("The command is missing.")?;
        let mut values = HashMap::new();
        while let Some(name) = args.next() {
            let value = if FLAGS.contains(&name.as_str()) {
                String::new()
            } else {
                args.next()
                    .ok_or_else(|| format!("The option {name} requires a value."))?
            };
            values.insert(name, value);
        }
        Ok(Self { command, values })
    }

    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn optional(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn text(&self, name: &str) -> Outcome<&str> {
        self.optional(name)
            .ok_or_else(|| format!("The option {name} is missing.").into())
    }

    pub fn number_or<T>(&self, name: &str, fallback: T) -> Outcome<T>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        Ok(self.optional(name).map_or(Ok(fallback), str::parse)?)
    }

    /// The address of the relay. `rr` resolves names itself and uses the first address only.
    pub fn relay(&self) -> Outcome<Multiaddr> {
        resolve(self.text("--relay")?.parse()?)
    }

    pub fn swarm_key(&self) -> Outcome<PreSharedKey> {
        fs::read_to_string(self.text("--key")?)?
            .parse()
            .map_err(|_| "--key: the file is not a swarm key.".into())
    }

    /// The identity of the device. Creates the file if it does not exist.
    pub fn identity(&self) -> Outcome<Keypair> {
        let path = self.text("--identity")?;
        if let Ok(bytes) = fs::read(path) {
            return Ok(Keypair::from_protobuf_encoding(&bytes)?);
        }
        let identity = Keypair::generate_ed25519();
        fs::write(path, identity.to_protobuf_encoding()?)?;
        Ok(identity)
    }

    pub fn store(&self) -> Outcome<Store> {
        Store::open(self.text("--db")?, self.optional("--synchronous"))
    }
}

fn resolve(address: Multiaddr) -> Outcome<Multiaddr> {
    let mut parts: Vec<Protocol> = address.iter().collect();
    let name = match parts.first() {
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => name.to_string(),
        Some(Protocol::Dnsaddr(_)) => return Err("--relay: /dnsaddr is not supported.".into()),
        _ => return Ok(address),
    };
    let only6 = matches!(parts[0], Protocol::Dns6(_));
    let only4 = matches!(parts[0], Protocol::Dns4(_));
    let first = (name.as_str(), 0)
        .to_socket_addrs()?
        .map(|socket| socket.ip())
        .find(|ip| (!only4 || ip.is_ipv4()) && (!only6 || ip.is_ipv6()))
        .ok_or_else(|| format!("--relay: {name} has no address."))?;
    parts[0] = first.into();
    Ok(parts.into_iter().collect())
}
