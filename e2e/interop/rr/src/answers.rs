//! What `p2p-serve` answers: pulls and pushes of members, and what it refuses.

use libp2p::PeerId;
use serde_json::json;

use crate::store::{Member, Position, Store};
use crate::tracker::Tracker;
use crate::wire::{PullAnswer, PullRequest, PushAnswer, PushRequest, from_wire, to_wire};
use crate::{IS_GEN1, Outcome, explain, print_line};

/// The limit of a pull is clamped to 1 to this number.
const MAX_LIMIT: i64 = 1000;

pub struct Answers {
    pub store: Store,
    pub tracker: Tracker,
}

pub enum Pull {
    Answer(Vec<u8>),
    /// The stream is closed without an answer.
    Refused,
    /// The process ends for this reason.
    End(String),
}

impl Answers {
    /// The member with this id. Looks an unknown one up in the list of the tracker, which blocks this process.
    fn member(&self, peer: &PeerId) -> Outcome<Option<Member>> {
        let peer = peer.to_string();
        let is_ours = |member: &Member| member.user_id.as_deref() == Some(&self.tracker.user);
        if let Some(member) = self.store.member(&peer)?.filter(is_ours) {
            return Ok(Some(member));
        }
        match self.tracker.list() {
            Ok(peers) => self.tracker.remember(&self.store, &peers)?,
            Err(error) => {
                print_line(json!({ "msg": "list failed", "reason": explain(error.as_ref()) }))
            }
        }
        Ok(self.store.member(&peer)?.filter(is_ours))
    }

    pub fn pull(&self, peer: &PeerId, request: &[u8]) -> Outcome<Pull> {
        let Ok(request) = serde_json::from_slice::<PullRequest>(request) else {
            return Ok(Pull::Refused);
        };
        let id = peer.to_string();
        if IS_GEN1 {
            if self.member(peer)?.is_none() {
                print_line(json!({ "msg": "refused", "protocol": "pull", "peer": id }));
                return Ok(Pull::Refused);
            }
            if let Some(reason) = self.check_high_water(&id, &request)? {
                return Ok(Pull::End(reason));
            }
            // The position of a request acknowledges what is before it.
            self.store.advance(Position::PUSHED, &id, request.cursor)?;
            let delete_cursor = request.delete_cursor.unwrap_or(0);
            self.store
                .advance(Position::PUSHED_DELETIONS, &id, delete_cursor)?;
        }
        let answer = self.page(&request)?;
        print_line(json!({
            "msg": "served",
            "peer": id,
            "entries": answer.entries.len(),
            "deletions": answer.deletions.as_ref().map_or(0, Vec::len),
        }));
        Ok(Pull::Answer(serde_json::to_vec(&answer)?))
    }

    /// A position that this database never had ends the process.
    fn check_high_water(&self, peer: &str, request: &PullRequest) -> Outcome<Option<String>> {
        let checks = [
            ("cursor", request.cursor, "entries", Position::PUSHED),
            (
                "delete_cursor",
                request.delete_cursor.unwrap_or(0),
                "entry_deletions",
                Position::PUSHED_DELETIONS,
            ),
        ];
        for (name, value, table, pushed) in checks {
            let counter = self.store.counter(table)?;
            if value > counter && value > self.store.position(pushed, peer)? {
                return Ok(Some(format!("{name} {value} of {peer} is above {counter}")));
            }
        }
        Ok(None)
    }

    /// Deletions come first and use the limit up.
    fn page(&self, request: &PullRequest) -> Outcome<PullAnswer> {
        let limit = request.limit.clamp(1, MAX_LIMIT);
        let deletions = if IS_GEN1 {
            self.store
                .deletions_after(request.delete_cursor.unwrap_or(0), limit, None)?
        } else {
            Vec::new()
        };
        let left = limit - deletions.len() as i64;
        let entries = if left > 0 {
            self.store.entries_after(request.cursor, left, None)?
        } else {
            Vec::new()
        };
        let next_delete_cursor = deletions.last().map(|(seq, _)| *seq);
        Ok(PullAnswer {
            next_cursor: entries.last().map(|(seq, _)| *seq),
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
            next_delete_cursor,
        })
    }

    /// `None` if the request cannot be read.
    pub fn push(&mut self, peer: &PeerId, request: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let Ok(request) = serde_json::from_slice::<PushRequest>(request) else {
            return Ok(None);
        };
        let answer = if self.accepts(peer, &request)? {
            let entries: Vec<_> = request.entries.into_iter().map(from_wire).collect();
            // 0.1 ignores the field.
            let deletions = request.deletions.filter(|_| IS_GEN1).unwrap_or_default();
            let counts = self.store.apply(&entries, &deletions)?;
            PushAnswer {
                ok: true,
                inserted: Some(counts.inserted),
                ignored: Some(counts.ignored),
                deletion_inserted: IS_GEN1.then_some(counts.deletion_inserted),
                deletion_ignored: IS_GEN1.then_some(counts.deletion_ignored),
                deletion_deleted: IS_GEN1.then_some(counts.deletion_deleted),
            }
        } else {
            print_line(json!({ "msg": "refused", "protocol": "push", "peer": peer.to_string() }));
            PushAnswer::default()
        };
        Ok(Some(serde_json::to_vec(&answer)?))
    }

    /// Whether everything in a push carries the user and the device of its sender.
    fn accepts(&self, peer: &PeerId, request: &PushRequest) -> Outcome<bool> {
        if !IS_GEN1 {
            return Ok(true);
        }
        let Some(Member { user_id, device_id }) = self.member(peer)? else {
            return Ok(false);
        };
        let (Some(user), Some(device)) = (user_id, device_id) else {
            return Ok(false);
        };
        let is_own = |from_user: &str, from_device: &str| {
            from_user == user && without_suffix(from_device) == without_suffix(&device)
        };
        let deletions = request.deletions.iter().flatten();
        Ok(request
            .entries
            .iter()
            .all(|entry| is_own(&entry.user_id, &entry.device_id))
            && deletions
                .into_iter()
                .all(|deletion| is_own(&deletion.user_id, &deletion.device_id)))
    }
}

/// A device id without the architecture that some releases appended.
fn without_suffix(device: &str) -> &str {
    ["x86_64", "aarch64", "arm64"]
        .iter()
        .flat_map(|name| [format!("-{name}"), format!("_{name}")])
        .find_map(|suffix| device.strip_suffix(suffix.as_str()))
        .unwrap_or(device)
}
