// The peer's libp2p node: the shared transport stack plus circuits through relays, identify and ping. Owns what the
// library's circuit transport needs to survive a relay that goes away and comes back.
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { identify } from '@libp2p/identify';
import type { Libp2p, MultiaddrConnection, PeerId, PrivateKey, Upgrader } from '@libp2p/interface';
import { ping, type Ping } from '@libp2p/ping';
import { createLibp2p } from 'libp2p';
import { loadCipher } from '../../private-network/cipher.ts';
import type { SwarmKey } from '../../private-network/key.ts';
import { swarmStack } from '../../private-network/stack.ts';
import { PROTECT_EVENT } from './dial-report.ts';

/** A device talks to a few relays and some dozen other devices. */
const LIMITS = {
  maxConnections: 128,
  maxPendingInbound: 32,
  maxStreamsPerConnection: 64,
  maxParallelDials: 16,
};

/** How long the library may take to make one reservation on a connection that is open, in milliseconds. */
const RESERVATION_TIMEOUT_MS = 5_000;

/** The circuit-relay-v2 protocol by which a relay offers a circuit. */
const STOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/stop';

export type PeerLibp2p = Libp2p<{ ping: Ping }>;

/** A reservation that a relay granted. */
export interface Reserved {
  /** Addresses under which the relay says it can be reached, as bytes of multiaddrs. */
  readonly addrs: Uint8Array[];
  /** When it ends, in unix seconds. The library asks again only for one that ends within ten minutes. */
  expire: bigint;
}

/** What is used of the library's reservation store, whose class is not exported. */
export interface ReservationStore extends EventTarget {
  addRelay(relay: PeerId, type: 'configured'): Promise<unknown>;
  getReservation(relay: PeerId): Reserved | undefined;
}

export interface PeerNode {
  readonly libp2p: PeerLibp2p;
  start(): Promise<void>;
  readonly reservations: ReservationStore;
  /** Which cipher the private network runs on, for the log. */
  readonly cipher: { readonly name: string; readonly reason?: string };
}

export interface PeerNodeOptions {
  readonly identity: PrivateKey;
  readonly swarmKey: SwarmKey;
  /** Multiaddrs to listen on, perhaps none; absent for a peer that only dials, and takes no circuits either. */
  readonly listen: readonly string[] | undefined;
  readonly version: string;
}

/** Makes the node without starting it. */
export async function createPeerNode({
  identity,
  swarmKey,
  listen,
  version,
}: PeerNodeOptions): Promise<PeerNode> {
  const cipher = loadCipher();
  const stack = swarmStack({ identity, key: swarmKey, cipher, limits: LIMITS });
  const createCircuits = circuitRelayTransport({ reservationCompletionTimeout: RESERVATION_TIMEOUT_MS });
  const store = Promise.withResolvers<ReservationStore>();
  const libp2p = await createLibp2p({
    ...stack,
    addresses: { listen: [...(listen ?? [])] },
    transports: [
      ...stack.transports,
      (components) => {
        tellOfProtection(components.upgrader);
        const circuits = createCircuits(components);
        store.resolve(reservationStoreOf(circuits));
        return circuits;
      },
    ],
    services: { identify: identify(), ping: ping() },
    nodeInfo: { userAgent: `rustory-peer/${version}` },
    start: false,
  });
  return {
    libp2p,
    async start() {
      await libp2p.start();
      // A relay offers circuits to the newest connection of a peer id first: a `sync` must not take those that are
      // meant for the `serve` of the same device. Without the protocol it turns to the next connection.
      if (listen === undefined) await libp2p.unhandle(STOP_PROTOCOL);
    },
    reservations: await store.promise,
    cipher,
  };
}

/** Has every outbound connection tell, among its progress, when it is open and the swarm key's turn comes. */
function tellOfProtection(upgrader: Upgrader): void {
  const upgrade = upgrader.upgradeOutbound.bind(upgrader);
  upgrader.upgradeOutbound = async (
    connection: MultiaddrConnection,
    options: Parameters<typeof upgrade>[1],
  ) => {
    options.onProgress?.({ type: PROTECT_EVENT, detail: undefined });
    return upgrade(connection, options);
  };
}

/**
 * The store that the library's circuit transport keeps. It bans a relay for the life of the process after one
 * failed dial or one answer without the protocol, which is what a relay that restarts gives; a filter that bans
 * nobody takes the place of its own.
 */
function reservationStoreOf(circuits: object): ReservationStore {
  if (!('reservationStore' in circuits))
    throw new Error('this version of the circuit transport keeps no reservations');
  const store = circuits.reservationStore as ReservationStore;
  return Object.assign(store, { relayFilter: { add: () => {}, has: () => false } });
}
