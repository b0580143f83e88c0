// One round of syncing: discovers the other devices and pulls from a few of them at a time.
import { discover, type Discovery, type DiscoveryDeps, MAX_PEERS } from '../discovery/discovery.ts';
import type { Target } from '../network/dial.ts';
import type { PullDeps, PullReport } from './pull.ts';
import { pullAll, type PullAllOptions } from './pull-queue.ts';

export interface RoundDeps {
  readonly discovery: DiscoveryDeps;
  readonly pulls: PullDeps;
  /** Peers that failed in the previous round, which changes. They are pulled last, so that they delay no other. */
  readonly failedPeers?: Set<string>;
}

export interface RoundOptions extends PullAllOptions {
  /** Peers to sync with instead of all that are discovered. One without addresses gets those that are discovered. */
  readonly targets: readonly Target[] | undefined;
}

export interface Round extends Pick<Discovery, 'problems' | 'warnings'> {
  readonly reports: readonly PullReport[];
  /** Peer ids of devices that list no address to which this device can connect. This is no failure. */
  readonly skipped: readonly string[];
}

/** Runs one round. A peer or a tracker that fails is reported, not thrown. @throws DatabaseError */
export async function syncRound(
  { discovery, pulls, failedPeers = new Set() }: RoundDeps,
  options: RoundOptions,
): Promise<Round> {
  const { targets, problems, warnings } = await findTargets(discovery, options);
  const canDial = (target: Target): boolean => target.isListed !== true || pulls.dialer.canDial(target);
  const skipped = targets.filter((target) => !canDial(target)).map(({ peerId }) => peerId);
  const hasFailed = ({ peerId }: Target): number => Number(failedPeers.has(peerId));
  const ordered = targets
    .filter(canDial)
    .slice(0, MAX_PEERS)
    // Stable: each group keeps its order.
    .toSorted((a, b) => hasFailed(a) - hasFailed(b));
  const reports = await pullAll(ordered, pulls, options);
  failedPeers.clear();
  for (const { peerId, error } of reports) if (error !== undefined) failedPeers.add(peerId);
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
