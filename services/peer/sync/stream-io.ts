// Reads and writes whole messages on a libp2p stream, each ended by a close of the writing side, with limits on size
// and time. Uses the events of the stream, because the helpers of the library buffer at most 4 MiB and wait for a drain
// only once.
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';
import { toError } from '../../shared/errors.ts';
import { anySignal } from '../../shared/signals.ts';

/** Size of one write, and of the first part of a message that is read, in bytes. The stream queues at most this much after it requested to wait for a drain. */
export const CHUNK_BYTES = 64 * 1024;

/** Deadline of one message in milliseconds, so that a slow peer cannot hold a stream forever. */
const MESSAGE_DEADLINE_MS = 10 * 60 * 1000;

export interface StreamOptions {
  /** Idle timeout in milliseconds: the stream is aborted when the peer neither sends nor accepts data for this time. */
  readonly idleTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ReadOptions extends StreamOptions {
  /** Called when bytes of the message arrive. */
  readonly onData?: () => void;
  /** Of a stream on which something is written first: see `followPeerEnd`. */
  readonly peerEnd?: PeerEnd;
}

export interface BoundedReadOptions extends StreamOptions {
  /**
   * Called before a message occupies more memory, in bytes. The stream is paused until the result is known. After `false` the
   * message is discarded as it arrives.
   */
  readonly grow: (bytes: number) => boolean | Promise<boolean>;
  readonly onData?: (() => void) | undefined;
  readonly peerEnd?: PeerEnd | undefined;
}

export interface PeerEnd {
  /** Whether the peer closed its writing side. */
  readonly isReached: boolean;
}

/** A message is larger than its limit. */
export class MessageTooLargeError extends Error {
  override readonly name = 'MessageTooLargeError';
  readonly code = 'MESSAGE_TOO_LARGE';

  constructor(what: string, bytes: number, maxBytes: number) {
    super(`The ${what} is too large: ${bytes} > ${maxBytes} bytes.`);
  }
}

/** The stream ended before the message was complete. The request can be repeated. */
export class StreamCutError extends Error {
  override readonly name = 'StreamCutError';
  readonly code = 'STREAM_CUT';
}

/** The peer was idle for too long, or the message was not complete at its deadline. */
export class StreamTimeoutError extends Error {
  override readonly name = 'StreamTimeoutError';
  readonly code = 'STREAM_TIMEOUT';
}

/**
 * Follows whether the peer closes its side of an open stream. The status of a stream tells that only until this side is
 * closed too: then it is the one of a stream whose connection closed.
 */
export function followPeerEnd(stream: Stream): PeerEnd {
  const end = { isReached: stream.remoteWriteStatus === 'closed' && stream.status === 'open' };
  stream.addEventListener('remoteCloseWrite', () => (end.isReached = true), { once: true });
  return end;
}

/**
 * Reads until the peer closes its writing side.
 *
 * @throws MessageTooLargeError as soon as there are more than `maxBytes`, StreamCutError, StreamTimeoutError, or the
 * reason of the signal. The stream is aborted then.
 */
export async function readToEnd(stream: Stream, maxBytes: number, options: ReadOptions): Promise<Buffer> {
  return (await readOrDiscard(stream, maxBytes, { ...options, grow: always })) ?? Buffer.alloc(0);
}

const always = (): boolean => true;

/** The same within a limit on memory. Resolves to `undefined` when the message was discarded. */
export async function readOrDiscard(
  stream: Stream,
  maxBytes: number,
  { onData, grow, peerEnd = followPeerEnd(stream), ...options }: BoundedReadOptions,
): Promise<Buffer | undefined> {
  const message = createMessageBuffer(maxBytes);
  let isDiscarded = false;

  function keep(isGranted: boolean, data: Uint8Array): void {
    isDiscarded = !isGranted;
    if (isGranted) message.append(data);
    else message.clear();
  }

  await transfer(stream, options, 'message', (finish, fail) => {
    let [total, isWaiting, isEnded] = [0, false, false];

    function settle(): void {
      if (!isEnded || isWaiting) return;
      // A closed connection ends its streams too. The message is complete only if the peer closed its side.
      if (peerEnd.isReached) finish();
      else fail(new StreamCutError('The connection closed before the message was complete.'));
    }

    async function waitForMemory(isGranted: Promise<boolean>, data: Uint8Array): Promise<void> {
      isWaiting = true;
      // What has been received already waits in the stream.
      stream.pause();
      keep(await isGranted, data);
      isWaiting = false;
      if (stream.readStatus === 'paused') stream.resume();
      settle();
    }

    const onMessage = ({ data }: StreamMessageEvent): void => {
      onData?.();
      total += data.byteLength;
      if (total > maxBytes) return fail(new MessageTooLargeError('message', total, maxBytes));
      if (isDiscarded) return;
      const bytes = message.sizeWith(data.byteLength);
      const isGranted = bytes === undefined || grow(bytes);
      if (typeof isGranted === 'boolean') keep(isGranted, data.subarray());
      else waitForMemory(isGranted, data.subarray()).catch((error: unknown) => fail(toError(error)));
    };
    const onEnd = (): void => {
      isEnded = true;
      settle();
    };
    stream.addEventListener('end', onEnd);
    stream.addEventListener('message', onMessage);
    if (stream.readableEnded) onEnd();
    if (stream.readStatus === 'paused') stream.resume();
    return () => {
      stream.removeEventListener('end', onEnd);
      stream.removeEventListener('message', onMessage);
    };
  });
  return isDiscarded ? undefined : message.read();
}

interface MessageBuffer {
  /** The size of the buffer after this many more bytes, if it must grow. */
  sizeWith(bytes: number): number | undefined;
  append(data: Uint8Array): void;
  clear(): void;
  read(): Buffer;
}

/** One growing buffer, because a list of one-byte chunks would use a hundred times the memory. */
function createMessageBuffer(maxBytes: number): MessageBuffer {
  let buffer = Buffer.allocUnsafe(0);
  let length = 0;
  const sizeWith = (bytes: number): number | undefined => {
    const total = length + bytes;
    if (total <= buffer.length) return undefined;
    return Math.min(Math.max(total, buffer.length * 2, CHUNK_BYTES), maxBytes);
  };
  return {
    sizeWith,
    append(data) {
      const size = sizeWith(data.length);
      if (size !== undefined) buffer = enlarge(buffer, size);
      buffer.set(data, length);
      length += data.length;
    },
    clear: () => void ([buffer, length] = [Buffer.allocUnsafe(0), 0]),
    read: () => buffer.subarray(0, length),
  };
}

function enlarge(buffer: Buffer, bytes: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafe(bytes);
  buffer.copy(larger);
  return larger;
}

/**
 * Writes the message as fast as the peer accepts it, then closes the writing side.
 *
 * @throws StreamCutError, StreamTimeoutError, or the reason of the signal. The stream is aborted then.
 */
export async function writeAndClose(
  stream: Stream,
  message: Uint8Array,
  options: StreamOptions,
): Promise<void> {
  let offset = 0;
  await transfer(stream, options, 'drain', (finish) => {
    const writeChunks = (): void => {
      while (offset < message.length) {
        const chunk = message.subarray(offset, offset + CHUNK_BYTES);
        offset += chunk.length;
        if (!stream.send(chunk)) return;
      }
      finish();
    };
    // In a later task, because the stream's own listener must empty its queue before more is added.
    const onDrain = (): void => void setImmediate(() => stream.writeStatus === 'writable' && writeChunks());
    stream.addEventListener('drain', onDrain);
    writeChunks();
    return () => stream.removeEventListener('drain', onDrain);
  });
  await stream.close({ signal: anySignal(options.signal, AbortSignal.timeout(MESSAGE_DEADLINE_MS)) });
}

/**
 * Runs `work` until it finishes or fails, the stream closes, a timeout passes or the signal aborts. Each `progress`
 * event of the stream restarts the idle timeout. `work` returns a function that removes its listeners.
 */
async function transfer(
  stream: Stream,
  { idleTimeoutMs, signal }: StreamOptions,
  progress: 'message' | 'drain',
  work: (finish: () => void, fail: (error: Error) => void) => () => void,
): Promise<void> {
  const outcome = Promise.withResolvers<void>();
  // When `work` throws, the outcome is never awaited, and the abort of the stream rejects it.
  outcome.promise.catch(() => {});
  const fail = (error: Error): void => outcome.reject(error);
  const idle = setTimeout(
    () => fail(new StreamTimeoutError(`The peer was idle for ${idleTimeoutMs} ms.`)),
    idleTimeoutMs,
  );
  const deadline = setTimeout(
    () => fail(new StreamTimeoutError(`The message was not complete after ${MESSAGE_DEADLINE_MS} ms.`)),
    MESSAGE_DEADLINE_MS,
  );
  const onProgress = (): void => void idle.refresh();
  const onClose = ({ error }: StreamCloseEvent): void =>
    fail(new StreamCutError('The stream closed before the message was complete.', { cause: error }));
  const onAbort = (): void => fail(toError(signal?.reason));
  stream.addEventListener(progress, onProgress);
  stream.addEventListener('close', onClose);
  signal?.addEventListener('abort', onAbort, { once: true });
  let removeListeners: (() => void) | undefined;
  try {
    signal?.throwIfAborted();
    removeListeners = work(() => outcome.resolve(), fail);
    await outcome.promise;
  } catch (error) {
    stream.abort(toError(error));
    throw error;
  } finally {
    clearTimeout(idle);
    clearTimeout(deadline);
    removeListeners?.();
    stream.removeEventListener(progress, onProgress);
    stream.removeEventListener('close', onClose);
    signal?.removeEventListener('abort', onAbort);
  }
}
