// Keeps this device reachable: holds reservations on up to two relays, and re-makes them by itself when a relay
// goes away and comes back, which the library does not.
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import type { Logger } from '../shared/log.ts';
import { openRelay } from './dial.ts';
import { type DialAttempt, explainFailure, followStages, type Stage } from './dial-report.ts';
import type { PeerNode } from './node.ts';
import { RelayPlace } from './relay-place.ts';
import { createRelayProbe } from './relay-probe.ts';

/** Reservations held at once: one relay may fail, and more would only take places from others. */
const WANTED_RESERVATIONS = 2;

/** How long one attempt may take, in milliseconds. */
const ATTEMPT_TIMEOUT_MS = 10_000;

export interface Reservations {
  /** The circuit addresses under which this device can be reached now; never one without a reservation. */
  addresses(): string[];
  start(): void;
  stop(): Promise<void>;
}

export interface ReservationDeps {
  readonly node: PeerNode;
  /** Relay multiaddrs, best first. */
  readonly relays: readonly string[];
  readonly log: Logger;
  /** Called after each change of `addresses()`. */
  readonly onChange: () => void;
  /** Milliseconds that only grow. */
  readonly clock: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
}

export function createReservations(deps: ReservationDeps): Reservations {
  const { node, relays, log, onChange, clock, random } = deps;
  const { libp2p, reservations: store } = node;
  const places = relays.map((relay) => new RelayPlace(relay, clock, random));
  const stopping = new AbortController();
  const heldRelays = (): string[] => places.filter(({ held }) => held).map(({ relay }) => relay);
  const probe = createRelayProbe({ libp2p, relays: heldRelays, log });
  let woken = Promise.withResolvers<void>();
  let running: Promise<unknown> = Promise.resolve();

  async function reserve(place: RelayPlace): Promise<void> {
    const failure = await reserveOn(node, place.relay, stopping.signal);
    if (stopping.signal.aborted) return;
    if (failure === undefined) {
      place.granted();
      log.info({ relay: place.relay }, 'reserved');
      onChange();
      return;
    }
    const { stage, reason } = failure;
    // A relay that stays away for a day is worth one line, not ten thousand.
    const level = reason === place.reason ? 'debug' : 'warn';
    log[level]({ relay: place.relay, stage, reason, retryInMs: place.failed(reason) }, 'reservation failed');
  }

  function nextPlace(): RelayPlace | undefined {
    if (places.filter(({ held }) => held).length >= WANTED_RESERVATIONS) return undefined;
    return places.filter(({ held }) => !held).toSorted((a, b) => a.dueAt - b.dueAt)[0];
  }

  async function supervise(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = Promise.withResolvers();
      const place = nextPlace();
      const pause = place === undefined ? undefined : place.dueAt - clock();
      if (place !== undefined && pause !== undefined && pause <= 0) await reserve(place);
      else await waitFor(woken.promise, pause);
    }
  }

  function onRemoved(event: Event): void {
    const relay = (event as CustomEvent<{ relay: { toString(): string } }>).detail.relay.toString();
    const place = places.find(({ peerId, held }) => held && peerId === relay);
    if (place === undefined) return;
    log.warn({ relay: place.relay, retryInMs: place.lost() }, 'reservation lost');
    onChange();
    woken.resolve();
  }

  return {
    addresses() {
      return places
        .filter(({ held }) => held)
        .flatMap(({ relay, peerId }) => {
          const granted = store.getReservation(peerIdFromString(peerId))?.addrs ?? [];
          const fronts = [relay, ...granted.map((bytes) => multiaddr(bytes).toString())];
          return [...new Set(fronts)].map((front) => `${front}/p2p-circuit/p2p/${libp2p.peerId.toString()}`);
        });
    },
    start() {
      store.addEventListener('relay:removed', onRemoved);
      running = supervise();
      probe.start();
    },
    async stop() {
      stopping.abort();
      probe.stop();
      woken.resolve();
      store.removeEventListener('relay:removed', onRemoved);
      await running;
    },
  };
}

/** Makes one reservation; resolves to what went wrong, or to nothing. */
export async function reserveOn(
  { libp2p, reservations }: PeerNode,
  relay: string,
  stop: AbortSignal,
): Promise<DialAttempt | undefined> {
  const deadline = AbortSignal.timeout(ATTEMPT_TIMEOUT_MS);
  let stage: Stage = 'tcp';
  try {
    const onProgress = followStages((reached) => void (stage = reached));
    const connection = await openRelay(libp2p, relay, {
      signal: AbortSignal.any([deadline, stop]),
      onProgress,
    });
    stage = 'reservation';
    await reservations.addRelay(connection.remotePeer, 'configured');
    if (connection.status !== 'open') throw new Error('the relay closed the connection at once');
    return undefined;
  } catch (error) {
    return explainFailure(relay, stage, error, deadline.aborted ? ATTEMPT_TIMEOUT_MS : undefined);
  }
}

/** Resolves when woken, or after the pause where there is one. */
async function waitFor(woken: Promise<void>, pauseMs: number | undefined): Promise<void> {
  if (pauseMs === undefined) return woken;
  const timer = Promise.withResolvers<void>();
  const timeout = setTimeout(timer.resolve, pauseMs);
  await Promise.race([woken, timer.promise]);
  clearTimeout(timeout);
}
