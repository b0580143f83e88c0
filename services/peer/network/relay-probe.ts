// Finds relays that are dead without having said so (a laptop in another network, a relay whose machine lost its
// power), and ends the connections to them; whoever needs them then makes new ones.
import { networkInterfaces } from 'node:os';
import type { Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { toError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { peerIdOf } from './addresses.ts';
import type { PeerLibp2p } from './node.ts';

/** How often each relay is pinged, in milliseconds; a relay serves hundreds of devices. */
const PROBE_INTERVAL_MS = 15_000;

/** How often the addresses of this machine are looked at, in milliseconds: a change means another network. */
const NETWORK_INTERVAL_MS = 1_000;

/**
 * How long a connection may show no sign of life, in milliseconds. A ping waits behind the bulk data of circuits on
 * the same connection, so it gets time while there are any; after a change of the network it is more likely dead.
 */
const IDLE_TIMEOUT_MS = 5_000;
const BUSY_TIMEOUT_MS = 45_000;

export interface RelayProbe {
  start(): void;
  stop(): void;
}

export interface RelayProbeDeps {
  readonly libp2p: PeerLibp2p;
  /** The relays that matter at that moment. */
  readonly relays: () => readonly string[];
  readonly log: Logger;
  /** The addresses of this machine, in any form that changes with them. */
  readonly network?: () => string;
}

/** Pings the relays again and again, and at once when this machine's addresses change. */
export function createRelayProbe({
  libp2p,
  relays,
  log,
  network = listAddresses,
}: RelayProbeDeps): RelayProbe {
  const stopping = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  const probing = new Set<string>();
  let knownNetwork = network();

  async function probe(relay: string, busyTimeoutMs: number): Promise<void> {
    if (probing.has(relay)) return;
    probing.add(relay);
    const peerId = peerIdFromString(peerIdOf(relay) ?? '');
    const connections = libp2p.getConnections(peerId);
    const streams = connections.flatMap((connection) => connection.streams);
    const timeoutMs = streams.length > 0 ? busyTimeoutMs : IDLE_TIMEOUT_MS;
    const done = new AbortController();
    try {
      const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), stopping.signal, done.signal]);
      await Promise.race([movement(streams, done.signal), libp2p.services.ping.ping(peerId, { signal })]);
    } catch (error) {
      if (stopping.signal.aborted || !relays().includes(relay)) return;
      log.warn({ relay, timeoutMs }, 'relay does not answer');
      for (const connection of connections) connection.abort(toError(error));
    } finally {
      done.abort();
      probing.delete(relay);
    }
  }

  function probeAll(busyTimeoutMs = BUSY_TIMEOUT_MS): void {
    for (const relay of relays()) void probe(relay, busyTimeoutMs);
  }

  return {
    start() {
      timers.push(setInterval(() => probeAll(), PROBE_INTERVAL_MS));
      timers.push(
        setInterval(() => {
          const now = network();
          if (now === knownNetwork) return;
          knownNetwork = now;
          log.info('network changed');
          probeAll(IDLE_TIMEOUT_MS);
        }, NETWORK_INTERVAL_MS),
      );
    },
    stop() {
      stopping.abort();
      for (const timer of timers) clearInterval(timer);
    },
  };
}

/** Resolves when data comes or goes on one of the streams, which a ping may have to wait for. */
async function movement(streams: readonly Stream[], signal: AbortSignal): Promise<void> {
  const moved = Promise.withResolvers<void>();
  for (const stream of streams)
    for (const sign of ['message', 'drain'] as const)
      stream.addEventListener(sign, () => moved.resolve(), { once: true, signal });
  return moved.promise;
}

function listAddresses(): string {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address }) => address)
    .toSorted()
    .join();
}
