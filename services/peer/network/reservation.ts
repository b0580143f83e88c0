// Keeps this device reachable: holds reservations on up to two relays, a hub on all, renews them before they expire, and requests
// them again after a loss, which the library does not.
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import type { Logger } from '../../shared/log.ts';
import type { Result } from '../../shared/result.ts';
import { anySignal } from '../../shared/signals.ts';
import { openRelay, type RelayAddresses } from './relay-connection.ts';
import { createDialProgress, type DialAttempt, explainFailure, type Stage } from './dial-report.ts';
import type { Reservation, ReservationStore } from './library-internals.ts';
import type { PeerNode } from './node.ts';
import { createRelayProbe, type ProbeTimings } from './relay-probe.ts';
import { createRelayState, type RelayState, type RelayTimings } from './relay-state.ts';
import { groupRelays, uniqueAddresses } from './relays.ts';

/**
 * Reservations held at the same time: two, because one relay may fail, and more would use capacity for other devices.
 */
const WANTED_RESERVATIONS = 2;

/** Deadline of one request in milliseconds, the connection included. */
const REQUEST_TIMEOUT_MS = 10_000;

export interface Reservations {
  /** The circuit addresses of this device, only of relays on which a reservation is held. */
  addresses(): string[];
  /** The number of relays on which a reservation is held. */
  held(): number;
  start(): void;
  stop(): Promise<void>;
}

export interface ReservationDeps {
  readonly node: PeerNode;
  /** Relay multiaddrs in order of preference. */
  readonly relays: readonly string[];
  /** Reservations held at the same time. Default 2. */
  readonly wanted?: number | undefined;
  /** Addresses in `relays` that only this device can use. They are not in `addresses()`, unless the relay announces no other one. */
  readonly unlisted?: ReadonlySet<string> | undefined;
  readonly log: Logger;
  /** Called after each change of `addresses()`. */
  readonly onChange: () => void;
  readonly nowMs: () => number;
  readonly nowUnixSeconds: () => number;
  /** Random number from 0 to 1. */
  readonly random: () => number;
  /** The addresses of this machine as text. Default: those of the operating system. */
  readonly network?: (() => string) | undefined;
  readonly relayTimings?: RelayTimings | undefined;
  readonly probeTimings?: ProbeTimings | undefined;
}

export function createReservations(deps: ReservationDeps): Reservations {
  const { node, log, onChange, nowMs, nowUnixSeconds, random, network, wanted = WANTED_RESERVATIONS } = deps;
  const { libp2p, reservations: store } = node;
  const states = groupRelays(deps.relays).map((relay) =>
    createRelayState(relay, nowMs, random, deps.relayTimings),
  );
  const held = (): RelayState[] => states.filter(({ isHeld }) => isHeld);
  const heldRelays = (): string[] => held().map(({ relay }) => relay);
  const probe = createRelayProbe({ libp2p, relays: heldRelays, log, network, timings: deps.probeTimings });
  const stopping = new AbortController();
  const wakeUps = new Set<() => void>();
  let running: Promise<unknown> = Promise.resolve();

  async function request(state: RelayState): Promise<void> {
    const { relay, addresses, isHeld: wasHeld, reason: lastReason } = state;
    const result = await requestReservation(node, addresses, stopping.signal);
    if (stopping.signal.aborted) return;
    if (result.ok) {
      state.granted((Number(result.reservation.expire) - nowUnixSeconds()) * 1000);
      log[wasHeld ? 'debug' : 'info']({ relay }, 'reserved');
      if (!wasHeld) onChange();
      return;
    }
    const { stage, reason } = result.attempt;
    // Logs the same reason once, so that a relay that is down for a day causes one warning and not ten thousand.
    const level = reason === lastReason ? 'debug' : 'warn';
    log[level]({ relay, stage, reason, retryInMs: state.failed(reason) }, 'reservation failed');
  }

  /** Requests the reservations of these relays, one at a time. */
  async function run(own: readonly RelayState[]): Promise<void> {
    while (!stopping.signal.aborted) {
      const wakeUp = Promise.withResolvers<void>();
      wakeUps.add(wakeUp.resolve);
      const state = firstDue(own, wanted);
      const pauseMs = state === undefined ? undefined : state.dueMs - nowMs();
      if (state !== undefined && pauseMs !== undefined && pauseMs <= 0) await request(state);
      else await waitFor(wakeUp.promise, pauseMs);
      wakeUps.delete(wakeUp.resolve);
    }
  }

  function wakeAll(): void {
    for (const wake of wakeUps) wake();
  }

  function onRemoved(event: Event): void {
    const relayId = (event as CustomEvent<{ relay: { toString(): string } }>).detail.relay.toString();
    const lost = held().filter(({ peerId }) => peerId === relayId);
    if (lost.length === 0) return;
    for (const state of lost) log.warn({ relay: state.relay, retryInMs: state.lost() }, 'reservation lost');
    onChange();
    wakeAll();
  }

  return {
    addresses: () =>
      held().flatMap(({ addresses, peerId }) => {
        const reservation = store.getReservation(peerIdFromString(peerId));
        if (reservation === undefined) return [];
        const circuits = circuitAddresses(addresses, reservation, libp2p.peerId.toString());
        const listed = circuits.filter((circuit) => deps.unlisted?.has(relayOf(circuit)) !== true);
        return listed.length > 0 ? listed : circuits;
      }),
    held: () => held().length,
    start() {
      store.addEventListener('relay:removed', onRemoved);
      // When all relays are wanted, one that does not respond must not delay the requests to the others.
      const groups = wanted < states.length ? [states] : states.map((state) => [state]);
      running = Promise.all(groups.map(run));
      probe.start();
    },
    async stop() {
      stopping.abort();
      probe.stop();
      wakeAll();
      store.removeEventListener('relay:removed', onRemoved);
      await running;
    },
  };
}

/** The relay whose request is due first: of relays with a reservation, and of all others while too few are held. */
function firstDue(states: readonly RelayState[], wanted: number): RelayState | undefined {
  const hasEnough = states.filter(({ isHeld }) => isHeld).length >= wanted;
  return states.filter(({ isHeld }) => isHeld || !hasEnough).toSorted((a, b) => a.dueMs - b.dueMs)[0];
}

/**
 * The circuit addresses of a peer through a relay: the configured addresses of the relay, and those that the relay
 * reports.
 */
export function circuitAddresses(relay: RelayAddresses, { addrs }: Reservation, peerId: string): string[] {
  return uniqueAddresses([...relay, ...addrs.map((bytes) => multiaddr(bytes).toString())]).map(
    (address) => `${address}/p2p-circuit/p2p/${peerId}`,
  );
}

/** The address of the relay of a circuit, with its peer id. */
function relayOf(circuit: string): string {
  return circuit.split('/p2p-circuit')[0] ?? '';
}

/** Requests or renews one reservation. A failure names the stage that failed. */
export async function requestReservation(
  node: PeerNode,
  relay: RelayAddresses,
  signal: AbortSignal,
): Promise<Result<{ readonly reservation: Reservation }, Stage, { readonly attempt: DialAttempt }>> {
  const { reservations } = node;
  const deadline = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const progress = createDialProgress();
  try {
    const connection = await openRelay(node, relay, {
      signal: anySignal(deadline, signal),
      onProgress: progress.onProgress,
    });
    progress.stage = 'reservation';
    await inTurn(reservations, async () => {
      signal.throwIfAborted();
      const held = reservations.getReservation(connection.remotePeer);
      // Otherwise the library compares the expiry with the clock of this machine and may send no request.
      if (held !== undefined) held.expire = 0n;
      await reservations.addRelay(connection.remotePeer, 'configured');
    });
    const reservation = reservations.getReservation(connection.remotePeer);
    if (connection.status !== 'open' || reservation === undefined)
      throw new Error('The relay closed the connection after it granted the reservation.');
    return { ok: true, reservation };
  } catch (error) {
    const attempt = explainFailure(
      relay[0] ?? '',
      progress,
      error,
      deadline.aborted ? REQUEST_TIMEOUT_MS : undefined,
    );
    return { ok: false, reason: attempt.stage, attempt };
  }
}

/** The last request of each node. */
const turns = new WeakMap<ReservationStore, Promise<void>>();

/** Runs one request of a node after the other: the library forgets those that wait in its queue, and never answers them. */
async function inTurn(store: ReservationStore, request: () => Promise<void>): Promise<void> {
  const turn = (turns.get(store) ?? Promise.resolve()).then(request);
  turns.set(
    store,
    turn.catch(() => {}),
  );
  await turn;
}

/** Resolves when the promise resolves, or after the pause if it is given. */
async function waitFor(promise: Promise<void>, pauseMs: number | undefined): Promise<void> {
  if (pauseMs === undefined) return promise;
  const pause = Promise.withResolvers<void>();
  const timer = setTimeout(pause.resolve, pauseMs);
  await Promise.race([promise, pause.promise]);
  clearTimeout(timer);
}
