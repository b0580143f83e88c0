// Connects to another device: tries its addresses one after the other, each with a deadline, and keeps for each
// failed attempt how far it got and why. Open connections are used again.
import type { Connection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { toError } from '../../shared/errors.ts';
import { type Candidate, type DialStrategy, toCandidates } from './addresses.ts';
import { type DialAttempt, explainFailure, followStages, type Stage } from './dial-report.ts';
import type { PeerLibp2p } from './node.ts';

/** How long a relay that failed is tried last, in milliseconds. */
const RELAY_BACKOFF_MS = 30_000;

/** Relays that are remembered as failed. */
const MAX_FAILED_RELAYS = 256;

/** What a circuit must still have left to be used again: time for one answer, in seconds. */
const MIN_CIRCUIT_SECONDS = 30;

/** How long a relay may take to answer a ping, in milliseconds, when a circuit through it was not answered. */
const PING_TIMEOUT_MS = 3_000;

/** A device to connect to. */
export interface Target {
  readonly peerId: string;
  readonly addresses: readonly string[];
}

export interface Dialed {
  readonly connection: Connection;
  readonly address: string;
  /** The attempts that failed before. */
  readonly failed: readonly DialAttempt[];
}

/** No address of the peer led to it. */
export class DialFailedError extends Error {
  override readonly name = 'DialFailedError';
  readonly code = 'DIAL_FAILED';
  readonly attempts: readonly DialAttempt[];

  constructor(attempts: readonly DialAttempt[]) {
    super(
      attempts.length === 0
        ? 'no address to try: set relay_addr, or let the peer register with a tracker'
        : `no address led to the peer (${attempts.length} tried)`,
    );
    this.attempts = attempts;
  }
}

export interface Dialer {
  /**
   * @param timeoutMs how long each attempt may take, in milliseconds.
   * @throws DialFailedError, or the reason of the signal.
   */
  connect(target: Target, timeoutMs: number, signal?: AbortSignal): Promise<Dialed>;
}

export interface DialerDeps {
  readonly libp2p: PeerLibp2p;
  readonly relays: readonly string[];
  readonly strategy: DialStrategy;
  /** Milliseconds that only grow. */
  readonly clock: () => number;
}

export function createDialer({ libp2p, relays, strategy, clock }: DialerDeps): Dialer {
  const failedRelays = new Map<string, number>();

  function isBackedOff({ relay }: Candidate): boolean {
    return relay !== undefined && clock() - (failedRelays.get(relay) ?? -Infinity) < RELAY_BACKOFF_MS;
  }

  function remember(relay: string): void {
    // Peers tell of relays, so their number is not ours to choose; forgetting costs one attempt.
    if (failedRelays.size >= MAX_FAILED_RELAYS) failedRelays.clear();
    failedRelays.set(relay, clock());
  }

  function order(target: Target): Candidate[] {
    // The sort is stable, so among equals the strategy's order stays.
    return toCandidates(target.peerId, target.addresses, relays, strategy).toSorted(
      (a, b) => Number(isBackedOff(a)) - Number(isBackedOff(b)),
    );
  }

  async function tryAddress(
    { address, relay }: Candidate,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ) {
    const deadline = AbortSignal.timeout(timeoutMs);
    const options = { signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]) };
    let stage: Stage = 'tcp';
    let isRelayOpen = false;
    const onProgress = followStages((reached) => void (stage = reached));
    try {
      if (relay !== undefined) {
        await openRelay(libp2p, relay, { ...options, onProgress });
        failedRelays.delete(relay);
        isRelayOpen = true;
        stage = 'circuit';
      }
      // Forced, because the library would take a connection that is closing for an open one.
      return await libp2p.dial(multiaddr(address), { ...options, onProgress, force: true });
    } catch (error) {
      signal?.throwIfAborted();
      if (relay !== undefined && !isRelayOpen) remember(relay);
      if (relay !== undefined && deadline.aborted) await dropSilentRelay(libp2p, relay);
      return explainFailure(address, stage, error, deadline.aborted ? timeoutMs : undefined);
    }
  }

  return {
    async connect(target, timeoutMs, signal) {
      const failed: DialAttempt[] = [];
      const open = libp2p.getConnections(peerIdFromString(target.peerId)).find(isUsable);
      if (open !== undefined) return { connection: open, address: open.remoteAddr.toString(), failed };
      for (const candidate of order(target)) {
        const result = await tryAddress(candidate, timeoutMs, signal);
        if (!('stage' in result)) return { connection: result, address: candidate.address, failed };
        failed.push(result);
      }
      throw new DialFailedError(failed);
    },
  };
}

/** Opens a connection to a relay, or finds the one that is open. */
export async function openRelay(
  libp2p: PeerLibp2p,
  relay: string,
  options: NonNullable<Parameters<PeerLibp2p['dial']>[1]>,
): Promise<Connection> {
  const address = multiaddr(relay);
  const peerId = peerIdFromString(address.getComponents().at(-1)?.value ?? '');
  // The circuit transport takes the first connection there is, also a dying one.
  for (const connection of libp2p.getConnections(peerId))
    if (connection.status !== 'open') connection.abort(new Error('replaced by a new connection'));
  return libp2p.getConnections(peerId).find(isUsable) ?? libp2p.dial(address, { ...options, force: true });
}

/**
 * Drops the connection to a relay that answers nothing any more (a laptop that woke up in another network), so
 * that the next attempt makes a new one. One that carries streams is left alone: they may just keep it busy.
 */
async function dropSilentRelay(libp2p: PeerLibp2p, relay: string): Promise<void> {
  const peerId = peerIdFromString(multiaddr(relay).getComponents().at(-1)?.value ?? '');
  const idle = libp2p.getConnections(peerId).filter(({ streams }) => streams.length === 0);
  if (idle.length === 0) return;
  try {
    await libp2p.services.ping.ping(peerId, { signal: AbortSignal.timeout(PING_TIMEOUT_MS) });
  } catch (error) {
    for (const connection of idle) connection.abort(toError(error));
  }
}

function isUsable({ status, limits }: Connection): boolean {
  const isSpent =
    limits !== undefined &&
    ((limits.bytes ?? 1n) <= 0n || (limits.seconds ?? Infinity) < MIN_CIRCUIT_SECONDS);
  return status === 'open' && !isSpent;
}
