// One round of syncing: discovers the other devices and pulls from a few of them at a time.
import { anySignal } from '../../shared/signals.ts';
import { discover, type Discovery, type DiscoveryDeps, MAX_PEERS } from '../discovery/discovery.ts';
import type { Target } from '../network/dial.ts';
import { pull, type PullDeps, type PullProgress, type PullReport } from './pull.ts';

/** Maximum concurrent pulls, because they share one network connection and one database. Further peers wait. */
const CONCURRENT_PULLS = 4;

export interface RoundDeps {
  readonly discovery: DiscoveryDeps;
  readonly pulls: PullDeps;
}

export interface RoundOptions {
  /** Maximum entries of one page. */
  readonly limit: number;
  /** Peers to sync with instead of all that are discovered. One without addresses gets those that are discovered. */
  readonly targets: readonly Target[] | undefined;
  readonly signal: AbortSignal;
  /** Called with the sums over all peers. */
  readonly onProgress?: (progress: PullProgress) => void;
  readonly onReport?: (report: PullReport) => void;
}

export interface Round extends Pick<Discovery, 'problems' | 'warnings'> {
  readonly reports: readonly PullReport[];
  /** Peer ids of devices that list no address to which this device can connect. This is no failure. */
  readonly skipped: readonly string[];
}

/** Runs one round. A peer or a tracker that fails is reported, not thrown. @throws DatabaseError */
export async function syncRound({ discovery, pulls }: RoundDeps, options: RoundOptions): Promise<Round> {
  const { targets, problems, warnings } = await findTargets(discovery, options);
  const canDial = (target: Target): boolean => target.isListed !== true || pulls.dialer.canDial(target);
  const skipped = targets.filter((target) => !canDial(target)).map(({ peerId }) => peerId);
  const reports = await pullAll(targets.filter(canDial).slice(0, MAX_PEERS), pulls, options);
  return { reports, skipped, problems, warnings };
}

async function findTargets(
  discovery: DiscoveryDeps,
  { targets: given, signal }: RoundOptions,
): Promise<Pick<Round, 'problems' | 'warnings'> & { readonly targets: readonly Target[] }> {
  // Also when the addresses of all targets are given, because devices answer only those that a tracker lists.
  const { peers, problems, warnings } = await discover(discovery, signal);
  const targets =
    given === undefined
      ? peers.map((peer): Target => ({ ...peer, isListed: true }))
      : given.map((target) => withAddresses(target, peers));
  return { targets, problems, warnings };
}

function withAddresses(target: Target, found: readonly Target[]): Target {
  if (target.addresses.length > 0) return target;
  return found.find(({ peerId }) => peerId === target.peerId) ?? target;
}

async function pullAll(
  targets: readonly Target[],
  pulls: PullDeps,
  { limit, signal, onProgress = () => {}, onReport = () => {} }: RoundOptions,
): Promise<PullReport[]> {
  const queue = [...targets];
  const failing = new AbortController();
  const stop = anySignal(signal, failing.signal);
  const reports: PullReport[] = [];
  const progressByPeer = new Map<string, PullProgress>();
  const work = async (): Promise<void> => {
    for (let target = queue.shift(); target !== undefined && !stop.aborted; target = queue.shift()) {
      const { peerId } = target;
      const report = await pull(target, pulls, {
        limit,
        signal: stop,
        onProgress: ({ entries, bytes }) => {
          progressByPeer.set(peerId, { entries, bytes });
          onProgress(sum([...progressByPeer.values()]));
        },
      });
      reports.push(report);
      onReport(report);
    }
  };
  const workers = Array.from({ length: Math.min(CONCURRENT_PULLS, queue.length) }, async () =>
    work().catch((error: unknown) => {
      // No pull can store entries, so the other pulls end too.
      failing.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(workers);
  await Promise.all(workers);
  return reports;
}

/** The sum of the progress of several pulls. */
export function sum(items: readonly PullProgress[]): PullProgress {
  return {
    entries: items.reduce((total, { entries }) => total + entries, 0),
    bytes: items.reduce((total, { bytes }) => total + bytes, 0),
  };
}
