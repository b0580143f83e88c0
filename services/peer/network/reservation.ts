// Keeps this device reachable: holds reservations on up to two relays, and re-makes them by itself when a relay
// goes away and comes back, which the library does not.
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import type { Logger } from '../../shared/log.ts';
import { openRelay } from './dial.ts';
import { type DialAttempt, explainFailure, followStages, type Stage } from './dial-report.ts';
import type { PeerNode, Reserved } from './node.ts';
import { RelayPlace } from './relay-state.ts';
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
  /** Unix seconds. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  /** The addresses of this machine, in any form that changes with them. */
  readonly network?: () => string;
}

export function createReservations(deps: ReservationDeps): Reservations {
  const { node, relays, log, onChange, clock, now, random, network } = deps;
  const { libp2p, reservations: store } = node;
  const places = relays.map((relay) => new RelayPlace(relay, clock, random));
  const stopping = new AbortController();
  const heldRelays = (): string[] => places.filter(({ held }) => held).map(({ relay }) => relay);
  const probe = createRelayProbe({ libp2p, relays: heldRelays, log, ...(network && { network }) });
  let woken = Promise.withResolvers<void>();
  let running: Promise<unknown> = Promise.resolve();

  async function reserve(place: RelayPlace): Promise<void> {
    const wasHeld = place.held;
    const result = await reserveOn(node, place.relay, stopping.signal);
    if (stopping.signal.aborted) return;
    if (!('stage' in result)) {
      place.granted((Number(result.expire) - now()) * 1000);
      log[wasHeld ? 'debug' : 'info']({ relay: place.relay }, 'reserved');
      if (!wasHeld) onChange();
      return;
    }
    const { stage, reason } = result;
    // A relay that stays away for a day is worth one line, not ten thousand.
    const level = reason === place.reason ? 'debug' : 'warn';
    log[level]({ relay: place.relay, stage, reason, retryInMs: place.failed(reason) }, 'reservation failed');
  }

  /** The one to ask next: one that is held before it expires, and others while there are too few. */
  function nextPlace(): RelayPlace | undefined {
    // A relay may stand there under several addresses.
    const relaysHeld = new Set(places.filter(({ held }) => held).map(({ peerId }) => peerId));
    const isEnough = relaysHeld.size >= WANTED_RESERVATIONS;
    return places.filter(({ held }) => held || !isEnough).toSorted((a, b) => a.dueAt - b.dueAt)[0];
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
    const lost = places.filter(({ peerId, held }) => held && peerId === relay);
    if (lost.length === 0) return;
    for (const place of lost) log.warn({ relay: place.relay, retryInMs: place.lost() }, 'reservation lost');
    onChange();
    woken.resolve();
  }

  return {
    addresses() {
      return places
        .filter(({ held }) => held)
        .flatMap(({ relay, peerId }) => {
          const granted = store.getReservation(peerIdFromString(peerId));
          if (granted === undefined) return [];
          const fronts = [relay, ...granted.addrs.map((bytes) => multiaddr(bytes).toString())];
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

/** Makes one reservation, or makes it last longer; resolves to it, or to what went wrong. */
export async function reserveOn(
  { libp2p, reservations }: PeerNode,
  relay: string,
  stop: AbortSignal,
): Promise<Reserved | DialAttempt> {
  const deadline = AbortSignal.timeout(ATTEMPT_TIMEOUT_MS);
  let stage: Stage = 'tcp';
  try {
    const onProgress = followStages((reached) => void (stage = reached));
    const connection = await openRelay(libp2p, relay, {
      signal: AbortSignal.any([deadline, stop]),
      onProgress,
    });
    stage = 'reservation';
    const held = reservations.getReservation(connection.remotePeer);
    // Whatever this machine's clock says: the relay is asked.
    if (held !== undefined) held.expire = 0n;
    await reservations.addRelay(connection.remotePeer, 'configured');
    const reserved = reservations.getReservation(connection.remotePeer);
    if (connection.status !== 'open' || reserved === undefined)
      throw new Error('the relay closed the connection at once');
    return reserved;
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
