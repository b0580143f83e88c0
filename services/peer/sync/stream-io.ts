// Whole messages over a libp2p stream: read to its end, or written and closed. Everything is bounded, in bytes and
// in time, and works on the stream's events because its helpers buffer at most 4 MiB and wait for a drain only once.
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';
import { toError } from '../../shared/errors.ts';

/** Bytes handed to the stream at once; when it asks to wait, no more than this is queued in it. */
const CHUNK_BYTES = 64 * 1024;

/** Longest time one message may take in all, in milliseconds, however steadily it trickles. */
export const MESSAGE_DEADLINE_MS = 10 * 60 * 1000;

export interface Patience {
  /** Silence of the other side after which it is given up, in milliseconds. */
  readonly silenceMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The other side sent more than was agreed. */
export class MessageTooLargeError extends Error {
  override readonly name = 'MessageTooLargeError';
  readonly code = 'MESSAGE_TOO_LARGE';

  constructor(what: string, bytes: number, maxBytes: number) {
    super(`${what} too large: ${bytes} > ${maxBytes} bytes`);
  }
}

/** The stream ended before the message was whole; what was asked may be asked again. */
export class StreamCutError extends Error {
  override readonly name = 'StreamCutError';
  readonly code = 'STREAM_CUT';
}

/** The other side was silent for too long. */
export class SilenceError extends Error {
  override readonly name = 'SilenceError';
  readonly code = 'SILENCE';
}

/**
 * Reads until the other side closes its writing side.
 *
 * @throws MessageTooLargeError as soon as there are more than `maxBytes`, StreamCutError, SilenceError, or the
 * reason of the signal. The stream is aborted then.
 */
export async function readToEnd(stream: Stream, maxBytes: number, patience: Patience): Promise<Buffer> {
  // One growing buffer: a list of the pieces would take a hundred times their size where each is one byte.
  let message = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, maxBytes));
  let length = 0;
  await attend(stream, patience, 'message', (finish, fail) => {
    const onMessage = ({ data }: StreamMessageEvent): void => {
      const total = length + data.byteLength;
      if (total > maxBytes) return fail(new MessageTooLargeError('message', total, maxBytes));
      if (total > message.length)
        message = grow(message, Math.min(Math.max(total, message.length * 2), maxBytes));
      message.set(data.subarray(), length);
      length = total;
    };
    // Only the other side's own end makes a message whole: a connection that closes ends its streams as well.
    let ended = false;
    const onRemoteEnd = (): void => void (ended = true);
    const onEnd = (): void => {
      if (ended) finish();
      else fail(new StreamCutError('the connection closed in the middle of a message'));
    };
    stream.addEventListener('remoteCloseWrite', onRemoteEnd);
    stream.addEventListener('end', onEnd);
    stream.addEventListener('message', onMessage);
    if (stream.remoteWriteStatus === 'closed' && stream.status === 'open') ended = true;
    if (stream.readableEnded) onEnd();
    return () => {
      stream.removeEventListener('remoteCloseWrite', onRemoteEnd);
      stream.removeEventListener('end', onEnd);
      stream.removeEventListener('message', onMessage);
    };
  });
  return message.subarray(0, length);
}

function grow(buffer: Buffer, size: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafe(size);
  buffer.copy(larger);
  return larger;
}

/**
 * Writes the message as fast as the other side takes it, then closes the writing side.
 *
 * @throws StreamCutError, SilenceError, or the reason of the signal. The stream is aborted then.
 */
export async function writeAndClose(stream: Stream, message: Uint8Array, patience: Patience): Promise<void> {
  let offset = 0;
  await attend(stream, patience, 'drain', (finish) => {
    const writeOn = (): void => {
      while (offset < message.length) {
        const chunk = message.subarray(offset, offset + CHUNK_BYTES);
        offset += chunk.length;
        if (!stream.send(chunk)) return;
      }
      finish();
    };
    // In a later task: the stream's own listener must have moved its queue on before more is added.
    const onDrain = (): void => void setImmediate(() => stream.writeStatus === 'writable' && writeOn());
    stream.addEventListener('drain', onDrain);
    writeOn();
    return () => stream.removeEventListener('drain', onDrain);
  });
  const deadline = AbortSignal.timeout(MESSAGE_DEADLINE_MS);
  await stream.close({
    signal: patience.signal === undefined ? deadline : AbortSignal.any([patience.signal, deadline]),
  });
}

/**
 * Runs `work` until it finishes or fails, the stream closes, the deadlines pass or the signal aborts. Each
 * `sign` event of the stream is a sign of life that starts the silence anew.
 */
async function attend(
  stream: Stream,
  { silenceMs, signal }: Patience,
  sign: 'message' | 'drain',
  work: (finish: () => void, fail: (error: Error) => void) => () => void,
): Promise<void> {
  const outcome = Promise.withResolvers<void>();
  // What fails at once is thrown below; aborting the stream then fails this as well, and nobody waits for it.
  outcome.promise.catch(() => {});
  const fail = (error: Error): void => outcome.reject(error);
  const silence = setTimeout(
    () => fail(new SilenceError(`the other side was silent for ${silenceMs} ms`)),
    silenceMs,
  );
  const deadline = setTimeout(
    () => fail(new SilenceError(`the message was not whole after ${MESSAGE_DEADLINE_MS} ms`)),
    MESSAGE_DEADLINE_MS,
  );
  const onSign = (): void => void silence.refresh();
  const onClose = ({ error }: StreamCloseEvent): void =>
    fail(new StreamCutError('the stream was closed in the middle of a message', { cause: error }));
  const onAbort = (): void => fail(toError(signal?.reason));
  stream.addEventListener(sign, onSign);
  stream.addEventListener('close', onClose);
  signal?.addEventListener('abort', onAbort, { once: true });
  let detach: (() => void) | undefined;
  try {
    signal?.throwIfAborted();
    detach = work(() => outcome.resolve(), fail);
    await outcome.promise;
  } catch (error) {
    stream.abort(toError(error));
    throw error;
  } finally {
    clearTimeout(silence);
    clearTimeout(deadline);
    detach?.();
    stream.removeEventListener(sign, onSign);
    stream.removeEventListener('close', onClose);
    signal?.removeEventListener('abort', onAbort);
  }
}
