//! Bulk data in one direction, and the hash of the received data as the response.

use std::io;
use std::sync::Arc;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::print_line;

pub const PROTOCOL: &str = "/rustory-interop/bulk/1.0.0";

const CHUNK_BYTES: usize = 64 * 1024;
const HASH_DIGITS: u64 = 64;

/// The data to send, or the summary of the received data.
#[derive(Debug)]
pub struct Bulk {
    pub bytes: u64,
    /// Other numbers give other data, so that the hash detects data of another transfer too.
    pub seed: u32,
    /// The hexadecimal hash of the received data; empty on the sending side.
    pub sha256: String,
    /// If set, the sender waits.
    pub pause: Option<Pause>,
}

/// Where the sender waits, and for what.
#[derive(Debug)]
pub struct Pause {
    /// The bytes that are then not sent yet.
    pub left: u64,
    /// The message that is printed then.
    pub msg: &'static str,
    pub resume: Arc<Notify>,
}

#[derive(Clone, Default)]
pub struct BulkCodec;

#[cfg_attr(feature = "released", async_trait::async_trait)]
impl Codec for BulkCodec {
    type Protocol = StreamProtocol;
    type Request = Bulk;
    type Response = String;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bulk>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut bytes = 0;
        loop {
            let count = io.read(&mut chunk).await?;
            if count == 0 {
                return Ok(Bulk {
                    bytes,
                    seed: 0,
                    sha256: hex::encode(hash.finalize()),
                    pause: None,
                });
            }
            hash.update(&chunk[..count]);
            bytes += count as u64;
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<String>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut text = String::new();
        io.take(HASH_DIGITS).read_to_string(&mut text).await?;
        Ok(text)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bulk: Bulk,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let mut left = bulk.bytes;
        let mut hash = Sha256::new();
        let mut pause = bulk.pause;
        for index in 0u64.. {
            if let Some(Pause { msg, resume, .. }) = pause.take_if(|pause| left <= pause.left) {
                io.flush().await?;
                print_line(json!({ "msg": msg }));
                resume.notified().await;
            }
            if left == 0 {
                break;
            }
            let chunk = chunk(index, left, bulk.seed);
            hash.update(&chunk);
            io.write_all(&chunk).await?;
            left -= chunk.len() as u64;
        }
        print_line(
            json!({ "msg": "sent", "bytes": bulk.bytes, "sha256": hex::encode(hash.finalize()) }),
        );
        Ok(())
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        hash: String,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(hash.as_bytes()).await
    }
}

/// A chunk that starts with seed and index, so that the hash detects lost and reordered chunks.
fn chunk(index: u64, left: u64, seed: u32) -> Vec<u8> {
    let fill = (index as u8).wrapping_add(seed as u8);
    let mut bytes = vec![fill; CHUNK_BYTES.min(left as usize)];
    let number = (u64::from(seed) << 32 | index).to_be_bytes();
    let count = number.len().min(bytes.len());
    bytes[..count].copy_from_slice(&number[..count]);
    bytes
}
