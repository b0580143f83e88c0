//! The messages of sync-pull and entries-push, and their codec.

use std::io::{self, Read};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The preferred version first.
pub const PULL: [&str; 2] = ["/rustory/sync-pull/1.0.1", "/rustory/sync-pull/1.0.0"];
pub const PUSH: [&str; 2] = ["/rustory/entries-push/1.0.1", "/rustory/entries-push/1.0.0"];

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Maximum size of a decompressed message, as a multiple of the limit for the compressed message.
const MAX_DECOMPRESSION_FACTOR: u64 = 4;

/// One command of the history. On the wire `ts` has the serde format of the `time` crate; in files and in the output it
/// is Unix seconds.
#[derive(Clone, Deserialize, Serialize)]
pub struct Entry<Time> {
    pub entry_id: String,
    pub device_id: String,
    pub user_id: String,
    pub ts: Time,
    pub cmd: String,
    pub cwd: String,
    pub exit_code: i32,
    pub duration_ms: i64,
    pub shell: String,
    pub hostname: String,
    pub version: String,
}

impl<Time> Entry<Time> {
    pub fn with_time<Other>(self, convert: impl Fn(Time) -> Other) -> Entry<Other> {
        Entry {
            entry_id: self.entry_id,
            device_id: self.device_id,
            user_id: self.user_id,
            ts: convert(self.ts),
            cmd: self.cmd,
            cwd: self.cwd,
            exit_code: self.exit_code,
            duration_ms: self.duration_ms,
            shell: self.shell,
            hostname: self.hostname,
            version: self.version,
        }
    }
}

/// Entries in files and in the database, with Unix seconds, as entries on the wire and back.
pub fn to_wire(entry: Entry<i64>) -> Result<Entry<OffsetDateTime>, time::error::ComponentRange> {
    let ts = OffsetDateTime::from_unix_timestamp(entry.ts)?;
    Ok(entry.with_time(|_| ts))
}

pub fn from_wire(entry: Entry<OffsetDateTime>) -> Entry<i64> {
    entry.with_time(|ts| ts.unix_timestamp())
}

#[derive(Clone, Deserialize, Serialize)]
pub struct Deletion {
    pub entry_id: String,
    pub user_id: String,
    pub device_id: String,
    pub deleted_at: i64,
}

/// The fields that only 1.x has are `None` in 0.1, which does not send them.
#[derive(Deserialize, Serialize)]
pub struct PullRequest {
    pub cursor: i64,
    pub limit: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_cursor: Option<i64>,
}

#[derive(Deserialize, Serialize)]
pub struct PullAnswer {
    pub entries: Vec<Entry<OffsetDateTime>>,
    pub next_cursor: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<Vec<Deletion>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_delete_cursor: Option<i64>,
}

#[derive(Deserialize, Serialize)]
pub struct PushRequest {
    pub entries: Vec<Entry<OffsetDateTime>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<Vec<Deletion>>,
}

#[derive(Default, Deserialize, Serialize)]
pub struct PushAnswer {
    pub ok: bool,
    pub inserted: Option<i64>,
    pub ignored: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_inserted: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_ignored: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_deleted: Option<i64>,
}

/// A codec of JSON messages, compressed in version 1.0.1.
#[derive(Clone)]
pub struct JsonCodec {
    max_request_bytes: u64,
    max_answer_bytes: u64,
}

impl JsonCodec {
    pub const PULL: Self = Self {
        max_request_bytes: 64 * KIB,
        max_answer_bytes: 32 * MIB,
    };
    pub const PUSH: Self = Self {
        max_request_bytes: 16 * MIB,
        max_answer_bytes: 64 * KIB,
    };
}

#[async_trait::async_trait]
impl Codec for JsonCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(protocol, io, self.max_request_bytes).await
    }

    async fn read_response<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(protocol, io, self.max_answer_bytes).await
    }

    async fn write_request<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        json: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(protocol, io, json).await
    }

    async fn write_response<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        json: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(protocol, io, json).await
    }
}

fn is_compressed(protocol: &StreamProtocol) -> bool {
    protocol.as_ref().ends_with("/1.0.1")
}

async fn read<T>(protocol: &StreamProtocol, io: &mut T, max: u64) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut bytes = Vec::new();
    io.take(max + 1).read_to_end(&mut bytes).await?;
    check_size(&bytes, max)?;
    if !is_compressed(protocol) {
        return Ok(bytes);
    }
    let mut json = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(bytes.as_slice())?;
    Read::take(decoder, max * MAX_DECOMPRESSION_FACTOR + 1).read_to_end(&mut json)?;
    check_size(&json, max * MAX_DECOMPRESSION_FACTOR)?;
    Ok(json)
}

fn check_size(bytes: &[u8], max: u64) -> io::Result<()> {
    if bytes.len() as u64 <= max {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "The message is larger than {max} bytes."
    )))
}

async fn write<T>(protocol: &StreamProtocol, io: &mut T, json: Vec<u8>) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let bytes = if is_compressed(protocol) {
        zstd::stream::encode_all(json.as_slice(), 0)?
    } else {
        json
    };
    io.write_all(&bytes).await
}
