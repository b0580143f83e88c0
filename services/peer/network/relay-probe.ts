// Detects unresponsive relays (a laptop in another network, a relay whose machine lost power), and aborts the
// connections to them, so that new ones are opened.
import { networkInterfaces } from 'node:os';
import type { Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { toError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { anySignal } from '../../shared/signals.ts';
import { peerIdOf } from './addresses.ts';
import type { PeerLibp2p } from './node.ts';
import { pingRelay } from './relay-ping.ts';

export interface ProbeTimings {
  /** Interval between two pings of a relay in milliseconds; a relay serves hundreds of devices. */
  readonly probeIntervalMs: number;
  /** Interval between two checks of this machine's addresses in milliseconds; a change means another network. */
  readonly networkIntervalMs: number;
  /** Deadline of a ping in milliseconds on a connection without streams, or after the network changed. */
  readonly idleTimeoutMs: number;
  /** Deadline of a ping in milliseconds on a connection with streams, because it waits behind the data of circuits. */
  readonly busyTimeoutMs: number;
}

export const PROBE_TIMINGS: ProbeTimings = {
  probeIntervalMs: 15_000,
  networkIntervalMs: 1_000,
  idleTimeoutMs: 5_000,
  busyTimeoutMs: 45_000,
};

export interface RelayProbe {
  start(): void;
  stop(): void;
}

export interface RelayProbeDeps {
  readonly libp2p: PeerLibp2p;
  /** Returns one address of each relay to probe. */
  readonly relays: () => readonly string[];
  readonly log: Logger;
  /** The addresses of this machine as text. Default: those of the operating system. */
  readonly network?: (() => string) | undefined;
  readonly timings?: ProbeTimings | undefined;
}

export function createRelayProbe({
  libp2p,
  relays,
  log,
  network = listAddresses,
  timings = PROBE_TIMINGS,
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
    const timeoutMs = streams.length > 0 ? busyTimeoutMs : timings.idleTimeoutMs;
    const done = new AbortController();
    try {
      const signal = anySignal(AbortSignal.timeout(timeoutMs), stopping.signal, done.signal);
      await Promise.race([activity(streams, done.signal), pingRelay(libp2p, peerId, signal)]);
    } catch (error) {
      if (stopping.signal.aborted || !relays().includes(relay)) return;
      log.warn({ relay, timeoutMs }, 'relay does not answer');
      for (const connection of connections) connection.abort(toError(error));
    } finally {
      done.abort();
      probing.delete(relay);
    }
  }

  function probeAll(busyTimeoutMs: number): void {
    for (const relay of relays()) void probe(relay, busyTimeoutMs);
  }

  function checkNetwork(): void {
    const currentNetwork = network();
    if (currentNetwork === knownNetwork) return;
    knownNetwork = currentNetwork;
    log.info('network changed');
    // Connections with streams get the short deadline too, because after a change the connection is probably dead.
    probeAll(timings.idleTimeoutMs);
  }

  return {
    start() {
      timers.push(
        setInterval(() => probeAll(timings.busyTimeoutMs), timings.probeIntervalMs),
        setInterval(checkNetwork, timings.networkIntervalMs),
      );
    },
    stop() {
      stopping.abort();
      for (const timer of timers) clearInterval(timer);
    },
  };
}

/** Resolves when data is received or sent on one of the streams: the connection is alive, and the ping may wait. */
async function activity(streams: readonly Stream[], signal: AbortSignal): Promise<void> {
  const moved = Promise.withResolvers<void>();
  for (const stream of streams)
    for (const event of ['message', 'drain'] as const)
      stream.addEventListener(event, () => moved.resolve(), { once: true, signal });
  return moved.promise;
}

export function listAddresses(): string {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address }) => address)
    .toSorted()
    .join();
}
