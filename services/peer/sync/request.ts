// Sends one request over an open connection, and tells a request that got no byte of an answer from one whose
// answer was cut.
import type { Connection } from '@libp2p/interface';
import { toError } from '../../shared/errors.ts';
import { anySignal } from '../../shared/signals.ts';
import {
  followPeerEnd,
  readToEnd,
  type StreamOptions,
  StreamTimeoutError,
  writeAndClose,
} from './stream-io.ts';
import {
  decodeResponse,
  encodeRequest,
  PULL_PROTOCOLS,
  type PullRequest,
  type PullResponse,
} from './sync-protocol.ts';

/** Not a byte of an answer came after a request was sent. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
  readonly code = 'NO_ANSWER';
  /** Whether the peer closed the stream or the connection, instead of being silent until a timeout. */
  readonly isClosed: boolean;
  /** Whether it ended its side of the stream properly, which is how peers refuse a request. */
  readonly isEnd: boolean;

  /** @param cause the error of the stream; `undefined` when the peer ended it */
  constructor(isClosed: boolean, cause?: unknown) {
    super(isClosed ? 'The peer closed the stream without an answer.' : 'The peer did not answer.', { cause });
    this.isClosed = isClosed;
    this.isEnd = isClosed && cause === undefined;
  }
}

/** How this device is known to its peers. */
export interface OwnMembership {
  readonly userId: string;
  /** URLs of the trackers at which this device registers. */
  readonly trackers: readonly string[];
}

/** The peer ends every request of this device without an answer, also a probe. */
export class NotMemberError extends Error {
  override readonly name = 'NotMemberError';
  readonly code = 'NOT_MEMBER';

  constructor({ userId, trackers }: OwnMembership) {
    const place =
      trackers.length === 0 ? 'this device has no tracker' : `this device uses ${trackers.join(', ')}`;
    super(
      `The peer does not answer this device, because it does not know it as a device of its user. Both must have the same user_id (this device: "${userId}") and a tracker in common (${place}).`,
    );
  }
}

export interface RequestOptions extends StreamOptions {
  /** Maximum size of the response in bytes. */
  readonly maxResponseBytes: number;
  /** Called before the request is sent, on an open stream. The request fails with what it throws. */
  readonly beforeSend?: () => void;
  /** Called when the first byte of the answer arrives. */
  readonly onAnswer?: () => void;
}

/** @throws NoAnswerError, or an error of the stream or of the message. */
export async function requestPage(
  connection: Connection,
  request: PullRequest,
  options: RequestOptions,
): Promise<{ readonly response: PullResponse; readonly bytes: number }> {
  const { protocol, message } = await exchange(connection, pullMessage(request), options);
  return { response: await decodeResponse(protocol, message, request), bytes: message.length };
}

/**
 * Asks for a single entry from the start; the answer is thrown away. A peer that answers has this device as a member.
 * The probe is harmless: position 0 exists in every database, and acknowledges nothing.
 *
 * @throws NotMemberError when the peer ends the stream without an answer; NoAnswerError when the stream is cut, such as by a
 * relay that stops; or an error of the stream
 */
export async function probe(
  connection: Connection,
  own: OwnMembership,
  options: RequestOptions,
): Promise<void> {
  try {
    await exchange(connection, pullMessage({ cursor: 0, deleteCursor: 0, limit: 1 }), options);
  } catch (error) {
    throw error instanceof NoAnswerError && error.isEnd ? new NotMemberError(own) : error;
  }
}

function pullMessage(request: PullRequest): RequestMessage {
  return { protocols: PULL_PROTOCOLS, encode: async (protocol) => encodeRequest(protocol, request) };
}

/** A request in each version of its protocol. */
export interface RequestMessage {
  /** In order of preference. */
  readonly protocols: readonly string[];
  encode(protocol: string): Promise<Uint8Array>;
}

/**
 * Sends a request on a stream of its own, and resolves to the bytes of the answer.
 *
 * @throws NoAnswerError, or an error of the stream or of the message
 */
export async function exchange(
  connection: Connection,
  { protocols, encode }: RequestMessage,
  options: RequestOptions,
): Promise<{ readonly protocol: string; readonly message: Uint8Array }> {
  const { idleTimeoutMs, signal, maxResponseBytes, beforeSend, onAnswer } = options;
  const stream = await connection.newStream([...protocols], {
    signal: anySignal(signal, AbortSignal.timeout(idleTimeoutMs)),
    runOnLimitedConnection: true,
  });
  const peerEnd = followPeerEnd(stream);
  const { protocol } = stream;
  let bytes: Uint8Array;
  try {
    bytes = await encode(protocol);
    beforeSend?.();
  } catch (error) {
    stream.abort(toError(error));
    throw error;
  }
  let hasAnswer = false;
  const onData = (): void => {
    if (!hasAnswer) onAnswer?.();
    hasAnswer = true;
  };
  try {
    await writeAndClose(stream, bytes, { idleTimeoutMs, signal });
    const message = await readToEnd(stream, maxResponseBytes, { idleTimeoutMs, signal, onData, peerEnd });
    if (message.length === 0) throw new NoAnswerError(true);
    return { protocol, message };
  } catch (error) {
    if (hasAnswer || error instanceof NoAnswerError) throw error;
    const isOwnTimeout = error instanceof StreamTimeoutError || signal?.aborted === true;
    throw new NoAnswerError(!isOwnTimeout, peerEnd.isReached && !isOwnTimeout ? undefined : error);
  }
}
