// The protocols on a stream: whole messages of sync-pull in both versions, bulk data, and ping.
import { createHash, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Stream } from '@libp2p/interface';
import { print } from './options.ts';

/** The preferred version first. */
export const PULL_PROTOCOLS = ['/rustory/sync-pull/1.0.1', '/rustory/sync-pull/1.0.0'];

export const PUSH_PROTOCOLS = ['/rustory/entries-push/1.0.1', '/rustory/entries-push/1.0.0'];

export const BULK_PROTOCOL = '/rustory-interop/bulk/1.0.0';

export const PING_PROTOCOL = '/ipfs/ping/1.0.0';

/** The size of a ping and of its response. */
const PING_BYTES = 32;

const CHUNK_BYTES = 64 * 1024;

export const MAX_REQUEST_BYTES = 64 * 1024;
export const MAX_RESPONSE_BYTES = 32 * 1024 * 1024;

/** Maximum size of a decompressed message, as a multiple of the limit for the compressed message. */
export const MAX_DECOMPRESSION_FACTOR = 4;

/** Those versions of a protocol that `--version` allows. */
export function allowed(protocols: readonly string[], version: string | undefined): string[] {
  return protocols.filter((protocol) => version === undefined || protocol.endsWith(version));
}

const isCompressed = ({ protocol }: Stream): boolean => protocol.endsWith('/1.0.1');

/** Reads a message until the end of the stream. @throws Error if it is too large or not valid JSON */
export async function readMessage(stream: Stream, maxBytes: number): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  await readAll(stream, (chunk) => {
    length += chunk.length;
    if (length <= maxBytes) chunks.push(chunk);
    else stream.abort(new Error(`The message is larger than ${maxBytes} bytes.`));
  });
  const bytes = Buffer.concat(chunks);
  const json = isCompressed(stream)
    ? zstdDecompressSync(bytes, { maxOutputLength: maxBytes * MAX_DECOMPRESSION_FACTOR })
    : bytes;
  return JSON.parse(json.toString('utf8')) as unknown;
}

export async function writeMessage(stream: Stream, message: unknown): Promise<void> {
  await writeText(stream, JSON.stringify(message));
}

/** Writes a message that is JSON, or is meant to be none. */
export async function writeText(stream: Stream, text: string): Promise<void> {
  await writeBytes(stream, isCompressed(stream) ? zstdCompressSync(text) : Buffer.from(text));
}

export async function writeBytes(stream: Stream, bytes: Uint8Array): Promise<void> {
  await send(stream, bytes);
  await stream.close();
}

/** Receives bulk data, prints its size and hash, and responds with the hash. */
export async function receiveBulk(stream: Stream): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  await readAll(stream, (chunk) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  const sha256 = hash.digest('hex');
  print('received', { bytes, sha256 });
  await send(stream, Buffer.from(sha256));
  await stream.close();
}

/** Sends bulk data and returns the hash that the other side computed. `pause` waits for a line of input halfway. */
export async function sendBulk(stream: Stream, total: number, pause: boolean): Promise<string> {
  const hash = createHash('sha256');
  let mustPause = pause;
  let left = total;
  for (let index = 0; left > 0 || mustPause; index += 1) {
    if (mustPause && left <= total / 2) {
      mustPause = false;
      print('half');
      await Promise.race([nextLine(), endOf(stream)]);
    }
    if (left === 0) break;
    const chunk = chunkOf(index, Math.min(left, CHUNK_BYTES));
    hash.update(chunk);
    await send(stream, chunk);
    left -= chunk.length;
  }
  await stream.close();
  print('sent', { bytes: total, sha256: hash.digest('hex') });
  let response = '';
  await readAll(stream, (chunk) => (response += Buffer.from(chunk).toString('latin1')));
  return response;
}

/** Sends a ping. @throws Error if the response is not equal */
export async function pingOn(stream: Stream): Promise<void> {
  const sent = randomBytes(PING_BYTES);
  await send(stream, sent);
  await stream.close();
  const received: Uint8Array[] = [];
  await readAll(stream, (chunk) => received.push(chunk));
  if (!Buffer.concat(received).equals(sent)) throw new Error('The response to the ping has other bytes.');
}

/** A chunk that starts with its index, so that the hash detects lost and reordered chunks. */
function chunkOf(index: number, length: number): Uint8Array {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(index));
  const chunk = Buffer.alloc(length, index % 256);
  number.copy(chunk);
  return chunk;
}

async function nextLine(): Promise<void> {
  const lines = createInterface({ input: process.stdin });
  await lines[Symbol.asyncIterator]().next();
  lines.close();
}

/** Rejects when the stream is closed. */
async function endOf(stream: Stream): Promise<never> {
  const closed = Promise.withResolvers<never>();
  stream.addEventListener('close', ({ error }) =>
    closed.reject(error ?? new Error('The stream was closed.')),
  );
  return closed.promise;
}

/**
 * Reads until the other side closes its write side. Uses events, because the iterator of a stream never ends if the
 * other side closed its write side before the iteration began. @throws Error if the stream is reset
 */
async function readAll(stream: Stream, onChunk: (chunk: Uint8Array) => void): Promise<void> {
  const read = Promise.withResolvers<void>();
  let isWhole = stream.remoteWriteStatus === 'closed' && stream.status === 'open';
  const end = (): void => {
    if (isWhole) read.resolve();
    else read.reject(new Error('The stream was reset before its end.'));
  };
  stream.addEventListener('remoteCloseWrite', () => (isWhole = true));
  stream.addEventListener('end', end);
  stream.addEventListener('close', end);
  stream.addEventListener('message', ({ data }) => {
    for (const chunk of data instanceof Uint8Array ? [data] : data) onChunk(chunk);
  });
  if (stream.readableEnded) end();
  await read.promise;
}

/** Sends bytes and waits for the stream to drain if necessary. @throws Error if the stream closes */
async function send(stream: Stream, bytes: Uint8Array): Promise<void> {
  if (stream.send(bytes)) return;
  const drained = Promise.withResolvers<void>();
  const onDrain = (): void => drained.resolve();
  const onClose = (): void => drained.reject(new Error('The stream was closed.'));
  stream.addEventListener('drain', onDrain);
  stream.addEventListener('close', onClose);
  try {
    await drained.promise;
  } finally {
    stream.removeEventListener('drain', onDrain);
    stream.removeEventListener('close', onClose);
  }
}
