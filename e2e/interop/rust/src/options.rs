//! The command line: a command, then options with a value, and flags.

use std::collections::{HashMap, HashSet};
use std::fs;

use libp2p::pnet::PreSharedKey;
use libp2p::{Multiaddr, PeerId};

use crate::Outcome;

const FLAGS: [&str; 5] = [
    "--pause",
    "--wait",
    "--summary",
    "--defaults",
    "--rr-limits",
];

pub struct Options {
    pub command: String,
    values: HashMap<String, String>,
    flags: HashSet<String>,
}

impl Options {
    pub fn read(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let command = args.next().ok_or("The command is missing.")?;
        let mut options = Self {
            command,
            values: HashMap::new(),
            flags: HashSet::new(),
        };
        while let Some(name) = args.next() {
            if FLAGS.contains(&name.as_str()) {
                options.flags.insert(name);
                continue;
            }
            let value = args
                .next()
                .ok_or_else(|| format!("The option {name} requires a value."))?;
            options.values.insert(name, value);
        }
        Ok(options)
    }

    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    pub fn text(&self, name: &str) -> Outcome<&str> {
        self.optional(name)
            .ok_or_else(|| format!("The option {name} is missing.").into())
    }

    pub fn optional(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn number(&self, name: &str) -> Outcome<u64> {
        Ok(self.text(name)?.parse()?)
    }

    pub fn relay(&self) -> Outcome<Multiaddr> {
        Ok(self.text("--relay")?.parse()?)
    }

    pub fn peer(&self) -> Outcome<PeerId> {
        Ok(self.text("--peer")?.parse()?)
    }

    pub fn swarm_key(&self) -> Outcome<PreSharedKey> {
        let text = fs::read_to_string(self.text("--key")?)?;
        text.parse()
            .map_err(|_| "--key: the file is not a swarm key.".into())
    }
}
