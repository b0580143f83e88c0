// The stream muxers, with all their limits. Two faults of the libraries are fixed from outside: yamux frames of
// unlimited size, and mplex without backpressure. The reasons are in `docs/decisions/muxers.md`.
//
// The fixes replace members of the libraries' classes, so the packages are pinned; `muxers.test.ts` checks the members.
import type { MessageStream, Stream, StreamMuxerFactory } from '@libp2p/interface';
import { mplex } from '@libp2p/mplex';
import { type AbstractStream, type AbstractStreamMuxer, RateLimiter } from '@libp2p/utils';
import { yamux } from '@libp2p/yamux';
import { toError } from '../shared/errors.ts';

/**
 * Default maximum of received bytes that one stream buffers until they are read. A paused yamux stream still receives
 * its whole window, so this is also the maximum of the window; with a larger window the stream would be aborted.
 */
export const MAX_STREAM_BUFFER_BYTES = 1024 * 1024;

/** Maximum new streams per second on one mplex connection. Above this limit the connection is closed. */
const MPLEX_NEW_STREAMS_PER_SECOND = 256;

/**
 * Messages per second to closed mplex streams above which the library closes the connection. When a circuit reaches
 * its byte limit, the thousands of messages in flight arrive at a stream that was reset. They use no
 * resources, and the connection holds the reservation of the sender, so the limit is too high to be reached.
 */
const MPLEX_LATE_MESSAGES_PER_SECOND = 1_000_000;

/** Maximum size of an mplex message, in bytes: the limit of the specification. */
const MPLEX_MAX_MESSAGE_BYTES = 1024 * 1024;

/** Maximum bytes of incomplete mplex messages that one connection buffers. */
const MPLEX_MAX_UNPROCESSED_BYTES = 4 * 1024 * 1024;

/** Maximum inbound streams that wait until the connection is ready. A peer opens identify, ping and a few circuits. */
const MAX_EARLY_STREAMS = 32;

/**
 * Interval of yamux pings, in milliseconds. The first ping, at the start, measures the round-trip time, which the
 * growth of the window depends on. Further pings would keep unacknowledged bytes on the socket of a dead peer, so that
 * TCP keepalive (see `transport-stack.ts`) never runs.
 */
const YAMUX_PING_INTERVAL_MS = 60 * 60 * 1000;

/**
 * Maximum size of a yamux frame that is sent, in bytes without its header: with the header it fills one Noise message.
 * Without this limit a frame grows to the whole window, and rust-libp2p closes a connection for a frame above 1 MiB.
 */
const YAMUX_MAX_FRAME_BYTES = 65_519 - 12;

/** Default maximum of unsent bytes on one connection: two of the largest responses of a peer. */
const MAX_UNSENT_BYTES = 64 * 1024 * 1024;

/** Limits on buffered bytes. */
export interface BufferLimits {
  /**
   * Maximum received bytes that one stream buffers until they are read. Default 1 MiB. Above it the stream is aborted.
   */
  readonly maxStreamBufferBytes?: number;
  /**
   * Maximum unsent bytes of one connection, without the buffers of its streams. Default 64 MiB. Above it the connection
   * is closed.
   */
  readonly maxUnsentBytes?: number;
}

/**
 * Creates the muxers in the order in which they are offered: yamux, because it has flow control per stream, and mplex
 * for clients without yamux.
 *
 * @param maxStreams maximum streams of one connection in each direction
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
    // A paused stream still receives the message in flight, because mplex has no window.
    streamOptions: { maxReadBufferLength: maxStreamBufferBytes + MPLEX_MAX_MESSAGE_BYTES },
    maxMessageSize: MPLEX_MAX_MESSAGE_BYTES,
    maxUnprocessedMessageQueueSize: MPLEX_MAX_UNPROCESSED_BYTES,
    // The library applies this number to new streams too; they have their own limit below.
    disconnectThreshold: MPLEX_LATE_MESSAGES_PER_SECOND,
  };
  // A separate variable, because the types lack options that mplex passes to its base class.
  const createMplex = mplex(mplexOptions);
  return [
    () => wrapMuxer(createYamux(), limits, limitFrames, () => {}),
    () => wrapMuxer(createMplex(), limits, pauseConnection, limitNewStreams),
  ];
}

/** Calls `prepareMuxer` with each muxer, and `prepareStream` with each of its streams before the first byte. */
function wrapMuxer(
  factory: StreamMuxerFactory,
  { maxStreams, maxUnsentBytes }: { readonly maxStreams: number; readonly maxUnsentBytes: number },
  prepareStream: (stream: AbstractStream) => void,
  prepareMuxer: (muxer: AbstractStreamMuxer) => void,
): StreamMuxerFactory {
  return {
    protocol: factory.protocol,
    createStreamMuxer(connection) {
      // Streams wait until the connection accepts more bytes, but responses to control frames do not. Without a limit,
      // a peer that sends frames and reads no responses would fill the memory.
      Object.assign(connection, { maxWriteBufferLength: maxUnsentBytes });
      const muxer = factory.createStreamMuxer(connection) as AbstractStreamMuxer;
      const { onCreateStream, onRemoteStream } = muxer;
      muxer.onCreateStream = (options) => {
        const stream = onCreateStream.call(muxer, options) as AbstractStream;
        connections.set(stream, connection);
        prepareStream(stream);
        return stream;
      };
      muxer.onRemoteStream = (stream) => {
        // mplex ignores its option for the maximum; yamux enforces its own.
        if (muxer.streams.filter(({ direction }) => direction === 'inbound').length >= maxStreams) {
          stream.abort(new Error(`The connection has the maximum of ${maxStreams} inbound streams.`));
          return;
        }
        connections.set(stream, connection);
        prepareStream(stream);
        onRemoteStream.call(muxer, stream);
      };
      closeWithMuxer(connection, muxer);
      prepareMuxer(muxer);
      return muxer;
    },
  };
}

/**
 * Aborts the connection together with its muxer. The library leaves the connection open, although it can carry no
 * streams: a device would keep a reservation that does not work instead of reconnecting.
 */
function closeWithMuxer(connection: MessageStream, muxer: AbstractStreamMuxer): void {
  const { abort } = muxer;
  muxer.abort = (error) => {
    abort.call(muxer, error);
    connection.abort(error);
  };
}

/** Limits the rate of new streams, because mplex cannot refuse a stream before it exists. */
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

/** Splits the data that a stream sends into frames of the maximum size. */
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
 * Pauses the whole connection while one of its mplex streams is paused, so that TCP slows the peer down. mplex cannot
 * pause a single stream: without this, a stream that is not read would fill its buffer and be aborted.
 */
function pauseConnection(stream: AbstractStream): void {
  stream.sendPause = () => holdReading(stream, stream);
  stream.sendResume = () => releaseReading(stream, stream);
  stream.addEventListener('close', () => releaseReading(stream, stream));
}

/** The connection of each stream, and the holders that pause reading from each connection. */
const connections = new WeakMap<Stream, MessageStream>();
const holders = new WeakMap<MessageStream, Set<unknown>>();

/**
 * Pauses reading from the connection of a stream until this and all other holders have released it. The other streams
 * of the connection wait too, so use this only when memory is short.
 */
export function holdReading(stream: Stream, holder: unknown): void {
  const connection = connections.get(stream);
  if (connection === undefined) return;
  const holding = holders.get(connection) ?? new Set();
  holders.set(connection, holding);
  holding.add(holder);
  if (connection.status === 'open') connection.pause();
}

/** Resumes reading when this was the last holder. Does nothing when `holder` does not hold the connection. */
export function releaseReading(stream: Stream, holder: unknown): void {
  const connection = connections.get(stream);
  if (connection === undefined) return;
  const holding = holders.get(connection);
  if (holding?.delete(holder) === true && holding.size === 0 && connection.status === 'open')
    connection.resume();
}
