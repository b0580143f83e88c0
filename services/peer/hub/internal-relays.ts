// The relays in the cluster of the hub. Their addresses there are known before they run, and their peer ids are not: they
// follow from a secret of the relays. Only a relay of the network has the swarm key, so the peer that answers is the relay.
import { multiaddr } from '@multiformats/multiaddr';
import { describeError } from '../../shared/errors.ts';
import type { Component, ComponentFailure } from '../../shared/lifecycle.ts';
import type { Logger } from '../../shared/log.ts';
import type { PeerLibp2p } from '../network/node.ts';

/**
 * Maximum time for which the start of the hub waits for its relays, in milliseconds. It is less than the time that a
 * supervisor gives a process to stop, because the hub handles no signal meanwhile.
 */
const LEARN_TIMEOUT_MS = 15_000;

/** Deadline of one connection in milliseconds. */
const DIAL_TIMEOUT_MS = 5_000;

/** Pause before a relay is asked again, in milliseconds. */
const RETRY_MS = 1_000;

/** Interval in milliseconds at which the relays without a reservation are asked whether they are still the same. */
const CHECK_INTERVAL_MS = 15_000;

/** The peer ids of relays by their addresses. Relays that did not answer are absent. */
export type InternalRelays = ReadonlyMap<string, string>;

export interface LearnDeps {
  readonly libp2p: Pick<PeerLibp2p, 'dial'>;
  /** Multiaddrs without peer ids. */
  readonly addresses: readonly string[];
  readonly log: Logger;
  /** Resolves after `milliseconds`; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Default: that of the hub. */
  readonly signal?: AbortSignal;
}

/** Asks all relays at the same time for their peer ids, until all have answered or the time is over. */
export async function learnRelays({
  libp2p,
  addresses,
  log,
  sleep,
  signal = AbortSignal.timeout(LEARN_TIMEOUT_MS),
}: LearnDeps): Promise<InternalRelays> {
  const found = new Map<string, string>();
  async function learn(relay: string): Promise<void> {
    let reason = 'The time was over.';
    while (!signal.aborted) {
      try {
        const peerId = await askPeerId(libp2p, relay, signal);
        log.info({ relay, peerId }, 'relay found');
        found.set(relay, peerId);
        return;
      } catch (error) {
        reason = describeError(error);
        await sleep(RETRY_MS, signal).catch(() => {});
      }
    }
    log.warn({ relay, reason }, 'relay not found; the hub starts without it, and again when it answers');
  }
  await Promise.all(addresses.map(learn));
  // In the given order, which is that of preference.
  return new Map(addresses.flatMap((relay) => (found.has(relay) ? [[relay, found.get(relay) ?? '']] : [])));
}

async function askPeerId(
  libp2p: Pick<PeerLibp2p, 'dial'>,
  relay: string,
  signal: AbortSignal,
): Promise<string> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]);
  return (await libp2p.dial(multiaddr(relay), { signal: deadline })).remotePeer.toString();
}

/** The multiaddrs with peer ids. */
export function addressesOf(relays: InternalRelays): string[] {
  return [...relays].map(([address, peerId]) => `${address}/p2p/${peerId}`);
}

export interface RelayWatchDeps extends Pick<LearnDeps, 'libp2p' | 'addresses'> {
  /** What the hub uses. */
  readonly relays: InternalRelays;
  /** Whether the hub is connected to this peer. */
  readonly isConnected: (peerId: string) => boolean;
  /** The exit code of the process. */
  readonly exitCode: number;
  /** Default 15,000. */
  readonly intervalMs?: number;
}

/**
 * The component that fails when a relay has a peer id that the hub does not know: one that did not answer at the start, or
 * that got another seed. A supervisor starts the hub again, with all relays.
 */
export function createRelayWatch(deps: RelayWatchDeps): Component {
  const { libp2p, addresses, relays, isConnected, exitCode, intervalMs = CHECK_INTERVAL_MS } = deps;
  const failed = Promise.withResolvers<ComponentFailure>();
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;

  async function check(relay: string): Promise<void> {
    const known = relays.get(relay);
    if (known !== undefined && isConnected(known)) return;
    try {
      const peerId = await askPeerId(libp2p, relay, stopping.signal);
      if (peerId === known || stopping.signal.aborted) return;
      const text = `The relay at ${relay} has the peer id ${peerId}, so that the hub must start again to use it.`;
      failed.resolve({ text, exitCode });
    } catch {
      // It does not answer. The reservations log the reason.
    }
  }

  function checkAll(): void {
    for (const relay of addresses) void check(relay);
  }

  return {
    name: 'internal relays',
    failed: failed.promise,
    start: async () => void (timer = setInterval(checkAll, intervalMs)),
    async stop() {
      clearInterval(timer);
      stopping.abort(new Error('The hub stops.'));
    },
  };
}
