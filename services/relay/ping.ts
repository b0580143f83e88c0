// The ping protocol: responds to pings, and pings a connection to learn whether its peer is there. The service of the
// library resets each ping stream after a fixed time; rust-libp2p uses one stream for as long as the connection exists,
// and a reset fails the next ping.
// https://github.com/libp2p/specs/blob/master/ping/ping.md
import { randomBytes } from 'node:crypto';
import type { Connection, Stream } from '@libp2p/interface';
import { toError } from '../shared/errors.ts';
import { type LoopClock, loopTimeout } from '../shared/loop-clock.ts';
import type { Liveness } from './liveness.ts';

export const PING_PROTOCOL = '/ipfs/ping/1.0.0';

const PING_BYTES = 32;

/** Maximum ping streams that a peer may have open on one connection. Above it the least recently used one is closed. */
const MAX_PING_STREAMS = 4;

/** Maximum concurrent ping streams, for `handle`. One more than are kept, because the oldest is closed by the newest. */
export const PING_STREAMS = { maxInboundStreams: 2 * MAX_PING_STREAMS, maxOutboundStreams: 4 };

/** Deadline for a peer to close a ping stream that the relay has closed, in milliseconds. */
const CLOSE_MS = 5_000;

/** Responds to the pings of one stream until its peer closes it. */
export type PingResponder = (stream: Stream, connection: Connection) => void;

export function createPingResponder(): PingResponder {
  /** The streams of each connection, in the order of their last use. */
  const streamsOf = new WeakMap<Connection, Set<Stream>>();

  return (stream, connection) => {
    const streams = streamsOf.get(connection) ?? new Set();
    streamsOf.set(connection, streams.add(stream));
    const [leastUsed] = streams;
    if (streams.size > MAX_PING_STREAMS && leastUsed !== undefined) {
      streams.delete(leastUsed);
      leastUsed.abort(new Error(`The connection has more than ${MAX_PING_STREAMS} ping streams.`));
    }
    // An exception in an event handler would end the process.
    const guard = (step: () => void): void => {
      try {
        step();
      } catch (error) {
        stream.abort(toError(error));
      }
    };
    stream.addEventListener('message', ({ data }) =>
      guard(() => {
        if (streams.delete(stream)) streams.add(stream);
        // What the peer does not read is not buffered: the relay stops reading its pings.
        if (!stream.send(data) && stream.readStatus === 'readable') stream.pause();
      }),
    );
    stream.addEventListener('drain', () =>
      queueMicrotask(() => guard(() => void (stream.readStatus === 'paused' && stream.resume()))),
    );
    stream.addEventListener('end', () => {
      stream.close().catch((error: unknown) => stream.abort(toError(error)));
    });
    stream.addEventListener('close', () => void streams.delete(stream));
  };
}

/** Pings a connection, and resolves with whether any byte arrives from it before the deadline. Never rejects. */
export type Probe = (connection: Connection, durationMs: number) => Promise<boolean>;

export function createProbe(clock: LoopClock, liveness: Liveness): Probe {
  /** One probe at a time for each connection, so that nothing piles up for a peer that is away. */
  const running = new Map<Connection, Promise<boolean>>();

  async function sendPing(connection: Connection, signal: AbortSignal): Promise<void> {
    const stream = await connection.newStream(PING_PROTOCOL, {
      signal,
      maxOutboundStreams: PING_STREAMS.maxOutboundStreams,
    });
    clock.after(CLOSE_MS, () => {
      if (stream.status !== 'closed')
        stream.abort(new Error('The peer did not close the ping stream in time.'));
    });
    stream.send(randomBytes(PING_BYTES));
    await stream.close({ signal });
  }

  async function probe(connection: Connection, durationMs: number): Promise<boolean> {
    const listener = liveness.listen(connection);
    // A failed ping is no answer; a peer that refuses the protocol has answered with bytes.
    sendPing(connection, loopTimeout(clock, durationMs)).catch(() => {});
    const isHeard = await listener.within(durationMs);
    if (!isHeard) listener.markUnanswered();
    return isHeard;
  }

  return async (connection, durationMs) => {
    const existing = running.get(connection);
    if (existing !== undefined) return existing;
    const work = probe(connection, durationMs).finally(() => running.delete(connection));
    running.set(connection, work);
    return work;
  };
}
