// Reads and writes bytes on a libp2p stream as a client does that is not ours: a message ends where its sender closes
// its side.
import type { Stream } from '@libp2p/interface';

/** Bytes of one write. */
const CHUNK_BYTES = 64 * 1024;

/** Sends bytes, waits for the stream to drain where necessary, and leaves it open. @throws Error when it closes */
export async function sendBytes(stream: Stream, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES)
    if (!stream.send(bytes.subarray(offset, offset + CHUNK_BYTES))) await drained(stream);
}

/** Sends a message and closes the writing side. */
export async function sendMessage(stream: Stream, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  await sendBytes(stream, bytes);
  await stream.close({ signal });
}

async function drained(stream: Stream): Promise<void> {
  const settled = Promise.withResolvers<void>();
  const onDrain = (): void => settled.resolve();
  const onClose = ({ error }: { readonly error?: Error }): void =>
    settled.reject(error ?? new Error('The stream was closed.'));
  stream.addEventListener('drain', onDrain);
  stream.addEventListener('close', onClose);
  try {
    if (stream.status !== 'open') throw new Error('The stream was closed.');
    await settled.promise;
  } finally {
    stream.removeEventListener('drain', onDrain);
    stream.removeEventListener('close', onClose);
  }
}

/** Reads until the other side closes its side. @throws Error when the stream is reset or the signal aborts */
export async function readToEnd(stream: Stream, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const read = Promise.withResolvers<void>();
  let isWhole = stream.remoteWriteStatus === 'closed' && stream.status === 'open';
  const end = ({ error }: { readonly error?: Error }): void => {
    if (isWhole) read.resolve();
    else read.reject(error ?? new Error('The stream was reset before its end.'));
  };
  const onAbort = (): void => {
    stream.abort(new Error('The deadline has passed.'));
    read.reject(signal.reason);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  stream.addEventListener('remoteCloseWrite', () => (isWhole = true));
  stream.addEventListener('end', () => end({}));
  stream.addEventListener('close', end);
  stream.addEventListener('message', ({ data }) => void chunks.push(data.subarray()));
  if (stream.readableEnded) end({});
  try {
    signal.throwIfAborted();
    await read.promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
  return Buffer.concat(chunks);
}
