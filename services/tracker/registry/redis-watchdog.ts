// Fails commands when Redis is unresponsive: when its connection delivers no bytes. Delays of this process must not
// count, so time is measured in rounds of the event loop, and a round ends only after the sockets were read.
import type { Command, Redis } from 'ioredis';

/** Minimum duration of a round, in milliseconds. */
const ROUND_MS = 25;

/** Idle rounds after which a command fails: 250 ms, because released clients give up after one second. */
const IDLE_ROUNDS = 10;

/** Idle rounds after which a connection with pending commands is closed. */
const CLOSE_ROUNDS = 20;

/** The connection has delivered no bytes since the command was written. */
export class RedisUnresponsiveError extends Error {
  override readonly name = 'RedisUnresponsiveError';
  readonly code = 'REDIS_UNRESPONSIVE';
}

export interface RedisWatchdog {
  /**
   * Watches every command that is sent on the connection, until the connection ends.
   *
   * @param close closes the connection when it stays unresponsive; by default it is left open
   */
  add(connection: Redis, close?: () => void): void;
}

interface WatchedConnection {
  readonly connection: Redis;
  readonly close: (() => void) | undefined;
  /** Commands without a reply, with the round in which each was written. */
  readonly pending: Map<Command, number>;
  /** The round in which the last byte arrived. */
  lastByteRound: number;
  /** Rounds since the last byte in which commands were pending. */
  idleRounds: number;
}

export function createRedisWatchdog(): RedisWatchdog {
  const watched = new Set<WatchedConnection>();
  const watchedStreams = new WeakSet<object>();
  let round = 0;
  let timer: NodeJS.Timeout | undefined;

  // Timers run before sockets are read, and immediates after that. So a round that ends in an immediate ends after the
  // bytes that have arrived were read.
  function startRound(): void {
    timer ??= setTimeout(() => setImmediate(endRound), ROUND_MS);
  }

  function endRound(): void {
    timer = undefined;
    round += 1;
    let isPending = false;
    for (const each of watched) {
      failUnresponsive(each, round);
      isPending ||= each.pending.size > 0;
    }
    if (isPending) startRound();
  }

  /** Resets the idle time when bytes arrive. Each reconnect creates a new stream. */
  function listen(each: WatchedConnection): void {
    const { stream } = each.connection;
    if (stream === undefined || watchedStreams.has(stream)) return;
    watchedStreams.add(stream);
    stream.on('data', () => {
      each.lastByteRound = round;
      each.idleRounds = 0;
    });
  }

  return {
    add(connection, close) {
      const each: WatchedConnection = {
        connection,
        close,
        pending: new Map(),
        lastByteRound: 0,
        idleRounds: 0,
      };
      watched.add(each);
      connection.once('end', () => watched.delete(each));
      const send = connection.sendCommand.bind(connection);
      connection.sendCommand = (command, stream) => {
        const sent = send(command, stream);
        if (!command.isSettled) {
          listen(each);
          each.pending.set(command, round);
          startRound();
        }
        return sent;
      };
    },
  };
}

/** Fails the commands after which no byte has arrived for `IDLE_ROUNDS` whole rounds. */
function failUnresponsive(each: WatchedConnection, round: number): void {
  const { pending, connection } = each;
  for (const command of pending.keys()) if (command.isSettled) pending.delete(command);
  if (pending.size === 0) return;
  each.idleRounds += 1;
  for (const [command, writtenRound] of pending) {
    if (round - Math.max(writtenRound, each.lastByteRound) <= IDLE_ROUNDS) continue;
    pending.delete(command);
    command.reject(
      new RedisUnresponsiveError(`${addressOf(connection)} sent no data for ${IDLE_ROUNDS * ROUND_MS} ms.`),
    );
  }
  if (each.idleRounds < CLOSE_ROUNDS) return;
  each.idleRounds = 0;
  each.close?.();
}

/** The address of the server. With Sentinels the options do not contain it. */
function addressOf({ stream, options }: Redis): string {
  return `${stream?.remoteAddress ?? options.host}:${stream?.remotePort ?? options.port}`;
}
