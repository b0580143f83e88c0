// One round of syncing: finds the other devices and pulls from a few of them at a time.
import { peerIdFromString } from '@libp2p/peer-id';
import { peerIdOf } from '../network/addresses.ts';
import { discover, type DiscoveryDeps, MAX_PEERS } from '../discovery/discovery.ts';
import { CommandError } from '../cli/exit-codes.ts';
import type { Target } from '../network/dial.ts';
import { pull, type PullDeps, type PullProgress, type PullReport } from './pull.ts';

/** Peers that are pulled from at the same time; they share one line and one database. */
const CONCURRENT_PULLS = 4;

export interface RoundDeps {
  readonly discovery: DiscoveryDeps;
  readonly pulls: PullDeps;
}

export interface RoundOptions {
  readonly limit: number;
  /** Peer ids or multiaddrs to sync with, instead of all that are found. */
  readonly peers: readonly string[] | undefined;
  readonly signal: AbortSignal;
  /** Called with the sums over all peers. */
  readonly onProgress?: (progress: PullProgress) => void;
  readonly onReport?: (report: PullReport) => void;
}

export interface Round {
  readonly reports: readonly PullReport[];
  /** One line for each tracker that did not answer. */
  readonly problems: readonly string[];
}

/** @throws DatabaseError, CommandError for peers that are none. */
export async function syncRound({ discovery, pulls }: RoundDeps, options: RoundOptions): Promise<Round> {
  const { limit, signal, onProgress = () => {}, onReport = () => {} } = options;
  const given = options.peers?.map(parseTarget);
  // A peer that is named with its address needs no tracker.
  const needsTrackers = given === undefined || given.some(({ addresses }) => addresses.length === 0);
  const found = needsTrackers ? await discover(discovery, signal) : { peers: [], problems: [] };
  const targets =
    given === undefined ? found.peers : given.map((target) => withAddresses(target, found.peers));

  const queue = targets.slice(0, MAX_PEERS);
  const failing = new AbortController();
  const stop = AbortSignal.any([signal, failing.signal]);
  const reports: PullReport[] = [];
  const running = new Map<string, PullProgress>();
  const work = async (): Promise<void> => {
    for (let target = queue.shift(); target !== undefined && !stop.aborted; target = queue.shift()) {
      const { peerId } = target;
      const report = await pull(target, pulls, {
        limit,
        signal: stop,
        onProgress: ({ entries, bytes }) => {
          running.set(peerId, { entries, bytes });
          onProgress(sum([...running.values()]));
        },
      });
      reports.push(report);
      onReport(report);
    }
  };
  const workers = Array.from({ length: Math.min(CONCURRENT_PULLS, queue.length) }, async () =>
    work().catch((error: unknown) => {
      // Nothing can be stored any more: the others need not go on.
      failing.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(workers);
  await Promise.all(workers);
  return { reports, problems: found.problems };
}

/** Adds up what several pulls brought. */
export function sum(parts: readonly PullProgress[]): PullProgress {
  return {
    entries: parts.reduce((total, { entries }) => total + entries, 0),
    bytes: parts.reduce((total, { bytes }) => total + bytes, 0),
  };
}

function parseTarget(text: string): Target {
  const peerId = text.startsWith('/') ? peerIdOf(text) : text;
  try {
    return {
      peerId: peerIdFromString(peerId ?? '').toString(),
      addresses: text.startsWith('/') ? [text] : [],
    };
  } catch (error) {
    throw new CommandError(
      'usage',
      `--peers has ${JSON.stringify(text.slice(0, 200))}, which is neither a peer id nor a multiaddr that ends in /p2p/PEER_ID`,
      { cause: error },
    );
  }
}

function withAddresses(target: Target, found: readonly Target[]): Target {
  if (target.addresses.length > 0) return target;
  return found.find(({ peerId }) => peerId === target.peerId) ?? target;
}
