//! entries-push in both roles: what the command `push` sends, and what `serve` answers.

use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::options::Options;
use crate::responder::read_entries;
use crate::sync::{Entry, MAX_DECOMPRESSION_FACTOR, MAX_PUSH_BYTES, Message};
use crate::{Outcome, print_line};

const NO_MESSAGE: &[u8] = b"no message";

#[derive(Deserialize, Serialize)]
struct Deletion {
    entry_id: String,
    user_id: String,
    device_id: String,
    deleted_at: i64,
}

#[derive(Deserialize)]
struct PushRequest {
    entries: Vec<Entry<OffsetDateTime>>,
    #[serde(default)]
    deletions: Vec<Deletion>,
}

/// Counts may be null or absent.
#[derive(Default, Deserialize, Serialize)]
struct PushAnswer {
    ok: bool,
    inserted: Option<i64>,
    ignored: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_inserted: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_ignored: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_deleted: Option<i64>,
}

/// The pushes of one command: the entries and deletions of files. Deletions are in the first request.
pub struct Pushing {
    entries: Vec<Value>,
    deletions: Vec<Value>,
    limit: usize,
    bad: Option<String>,
    sent: usize,
    is_started: bool,
    inserted: i64,
    ignored: i64,
    deletion_inserted: i64,
    deletion_deleted: i64,
}

impl Pushing {
    pub fn new(options: &Options, limit: usize) -> Outcome<Self> {
        let entries = read_entries(options)?;
        let deletions = match options.optional("--deletions") {
            Some(path) => serde_json::from_slice(&fs::read(path)?)?,
            None => Vec::new(),
        };
        Ok(Self {
            entries: entries
                .iter()
                .map(serde_json::to_value)
                .collect::<Result<_, _>>()?,
            deletions,
            limit,
            bad: options.optional("--bad").map(String::from),
            sent: 0,
            is_started: false,
            inserted: 0,
            ignored: 0,
            deletion_inserted: 0,
            deletion_deleted: 0,
        })
    }

    /// The next request, or the bad one that `--bad` names; `None` after the last one.
    pub fn next(&mut self) -> Outcome<Option<Message>> {
        if self.is_started && self.sent >= self.entries.len() {
            return Ok(None);
        }
        self.is_started = true;
        let end = (self.sent + self.limit).min(self.entries.len());
        let mut entries = self.entries[self.sent..end].to_vec();
        let mut deletions = std::mem::take(&mut self.deletions);
        self.sent = end;
        if self.bad.as_deref() == Some("items") {
            entries.extend([json!({ "entry_id": 7 }), Value::Null, json!("an entry")]);
            deletions.push(json!({ "entry_id": "gone", "deleted_at": "yesterday" }));
        }
        let mut request = json!({ "entries": entries });
        if !deletions.is_empty() {
            request["deletions"] = Value::Array(deletions);
        }
        let mut text = serde_json::to_vec(&request)?;
        let raw = |json: Vec<u8>| Message {
            protocol: String::new(),
            json,
            is_raw: true,
        };
        Ok(Some(match self.bad.as_deref() {
            None | Some("items") => Message::new(String::new(), text),
            Some("cut") => {
                text.truncate(text.len() / 2);
                Message::new(String::new(), text)
            }
            Some("garbage") => raw(NO_MESSAGE.to_vec()),
            Some("large") => raw(vec![b' '; MAX_PUSH_BYTES as usize + 1]),
            Some("bomb") => {
                let size = MAX_PUSH_BYTES * MAX_DECOMPRESSION_FACTOR + 1;
                Message::new(String::new(), vec![b' '; size as usize])
            }
            Some(other) => return Err(format!("Unknown value \"{other}\" of --bad.").into()),
        }))
    }

    pub fn on_answer(&mut self, answer: &Message) -> Outcome<()> {
        let answer: PushAnswer = serde_json::from_slice(&answer.json)?;
        if !answer.ok {
            return Err("The push was refused.".into());
        }
        self.inserted += answer.inserted.unwrap_or(0);
        self.ignored += answer.ignored.unwrap_or(0);
        self.deletion_inserted += answer.deletion_inserted.unwrap_or(0);
        self.deletion_deleted += answer.deletion_deleted.unwrap_or(0);
        Ok(())
    }

    pub fn report(&self, protocol: &str) -> Value {
        json!({
            "msg": "pushed",
            "protocol": protocol,
            "inserted": self.inserted,
            "ignored": self.ignored,
            "deletion_inserted": self.deletion_inserted,
            "deletion_deleted": self.deletion_deleted,
        })
    }
}

/// Prints one push and answers it as `--answer` says; `None`: without an answer. Nothing is stored, so everything counts as new.
pub fn answer(request: &Message, kind: &str) -> Outcome<Option<Message>> {
    let PushRequest { entries, deletions } = match serde_json::from_slice(&request.json) {
        Ok(request) => request,
        Err(error) => {
            print_line(json!({ "msg": "broken", "reason": error.to_string() }));
            return Ok(None);
        }
    };
    let counts = (entries.len() as i64, deletions.len() as i64);
    for entry in entries {
        print_line(json!({ "msg": "entry", "entry": entry.with_time(|ts| ts.unix_timestamp()) }));
    }
    for deletion in deletions {
        print_line(json!({ "msg": "deletion", "deletion": deletion }));
    }
    print_line(
        json!({ "msg": "took", "protocol": request.protocol, "entries": counts.0, "deletions": counts.1 }),
    );
    let json = match kind {
        "counts" => serde_json::to_vec(&PushAnswer {
            ok: true,
            inserted: Some(counts.0),
            ignored: Some(0),
            deletion_inserted: Some(counts.1),
            deletion_ignored: Some(0),
            deletion_deleted: Some(0),
        })?,
        "nulls" => serde_json::to_vec(&PushAnswer {
            ok: true,
            ..PushAnswer::default()
        })?,
        "bare" => serde_json::to_vec(&json!({ "ok": true }))?,
        "refuse" => serde_json::to_vec(&PushAnswer::default())?,
        "garbage" => NO_MESSAGE.to_vec(),
        "close" => return Ok(None),
        other => return Err(format!("Unknown value \"{other}\" of --answer.").into()),
    };
    let mut message = Message::new(request.protocol.clone(), json);
    message.is_raw = kind == "garbage";
    Ok(Some(message))
}
