// Connects to another device over a new connection: tries its circuits and its direct addresses at almost the same
// time, repeats what may succeed at the next try, and reports why each attempt failed.
import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { anySignal } from '../../shared/signals.ts';
import {
  type Candidate,
  type DialStrategy,
  orderCandidates,
  type PeerAddresses,
  peerIdOf,
  toCandidates,
} from './addresses.ts';
import { type Lane, race } from './dial-race.ts';
import { createDialProgress, type DialAttempt, explainFailure, isFinalFailure } from './dial-report.ts';
import type { PeerNode } from './node.ts';
import { abortDeadRelay, openRelay } from './relay-connection.ts';

/** Time in milliseconds for which circuits through a failed relay are tried last. */
const RELAY_BACKOFF_MS = 30_000;

/** Maximum relays remembered as failed. Above this limit all are forgotten, which costs one attempt for each. */
const MAX_FAILED_RELAYS = 256;

/** Maximum time for the connections to one peer in one round in milliseconds, retries included. */
export const DIAL_TIMEOUT_MS = 10_000;

/** Time by which the preferred kind of addresses starts before the other one, in milliseconds. */
const HEAD_START_MS = 250;

/** Time after which the next direct address is tried, in milliseconds; the value of RFC 8305. */
const DIRECT_STAGGER_MS = 250;

/**
 * Time after which a circuit through the next relay is tried, in milliseconds. A relay answers within milliseconds
 * unless it waits for the peer, and a second circuit at the same time would use its capacity.
 */
const CIRCUIT_STAGGER_MS = 3_000;

/** Pause before the first repetition, in milliseconds. It doubles with each further one. */
const RETRY_BASE_MS = 500;

/** A device to connect to. */
export type Target = PeerAddresses;

export interface Dialed {
  readonly connection: Connection;
  readonly address: string;
  /** The attempts that failed before this one. */
  readonly failed: readonly DialAttempt[];
}

/** All attempts to connect to the peer failed. */
export class DialFailedError extends Error {
  override readonly name = 'DialFailedError';
  readonly code = 'DIAL_FAILED';
  readonly attempts: readonly DialAttempt[];

  constructor(attempts: readonly DialAttempt[]) {
    const tried = new Set(attempts.map(({ address }) => address)).size;
    super(
      tried === 0
        ? 'There is no address to try. Register the peer with a tracker, set relay_addr, or change dial_strategy.'
        : `No address led to the peer (${tried} tried).`,
    );
    this.attempts = attempts;
  }
}

export interface Dialer {
  /** Whether there is an address of the peer to try. */
  canDial(target: Target): boolean;
  /**
   * Opens a new connection to a peer. A connection that is already open is never used: the peer may have opened it
   * from a process that answers no requests.
   *
   * @param timeoutMs deadline of all attempts together in milliseconds
   * @throws DialFailedError, which is final for this round, or the reason of the signal
   */
  connect(target: Target, timeoutMs: number, signal?: AbortSignal): Promise<Dialed>;
}

export interface DialerDeps {
  readonly node: PeerNode;
  /** The relays of this device in order of preference. */
  readonly relays: readonly string[];
  readonly strategy: DialStrategy;
  readonly nowMs: () => number;
  /** Random number from 0 to 1. */
  readonly random: () => number;
  /** Resolves after `milliseconds`; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** The state of one call of `connect`. */
interface Session {
  readonly timeoutMs: number;
  readonly deadline: AbortSignal;
  readonly signal: AbortSignal;
  readonly failed: DialAttempt[];
  /** Addresses whose failure would be the same at the next try, and peer ids of relays that gave a final answer. */
  readonly final: Set<string>;
  /** Peer ids of the relays of which a connection was used in this try. */
  readonly relaysInUse: Set<string>;
}

interface Won {
  readonly connection: Connection;
  readonly address: string;
}

export function createDialer({ node, relays, strategy, nowMs, random, sleep }: DialerDeps): Dialer {
  const { libp2p } = node;
  /** Time at which each relay failed, on the monotonic clock in milliseconds. */
  const failedRelaysMs = new Map<string, number>();

  function isBackedOff({ relay }: Candidate): boolean {
    return relay !== undefined && nowMs() - (failedRelaysMs.get(relay) ?? -Infinity) < RELAY_BACKOFF_MS;
  }

  function rememberFailed(relay: string): void {
    // Peers can register circuits through any relay, so the number of relays is otherwise unbounded.
    if (failedRelaysMs.size >= MAX_FAILED_RELAYS) failedRelaysMs.clear();
    failedRelaysMs.set(relay, nowMs());
  }

  const listLanes = (target: Target): ReadonlyArray<readonly Candidate[]> =>
    orderCandidates(toCandidates(target, relays), strategy);

  function toLanes(target: Target, { final }: Session): Array<Lane<Candidate>> {
    return listLanes(target).map((candidates, position) => ({
      candidates: candidates
        .filter(({ address, relay }) => !final.has(address) && !final.has(relayIdOf(relay)))
        // The sort is stable, so each group keeps its order.
        .toSorted((a, b) => Number(isBackedOff(a)) - Number(isBackedOff(b))),
      delayMs: position * HEAD_START_MS,
      staggerMs: candidates[0]?.relay === undefined ? DIRECT_STAGGER_MS : CIRCUIT_STAGGER_MS,
    }));
  }

  async function attempt(
    { address, relay, relayAddresses }: Candidate,
    session: Session,
    signal: AbortSignal,
  ): Promise<Won | undefined> {
    const { deadline, timeoutMs, final, relaysInUse, failed } = session;
    const relayId = relayIdOf(relay);
    // Another address of the same relay leads to the same answer.
    if (relay !== undefined && (final.has(relayId) || relaysInUse.has(relayId))) return undefined;
    const progress = createDialProgress();
    const options = { signal, onProgress: progress.onProgress };
    let isRelayOpen = false;
    try {
      if (relay !== undefined) {
        const isOwn = relayAddresses !== undefined;
        const lookup = isOwn ? undefined : node.listedLookup;
        await openRelay(node, isOwn ? relayAddresses : [relay], { ...options, lookup });
        failedRelaysMs.delete(relay);
        isRelayOpen = true;
        if (relaysInUse.has(relayId)) return undefined;
        relaysInUse.add(relayId);
        progress.stage = 'circuit';
      }
      return { connection: await node.dial(multiaddr(address), options), address };
    } catch (error) {
      // Another address was faster, or the caller has stopped the dial.
      if (signal.aborted && !deadline.aborted) return undefined;
      if (relay !== undefined && !isRelayOpen) rememberFailed(relay);
      if (relay !== undefined && deadline.aborted) void abortDeadRelay(libp2p, relay);
      const report = explainFailure(address, progress, error, deadline.aborted ? timeoutMs : undefined);
      failed.push(report);
      if (isFinalFailure(report, error)) final.add(isRelayOpen ? relayId : address);
      return undefined;
    }
  }

  return {
    canDial: (target) => listLanes(target).some((candidates) => candidates.length > 0),

    async connect(target, timeoutMs, signal) {
      const deadline = AbortSignal.timeout(timeoutMs);
      const session: Session = {
        timeoutMs,
        deadline,
        signal: anySignal(signal, deadline),
        failed: [],
        final: new Set(),
        relaysInUse: new Set(),
      };
      for (let pauseMs = RETRY_BASE_MS; ; pauseMs *= 2) {
        const lanes = toLanes(target, session);
        if (lanes.every(({ candidates }) => candidates.length === 0))
          throw new DialFailedError(session.failed);
        const won = await race(lanes, {
          attempt: async (candidate, stop) => attempt(candidate, session, stop),
          discard: ({ connection }) => connection.abort(new Error('Another address was faster.')),
          signal: session.signal,
          sleep,
        });
        signal?.throwIfAborted();
        if (won !== undefined) return { ...won, failed: session.failed };
        if (deadline.aborted) throw new DialFailedError(session.failed);
        session.relaysInUse.clear();
        await sleep(pauseMs * (0.5 + random() / 2), session.signal).catch(() => {});
        signal?.throwIfAborted();
        if (deadline.aborted) throw new DialFailedError(session.failed);
      }
    },
  };
}

function relayIdOf(relay: string | undefined): string {
  return relay === undefined ? '' : (peerIdOf(relay) ?? relay);
}
