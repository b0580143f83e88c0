//! The database that both processes of a daemon share: entries, deletions, the known peers, and four positions per peer.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::wire::{Deletion, Entry};
use crate::{IS_GEN1, Outcome};

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS entries (ingest_seq INTEGER PRIMARY KEY AUTOINCREMENT, entry_id TEXT NOT NULL UNIQUE,
  device_id TEXT NOT NULL, user_id TEXT NOT NULL, ts INTEGER NOT NULL, cmd TEXT NOT NULL, cwd TEXT NOT NULL,
  exit_code INTEGER NOT NULL, duration_ms INTEGER NOT NULL, shell TEXT NOT NULL, hostname TEXT NOT NULL,
  version TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS peer_state (peer_id TEXT PRIMARY KEY, last_cursor INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS peer_push_state (peer_id TEXT PRIMARY KEY, last_pushed_seq INTEGER NOT NULL);
";

const BOOK: &str = "
CREATE TABLE IF NOT EXISTS peer_book (peer_id TEXT PRIMARY KEY, addrs_json TEXT NOT NULL, user_id TEXT,
  device_id TEXT, last_seen INTEGER NOT NULL);
";

/// The tables that only 1.x has. Its `peer_book` has one more column.
const SCHEMA_OF_GEN1: &str = "
CREATE TABLE IF NOT EXISTS peer_book (peer_id TEXT PRIMARY KEY, addrs_json TEXT NOT NULL, user_id TEXT,
  device_id TEXT, rr_version TEXT, last_seen INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entry_deletions (delete_seq INTEGER PRIMARY KEY AUTOINCREMENT,
  entry_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, device_id TEXT NOT NULL, deleted_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS peer_delete_state (peer_id TEXT PRIMARY KEY, last_delete_cursor INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS peer_delete_push_state
  (peer_id TEXT PRIMARY KEY, last_pushed_delete_seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS peer_revocations
  (peer_id TEXT PRIMARY KEY, device_id TEXT, user_id TEXT, revoked_at INTEGER, ticket_id TEXT);
";

const COLUMNS: &str =
    "entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version";

/// A position that is kept for each peer: the name of its table and of its column.
#[derive(Clone, Copy)]
pub struct Position(&'static str, &'static str);

impl Position {
    pub const PULLED: Self = Self("peer_state", "last_cursor");
    pub const PULLED_DELETIONS: Self = Self("peer_delete_state", "last_delete_cursor");
    pub const PUSHED: Self = Self("peer_push_state", "last_pushed_seq");
    pub const PUSHED_DELETIONS: Self = Self("peer_delete_push_state", "last_pushed_delete_seq");
}

/// A peer of `peer_book`.
pub struct Member {
    pub user_id: Option<String>,
    pub device_id: Option<String>,
}

#[derive(Default)]
pub struct Counts {
    pub inserted: i64,
    pub ignored: i64,
    pub deletion_inserted: i64,
    pub deletion_ignored: i64,
    pub deletion_deleted: i64,
}

pub struct Store(Connection);

impl Store {
    /// `synchronous` is that of SQLite by default, which is FULL.
    pub fn open(path: &str, synchronous: Option<&str>) -> Outcome<Self> {
        let database = Connection::open(path)?;
        database.busy_timeout(BUSY_TIMEOUT)?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        if let Some(value) = synchronous {
            database.pragma_update(None, "synchronous", value)?;
        }
        if IS_GEN1 {
            protect(Path::new(path))?;
        }
        database.execute_batch(SCHEMA)?;
        database.execute_batch(if IS_GEN1 { SCHEMA_OF_GEN1 } else { BOOK })?;
        Ok(Self(database))
    }

    /// Inserts entries and deletions in one transaction. An entry whose id has a deletion is not inserted.
    pub fn apply(&mut self, entries: &[Entry<i64>], deletions: &[Deletion]) -> Outcome<Counts> {
        let mut counts = Counts::default();
        let change = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for deletion in deletions {
            if !delete(&change, deletion, &mut counts)? {
                counts.deletion_ignored += 1;
            }
        }
        for entry in entries {
            let inserted = insert(&change, entry)?;
            counts.inserted += i64::from(inserted);
            counts.ignored += i64::from(!inserted);
        }
        change.commit()?;
        Ok(counts)
    }

    /// Entries after a position with their positions, of one device or of all.
    pub fn entries_after(
        &self,
        cursor: i64,
        limit: i64,
        device: Option<&str>,
    ) -> Outcome<Vec<(i64, Entry<i64>)>> {
        let mut query = self.0.prepare_cached(&format!(
            "SELECT ingest_seq, {COLUMNS} FROM entries WHERE ingest_seq > ?1 AND (?3 IS NULL OR device_id = ?3)
             ORDER BY ingest_seq LIMIT ?2"
        ))?;
        let rows = query.query_map(params![cursor, limit, device], |row| {
            Ok((row.get(0)?, read_entry(row)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn deletions_after(
        &self,
        cursor: i64,
        limit: i64,
        device: Option<&str>,
    ) -> Outcome<Vec<(i64, Deletion)>> {
        let mut query = self.0.prepare_cached(
            "SELECT delete_seq, entry_id, user_id, device_id, deleted_at FROM entry_deletions
             WHERE delete_seq > ?1 AND (?3 IS NULL OR device_id = ?3) ORDER BY delete_seq LIMIT ?2",
        )?;
        let rows = query.query_map(params![cursor, limit, device], |row| {
            let deletion = Deletion {
                entry_id: row.get(1)?,
                user_id: row.get(2)?,
                device_id: row.get(3)?,
                deleted_at: row.get(4)?,
            };
            Ok((row.get(0)?, deletion))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The highest position that a table ever had.
    pub fn counter(&self, table: &str) -> Outcome<i64> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
        let found = self
            .0
            .query_row(sql, [table], |row| row.get(0))
            .optional()?;
        Ok(found.unwrap_or(0))
    }

    pub fn position(&self, Position(table, column): Position, peer: &str) -> Outcome<i64> {
        let sql = format!("SELECT {column} FROM {table} WHERE peer_id = ?1");
        let found = self
            .0
            .query_row(&sql, [peer], |row| row.get(0))
            .optional()?;
        Ok(found.unwrap_or(0))
    }

    /// Moves a position forward, never back.
    pub fn advance(&self, Position(table, column): Position, peer: &str, to: i64) -> Outcome<()> {
        self.0.execute(
            &format!(
                "INSERT INTO {table} (peer_id, {column}) VALUES (?1, ?2)
                 ON CONFLICT (peer_id) DO UPDATE SET {column} = max({column}, excluded.{column})"
            ),
            params![peer, to],
        )?;
        Ok(())
    }

    pub fn member(&self, peer: &str) -> Outcome<Option<Member>> {
        let sql = "SELECT user_id, device_id FROM peer_book WHERE peer_id = ?1";
        let read = |row: &Row| {
            Ok(Member {
                user_id: row.get(0)?,
                device_id: row.get(1)?,
            })
        };
        Ok(self.0.query_row(sql, [peer], read).optional()?)
    }

    pub fn remember(
        &self,
        peer: &str,
        addresses: &[String],
        member: &Member,
        seen: i64,
    ) -> Outcome<()> {
        self.0.execute(
            "INSERT INTO peer_book (peer_id, addrs_json, user_id, device_id, last_seen) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (peer_id) DO UPDATE SET addrs_json = excluded.addrs_json, user_id = excluded.user_id,
             device_id = excluded.device_id, last_seen = excluded.last_seen",
            params![
                peer,
                serde_json::to_string(addresses)?,
                member.user_id,
                member.device_id,
                seen
            ],
        )?;
        Ok(())
    }
}

/// Only the user may read the history.
fn protect(path: &Path) -> Outcome<()> {
    set_permissions(path, Permissions::from_mode(0o600))?;
    if let Some(folder) = path.parent() {
        set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Returns whether the deletion is new or later than the known one.
fn delete(change: &Connection, deletion: &Deletion, counts: &mut Counts) -> rusqlite::Result<bool> {
    let sql = "SELECT deleted_at FROM entry_deletions WHERE entry_id = ?1";
    let known: Option<i64> = change
        .query_row(sql, [&deletion.entry_id], |row| row.get(0))
        .optional()?;
    if known.is_some_and(|time| time >= deletion.deleted_at) {
        return Ok(false);
    }
    // A later deletion gets a new position, so that it spreads like a new one.
    let id = &deletion.entry_id;
    change.execute("DELETE FROM entry_deletions WHERE entry_id = ?1", [id])?;
    change.execute(
        "INSERT INTO entry_deletions (entry_id, user_id, device_id, deleted_at) VALUES (?1, ?2, ?3, ?4)",
        params![id, deletion.user_id, deletion.device_id, deletion.deleted_at],
    )?;
    counts.deletion_inserted += 1;
    counts.deletion_deleted +=
        change.execute("DELETE FROM entries WHERE entry_id = ?1", [id])? as i64;
    Ok(true)
}

fn insert(change: &Connection, entry: &Entry<i64>) -> rusqlite::Result<bool> {
    if IS_GEN1 {
        let sql = "SELECT EXISTS (SELECT 1 FROM entry_deletions WHERE entry_id = ?1)";
        if change.query_row(sql, [&entry.entry_id], |row| row.get(0))? {
            return Ok(false);
        }
    }
    let sql = format!(
        "INSERT OR IGNORE INTO entries ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    );
    let count = change.prepare_cached(&sql)?.execute(params![
        entry.entry_id,
        entry.device_id,
        entry.user_id,
        entry.ts,
        entry.cmd,
        entry.cwd,
        entry.exit_code,
        entry.duration_ms,
        entry.shell,
        entry.hostname,
        entry.version
    ])?;
    Ok(count > 0)
}

fn read_entry(row: &Row) -> rusqlite::Result<Entry<i64>> {
    Ok(Entry {
        entry_id: row.get("entry_id")?,
        device_id: row.get("device_id")?,
        user_id: row.get("user_id")?,
        ts: row.get("ts")?,
        cmd: row.get("cmd")?,
        cwd: row.get("cwd")?,
        exit_code: row.get("exit_code")?,
        duration_ms: row.get("duration_ms")?,
        shell: row.get("shell")?,
        hostname: row.get("hostname")?,
        version: row.get("version")?,
    })
}
