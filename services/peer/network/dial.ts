// Connects to another device: tries its addresses one after the other, each with a deadline, and reports why each
// attempt failed. Open connections are reused.
import type { Connection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { toError } from '../../shared/errors.ts';
import type { Result } from '../../shared/result.ts';
import { anySignal } from '../../shared/signals.ts';
import { type Candidate, type DialStrategy, toCandidates } from './addresses.ts';
import { createDialProgress, type DialAttempt, explainFailure, type Stage } from './dial-report.ts';
import type { PeerLibp2p } from './node.ts';

/** Time in milliseconds for which circuits through a failed relay are tried last. */
const RELAY_BACKOFF_MS = 30_000;

/** Maximum relays remembered as failed. Above this limit all are forgotten, which costs one attempt for each. */
const MAX_FAILED_RELAYS = 256;

/** Remaining lifetime below which a circuit is not reused, in seconds: sufficient for one response. */
const MIN_CIRCUIT_SECONDS = 30;

/** Deadline of the ping of a relay after a circuit through it timed out, in milliseconds. */
const PING_TIMEOUT_MS = 3_000;

/** A device to connect to. */
export interface Target {
  readonly peerId: string;
  readonly addresses: readonly string[];
}

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
    super(
      attempts.length === 0
        ? 'There is no address to try. Register the peer with a tracker, set relay_addr, or change dial_strategy.'
        : `No address led to the peer (${attempts.length} tried).`,
    );
    this.attempts = attempts;
  }
}

export interface Dialer {
  /**
   * Connects to a peer.
   *
   * @param timeoutMs deadline of each attempt in milliseconds.
   * @throws DialFailedError, or the reason of the signal.
   */
  connect(target: Target, timeoutMs: number, signal?: AbortSignal): Promise<Dialed>;
}

export interface DialerDeps {
  readonly libp2p: PeerLibp2p;
  /** The relays of this device in order of preference. */
  readonly relays: readonly string[];
  readonly strategy: DialStrategy;
  readonly nowMs: () => number;
}

type DialResult = Result<{ readonly connection: Connection }, Stage, { readonly attempt: DialAttempt }>;

export function createDialer({ libp2p, relays, strategy, nowMs }: DialerDeps): Dialer {
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

  function listCandidates(target: Target): Candidate[] {
    // The sort is stable, so each group keeps the order of the strategy.
    return toCandidates(target.peerId, target.addresses, relays, strategy).toSorted(
      (a, b) => Number(isBackedOff(a)) - Number(isBackedOff(b)),
    );
  }

  async function dial(
    { address, relay }: Candidate,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<DialResult> {
    const deadline = AbortSignal.timeout(timeoutMs);
    const progress = createDialProgress();
    const options = { signal: anySignal(signal, deadline), onProgress: progress.onProgress };
    let isRelayOpen = false;
    try {
      if (relay !== undefined) {
        await openRelay(libp2p, relay, options);
        failedRelaysMs.delete(relay);
        isRelayOpen = true;
        progress.stage = 'circuit';
      }
      // Forced, because the library could return a connection that is closing.
      const connection = await libp2p.dial(multiaddr(address), { ...options, force: true });
      return { ok: true, connection };
    } catch (error) {
      signal?.throwIfAborted();
      if (relay !== undefined && !isRelayOpen) rememberFailed(relay);
      if (relay !== undefined && deadline.aborted) await abortDeadRelay(libp2p, relay);
      const attempt = explainFailure(address, progress, error, deadline.aborted ? timeoutMs : undefined);
      return { ok: false, reason: attempt.stage, attempt };
    }
  }

  return {
    async connect(target, timeoutMs, signal) {
      const failed: DialAttempt[] = [];
      const open = libp2p.getConnections(peerIdFromString(target.peerId)).find(isUsable);
      if (open !== undefined) return { connection: open, address: open.remoteAddr.toString(), failed };
      for (const candidate of listCandidates(target)) {
        const result = await dial(candidate, timeoutMs, signal);
        if (result.ok) return { connection: result.connection, address: candidate.address, failed };
        failed.push(result.attempt);
      }
      throw new DialFailedError(failed);
    },
  };
}

/** Returns the open connection to a relay, or opens one. */
export async function openRelay(
  libp2p: PeerLibp2p,
  relay: string,
  options: NonNullable<Parameters<PeerLibp2p['dial']>[1]>,
): Promise<Connection> {
  const address = multiaddr(relay);
  const peerId = relayPeerId(relay);
  // The circuit transport uses the first connection to the relay, even when it is closing.
  for (const connection of libp2p.getConnections(peerId))
    if (connection.status !== 'open')
      connection.abort(new Error('The connection was replaced by a new one.'));
  return libp2p.getConnections(peerId).find(isUsable) ?? libp2p.dial(address, { ...options, force: true });
}

/**
 * Aborts the connection to an unresponsive relay (a laptop in another network), so that the next attempt opens a new
 * one. A connection with streams is kept, because their data may delay the response.
 */
async function abortDeadRelay(libp2p: PeerLibp2p, relay: string): Promise<void> {
  const peerId = relayPeerId(relay);
  const idle = libp2p.getConnections(peerId).filter(({ streams }) => streams.length === 0);
  if (idle.length === 0) return;
  try {
    await libp2p.services.ping.ping(peerId, { signal: AbortSignal.timeout(PING_TIMEOUT_MS) });
  } catch (error) {
    for (const connection of idle) connection.abort(toError(error));
  }
}

function relayPeerId(relay: string) {
  return peerIdFromString(multiaddr(relay).getComponents().at(-1)?.value ?? '');
}

function isUsable({ status, limits }: Connection): boolean {
  const isUsedUp =
    limits !== undefined &&
    ((limits.bytes ?? 1n) <= 0n || (limits.seconds ?? Infinity) < MIN_CIRCUIT_SECONDS);
  return status === 'open' && !isUsedUp;
}
