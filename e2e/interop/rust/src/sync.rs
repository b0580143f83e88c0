//! The wire format of entries, sync-pull, and the codec of both versions of sync-pull and entries-push.

use std::io::{self, Read};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The preferred version first.
pub const PULL_PROTOCOLS: [&str; 2] = ["/rustory/sync-pull/1.0.1", "/rustory/sync-pull/1.0.0"];
pub const PUSH_PROTOCOLS: [&str; 2] =
    ["/rustory/entries-push/1.0.1", "/rustory/entries-push/1.0.0"];

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

pub const MAX_PUSH_BYTES: u64 = 16 * MIB;

/// Maximum size of a decompressed message, as a multiple of the limit for the compressed message.
pub const MAX_DECOMPRESSION_FACTOR: u64 = 4;

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

#[derive(Deserialize, Serialize)]
pub struct PullRequest {
    pub cursor: i64,
    pub limit: usize,
}

#[derive(Deserialize, Serialize)]
pub struct PullResponse {
    pub entries: Vec<Entry<OffsetDateTime>>,
    pub next_cursor: Option<i64>,
}

/// The JSON of a request or a response, and the protocol that carries it.
#[derive(Debug)]
pub struct Message {
    pub protocol: String,
    pub json: Vec<u8>,
    /// Whether the bytes are never compressed.
    pub is_raw: bool,
}

impl Message {
    pub fn new(protocol: String, json: Vec<u8>) -> Self {
        Self {
            protocol,
            json,
            is_raw: false,
        }
    }
}

#[derive(Clone)]
pub struct JsonCodec {
    max_request_bytes: u64,
    max_response_bytes: u64,
}

impl JsonCodec {
    pub const PULL: Self = Self {
        max_request_bytes: 64 * KIB,
        max_response_bytes: 32 * MIB,
    };
    pub const PUSH: Self = Self {
        max_request_bytes: MAX_PUSH_BYTES,
        max_response_bytes: 64 * KIB,
    };
}

#[cfg_attr(feature = "released", async_trait::async_trait)]
impl Codec for JsonCodec {
    type Protocol = StreamProtocol;
    type Request = Message;
    type Response = Message;

    async fn read_request<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Message>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(protocol, io, self.max_request_bytes).await
    }

    async fn read_response<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Message>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(protocol, io, self.max_response_bytes).await
    }

    async fn write_request<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        message: Message,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(protocol, io, message).await
    }

    async fn write_response<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        message: Message,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(protocol, io, message).await
    }
}

fn is_compressed(protocol: &StreamProtocol) -> bool {
    protocol.as_ref().ends_with("/1.0.1")
}

async fn read<T>(protocol: &StreamProtocol, io: &mut T, max: u64) -> io::Result<Message>
where
    T: AsyncRead + Unpin + Send,
{
    let mut bytes = Vec::new();
    io.take(max + 1).read_to_end(&mut bytes).await?;
    check_size(&bytes, max)?;
    let mut json = bytes;
    if is_compressed(protocol) {
        let mut plain = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(json.as_slice())?;
        Read::take(decoder, max * MAX_DECOMPRESSION_FACTOR + 1).read_to_end(&mut plain)?;
        check_size(&plain, max * MAX_DECOMPRESSION_FACTOR)?;
        json = plain;
    }
    Ok(Message::new(protocol.to_string(), json))
}

fn check_size(bytes: &[u8], max: u64) -> io::Result<()> {
    if bytes.len() as u64 <= max {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "The message is larger than {max} bytes."
    )))
}

async fn write<T>(protocol: &StreamProtocol, io: &mut T, message: Message) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let bytes = if is_compressed(protocol) && !message.is_raw {
        zstd::stream::encode_all(message.json.as_slice(), 0)?
    } else {
        message.json
    };
    io.write_all(&bytes).await
}
