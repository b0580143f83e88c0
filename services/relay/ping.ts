// The ping protocol: responds to pings, and pings a connection to learn whether its peer is there. The service of the
// library resets each ping stream after a fixed time; rust-libp2p uses one stream for as long as the connection exists,
// and a reset fails the next ping.
// https://github.com/libp2p/specs/blob/master/ping/ping.md
import { randomBytes } from 'node:crypto';
import type { LoopClock } from '../shared/loop-clock.ts';
import type { RelayConnection, RelayStream, StreamReader } from './connection.ts';
import type { Liveness } from './liveness.ts';

export const PING_PROTOCOL = '/ipfs/ping/1.0.0';

const PING_BYTES = 32;

/** Maximum ping streams that a peer may have open on one connection. Above it the least recently used one is closed. */
const MAX_PING_STREAMS = 4;

/** Maximum concurrent inbound ping streams. More than are kept, because the oldest is closed by the newest. */
export const MAX_INBOUND_PING_STREAMS = 2 * MAX_PING_STREAMS;

/** Maximum concurrent ping streams that the relay opens on one connection. */
const MAX_PROBE_STREAMS = 4;

/** Deadline for a peer to close a ping stream that the relay has closed, in milliseconds. */
const CLOSE_MS = 5_000;

/** Responds to the pings of one stream until its peer closes it. */
export type PingResponder = (stream: RelayStream) => void;

export function createPingResponder(): PingResponder {
  /** The streams of each connection that has any, in the order of their last use. */
  const streamsOf = new Map<RelayConnection, PingStream[]>();
  return (stream) => {
    const { connection } = stream;
    const streams = streamsOf.get(connection);
    const ping = new PingStream(stream, streamsOf);
    if (streams === undefined) streamsOf.set(connection, [ping]);
    else streams.push(ping);
    if (streams !== undefined && streams.length > MAX_PING_STREAMS) streams[0]?.close();
    ping.start();
  };
}

/** A class, because every connection of rust-libp2p has one. */
class PingStream implements StreamReader {
  readonly #stream: RelayStream;
  readonly #streamsOf: Map<RelayConnection, PingStream[]>;

  constructor(stream: RelayStream, streamsOf: Map<RelayConnection, PingStream[]>) {
    this.#stream = stream;
    this.#streamsOf = streamsOf;
  }

  start(): void {
    this.#stream.onceClosed(() => this.#forget());
    this.#stream.read(this);
  }

  /** There are too many, and this one was not used for the longest time. */
  close(): void {
    this.#forget();
    this.#stream.reset(new Error(`The connection has more than ${MAX_PING_STREAMS} ping streams.`));
  }

  onData(bytes: Uint8Array): void {
    const streams = this.#streamsOf.get(this.#stream.connection) ?? [];
    const index = streams.indexOf(this);
    if (index >= 0 && index < streams.length - 1) streams.push(...streams.splice(index, 1));
    // What the peer does not read is not buffered: the relay stops reading its pings.
    if (!this.#stream.write(bytes)) this.#stream.pause();
  }

  onWritable(): void {
    this.#stream.resume();
  }

  onRemoteClose(): void {
    this.#stream.closeWrite();
  }

  #forget(): void {
    const { connection } = this.#stream;
    const streams = this.#streamsOf.get(connection) ?? [];
    const index = streams.indexOf(this);
    if (index >= 0) streams.splice(index, 1);
    if (streams.length === 0) this.#streamsOf.delete(connection);
  }
}

/** Pings a connection, and resolves with whether any byte arrives from it before the deadline. Never rejects. */
export type Probe = (connection: RelayConnection, durationMs: number) => Promise<boolean>;

export function createProbe(clock: LoopClock, liveness: Liveness): Probe {
  /** One probe at a time for each connection, so that nothing piles up for a peer that is away. */
  const running = new Map<RelayConnection, Promise<boolean>>();

  function sendPing(connection: RelayConnection, durationMs: number): void {
    const stream = connection.openStream(PING_PROTOCOL, MAX_PROBE_STREAMS);
    const cancel = clock.after(Math.max(CLOSE_MS, durationMs), () =>
      stream.reset(new Error('The peer did not close the ping stream in time.')),
    );
    stream.onceClosed(cancel);
    stream.write(randomBytes(PING_BYTES));
    stream.closeWrite();
  }

  async function probe(connection: RelayConnection, durationMs: number): Promise<boolean> {
    const listener = liveness.listen(connection);
    try {
      sendPing(connection, durationMs);
    } catch {
      // A failed ping is no answer; a peer that refuses the protocol has answered with bytes.
    }
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
