// The stream multiplexers we offer, with every limit of theirs set by us, and two faults mended from outside:
// yamux frames of any size, and mplex without backpressure.
import type { MessageStream, Stream, StreamMuxerFactory } from '@libp2p/interface';
import { mplex } from '@libp2p/mplex';
import { type AbstractStream, type AbstractStreamMuxer, RateLimiter } from '@libp2p/utils';
import { yamux } from '@libp2p/yamux';
import { toError } from '../shared/errors.ts';

/**
 * Most a stream may hold that was received and not yet read, in bytes. A paused yamux stream still receives up to
 * its whole window, so the window must never grow past this or the stream is aborted.
 */
export const MAX_STREAM_BUFFER_BYTES = 1024 * 1024;

/** New streams per second on one mplex connection, past which the connection ends. */
const MPLEX_NEW_STREAMS_PER_SECOND = 256;

/**
 * Messages per second for mplex streams that are no more, past which the library ends the connection. When a circuit
 * reaches its limit, all that its sender has under way comes to a stream that was reset: some thousand messages, which cost
 * nothing, while the connection holds the sender's reservation.
 */
const MPLEX_LATE_MESSAGES_PER_SECOND = 1_000_000;

/** Largest mplex message, in bytes: the limit of the specification. */
const MPLEX_MAX_MESSAGE_BYTES = 1024 * 1024;

/** Bytes of incomplete mplex messages that one connection may hold. */
const MPLEX_MAX_UNPROCESSED_BYTES = 4 * 1024 * 1024;

/** Inbound streams waiting for the connection to be ready; a peer opens identify, ping and a circuit or two. */
const MAX_EARLY_STREAMS = 32;

/**
 * How often an idle yamux connection is pinged, in milliseconds. The first ping, at once, measures the round
 * trip that the window grows by; more would only keep a dead peer's socket looking busy, while TCP keepalive
 * finds out (see `stack.ts`).
 */
const YAMUX_PING_INTERVAL_MS = 60 * 60 * 1000;

/**
 * Largest yamux frame we send, in bytes without its header: together they fill one Noise message exactly. Without
 * it a frame grows to the whole window, and rust-libp2p ends a connection over a frame of more than 1 MiB.
 */
const YAMUX_MAX_FRAME_BYTES = 65_519 - 12;

/** What may wait to be sent on one connection, in bytes, unless told otherwise: two of the largest answers of a peer. */
const MAX_UNSENT_BYTES = 64 * 1024 * 1024;

/** How much may wait in memory. */
export interface BufferLimits {
  /** What one stream may hold that was received and not yet read, in bytes; 1 MiB by default. */
  readonly maxStreamBufferBytes?: number;
  /** What may wait to be sent on one connection beside its streams' own buffers, in bytes; past it the connection ends. */
  readonly maxUnsentBytes?: number;
}

/**
 * yamux first, because it has flow control for each stream; mplex for the clients that speak only that.
 *
 * @param maxStreams on one connection, in each direction
 */
export function createMuxers(
  maxStreams: number,
  { maxStreamBufferBytes = MAX_STREAM_BUFFER_BYTES, maxUnsentBytes = MAX_UNSENT_BYTES }: BufferLimits = {},
): Array<() => StreamMuxerFactory> {
  const limits = { maxStreams, maxUnsentBytes };
  const createYamux = yamux({
    maxInboundStreams: maxStreams,
    maxOutboundStreams: maxStreams,
    maxEarlyStreams: MAX_EARLY_STREAMS,
    streamOptions: { maxReadBufferLength: maxStreamBufferBytes, maxStreamWindowSize: maxStreamBufferBytes },
    enableKeepAlive: true,
    keepAliveInterval: YAMUX_PING_INTERVAL_MS,
  });
  const mplexOptions = {
    maxEarlyStreams: MAX_EARLY_STREAMS,
    // A paused stream receives the message that was under way: mplex has no window that would hold it back.
    streamOptions: { maxReadBufferLength: maxStreamBufferBytes + MPLEX_MAX_MESSAGE_BYTES },
    maxMessageSize: MPLEX_MAX_MESSAGE_BYTES,
    maxUnprocessedMessageQueueSize: MPLEX_MAX_UNPROCESSED_BYTES,
    // The library counts new streams by this number too; those have a bound of their own, below.
    disconnectThreshold: MPLEX_LATE_MESSAGES_PER_SECOND,
  };
  // Its types do not know all that it passes on to what it is built upon.
  const createMplex = mplex(mplexOptions);
  return [
    () => withStreams(createYamux(), limits, limitFrames, () => {}),
    () => withStreams(createMplex(), limits, pauseConnection, limitNewStreams),
  ];
}

/** Runs `prepareMuxer` on each connection, and `prepare` on each of its streams before anything passes through it. */
function withStreams(
  factory: StreamMuxerFactory,
  { maxStreams, maxUnsentBytes }: { readonly maxStreams: number; readonly maxUnsentBytes: number },
  prepare: (stream: AbstractStream) => void,
  prepareMuxer: (muxer: AbstractStreamMuxer) => void,
): StreamMuxerFactory {
  return {
    protocol: factory.protocol,
    createStreamMuxer(connection) {
      // Streams wait until the connection takes more. What answers a peer's own frames does not: whoever asks without
      // end and reads none of the answers would have them all kept.
      Object.assign(connection, { maxWriteBufferLength: maxUnsentBytes });
      const muxer = factory.createStreamMuxer(connection) as AbstractStreamMuxer;
      const { onCreateStream, onRemoteStream } = muxer;
      muxer.onCreateStream = (options) => {
        const stream = onCreateStream.call(muxer, options) as AbstractStream;
        connections.set(stream, connection);
        prepare(stream);
        return stream;
      };
      muxer.onRemoteStream = (stream) => {
        // yamux counts by itself; mplex takes any number, whatever it is told.
        if (muxer.streams.filter(({ direction }) => direction === 'inbound').length >= maxStreams) {
          stream.abort(new Error(`more than ${maxStreams} streams`));
          return;
        }
        connections.set(stream, connection);
        prepare(stream);
        onRemoteStream.call(muxer, stream);
      };
      endWithMuxer(connection, muxer);
      prepareMuxer(muxer);
      return muxer;
    },
  };
}

/**
 * A muxer that gives up leaves its connection open, though no stream will ever pass it again: a device would keep a
 * reservation there by which nobody can reach it. So the connection ends too, and the device makes a new one.
 */
function endWithMuxer(connection: MessageStream, muxer: AbstractStreamMuxer): void {
  const { abort } = muxer;
  muxer.abort = (error) => {
    abort.call(muxer, error);
    connection.abort(error);
  };
}

/** mplex has no way to refuse a stream before it is there. */
function limitNewStreams(muxer: AbstractStreamMuxer): void {
  const limiter = new RateLimiter({ points: MPLEX_NEW_STREAMS_PER_SECOND, duration: 1 });
  const { onRemoteStream } = muxer;
  muxer.onRemoteStream = (stream) => {
    onRemoteStream.call(muxer, stream);
    try {
      limiter.consume('new streams');
    } catch (error) {
      muxer.abort(toError(error));
    }
  };
}

function limitFrames(stream: AbstractStream): void {
  const { sendData } = stream;
  stream.sendData = (data) => {
    let sentBytes = 0;
    while (data.byteLength > 0) {
      const frame = data.sublist(0, Math.min(data.byteLength, YAMUX_MAX_FRAME_BYTES));
      data.consume(frame.byteLength);
      const result = sendData.call(stream, frame);
      sentBytes += result.sentBytes;
      if (!result.canSendMore) return { sentBytes, canSendMore: false };
    }
    return { sentBytes, canSendMore: true };
  };
}

/**
 * mplex cannot ask a peer to pause one stream, so a stream that nobody reads would fill its buffer and be
 * aborted. Instead the whole connection pauses while any of its streams does: TCP then slows the peer down.
 */
function pauseConnection(stream: AbstractStream): void {
  stream.sendPause = () => holdReading(stream, stream);
  stream.sendResume = () => releaseReading(stream, stream);
  stream.addEventListener('close', () => releaseReading(stream, stream));
}

/** The connection of each stream, and who wants nothing read from it at the moment. */
const connections = new WeakMap<Stream, MessageStream>();
const holders = new WeakMap<MessageStream, Set<unknown>>();

/**
 * Reads nothing more from the connection of a stream until `holder`, and all others, let go. Its other streams wait
 * too, so this is for when memory is short.
 */
export function holdReading(stream: Stream, holder: unknown): void {
  const connection = connections.get(stream);
  if (connection === undefined) return;
  const held = holders.get(connection) ?? new Set();
  holders.set(connection, held);
  held.add(holder);
  if (connection.status === 'open') connection.pause();
}

/** Lets go; does nothing when `holder` did not hold. */
export function releaseReading(stream: Stream, holder: unknown): void {
  const connection = connections.get(stream);
  if (connection === undefined) return;
  const held = holders.get(connection);
  if (held?.delete(holder) === true && held.size === 0 && connection.status === 'open') connection.resume();
}
