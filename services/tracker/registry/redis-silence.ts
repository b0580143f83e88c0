// Ends commands whose connection to Redis is silent. The delay of this process never counts as silence: time is
// counted in rounds of its event loop, and a round ends only after the sockets were read.
import type { Command, Redis } from 'ioredis';

/** Shortest round, in milliseconds. */
const ROUND_MS = 25;

/** Rounds without a byte after which a command fails: 250 ms, because released clients give up after one second. */
const SILENT_ROUNDS = 10;

/** Rounds of silence after which a connection with unanswered commands is closed. */
const CLOSE_ROUNDS = 20;

/** The connection brought no answer to anything since the command was written. */
export class RedisSilentError extends Error {
  override readonly name = 'RedisSilentError';
  readonly code = 'REDIS_SILENT';
}

export interface SilenceWatch {
  /**
   * Watches every command that is sent on the connection, until the connection ends.
   *
   * @param close closes a connection that stays silent; by default it is left open
   */
  add(connection: Redis, close?: () => void): void;
}

interface WatchedConnection {
  readonly connection: Redis;
  readonly close: (() => void) | undefined;
  /** Commands without an answer, with the round in which each was written. */
  readonly pending: Map<Command, number>;
  /** The round in which the last byte arrived. */
  heardRound: number;
  /** Rounds in which commands were unanswered, since the last byte. */
  silentRounds: number;
}

export function createSilenceWatch(): SilenceWatch {
  const watched = new Set<WatchedConnection>();
  const heardStreams = new WeakSet<object>();
  let round = 0;
  let timer: NodeJS.Timeout | undefined;

  // Timers run before sockets are read, immediates after: a round that ends in an immediate has seen what arrived.
  function startRound(): void {
    timer ??= setTimeout(() => setImmediate(endRound), ROUND_MS);
  }

  function endRound(): void {
    timer = undefined;
    round += 1;
    let isPending = false;
    for (const each of watched) {
      failSilent(each, round);
      isPending ||= each.pending.size > 0;
    }
    if (isPending) startRound();
  }

  /** Notes when bytes arrive. Each reconnect makes a new stream. */
  function listen(each: WatchedConnection): void {
    const { stream } = each.connection;
    if (stream === undefined || heardStreams.has(stream)) return;
    heardStreams.add(stream);
    stream.on('data', () => {
      each.heardRound = round;
      each.silentRounds = 0;
    });
  }

  return {
    add(connection, close) {
      const each: WatchedConnection = {
        connection,
        close,
        pending: new Map(),
        heardRound: 0,
        silentRounds: 0,
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

/** Fails the commands that were written `SILENT_ROUNDS` whole rounds ago and followed by no byte. */
function failSilent(each: WatchedConnection, round: number): void {
  const { pending, connection } = each;
  for (const command of pending.keys()) if (command.isSettled) pending.delete(command);
  if (pending.size === 0) return;
  each.silentRounds += 1;
  for (const [command, writtenRound] of pending) {
    if (round - Math.max(writtenRound, each.heardRound) <= SILENT_ROUNDS) continue;
    pending.delete(command);
    command.reject(
      new RedisSilentError(`no answer from ${addressOf(connection)} within ${SILENT_ROUNDS * ROUND_MS} ms`),
    );
  }
  if (each.silentRounds < CLOSE_ROUNDS) return;
  each.silentRounds = 0;
  each.close?.();
}

/** The address of the server; with Sentinels the options do not have it. */
function addressOf({ stream, options }: Redis): string {
  return `${stream?.remoteAddress ?? options.host}:${stream?.remotePort ?? options.port}`;
}
