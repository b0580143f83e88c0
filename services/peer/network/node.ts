// The libp2p node of the peer: the shared transport stack, circuits through relays, identify and ping.
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { identify } from '@libp2p/identify';
import type { Connection, Libp2p, PrivateKey } from '@libp2p/interface';
import { ping, type Ping } from '@libp2p/ping';
import type { Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { loadCipher } from '../../wire/cipher.ts';
import type { SwarmKey } from '../../private-network/key.ts';
import { createListenFailures, startNode } from '../../private-network/listen.ts';
import { createWireStack } from '../../private-network/adapters/wire-stack.ts';
import { type AcceptTest, testAccept } from '../../wire/accept-test.ts';
import type { WireIo } from '../../wire/wire-io.ts';
import { type Lookup, systemLookup } from '../../shared/tcp-connect.ts';
import type { ProgressEvent } from './dial-report.ts';
import { createInboundAdmission, INBOUND_LIMITS, type InboundLimits } from './inbound-limits.ts';
import {
  createProtectionProgress,
  type ReservationStore,
  takeReservationStore,
} from './library-internals.ts';
import { createListedLookup } from './listed-names.ts';

/** `inbound-limits.ts` limits inbound connections, and the dialer those that this device opens. */
const NOT_LIMITED = 1_000_000;

/** Limits of a device, which connects to a few relays and some dozens of other devices. */
const LIMITS = {
  maxConnections: NOT_LIMITED,
  maxPendingInbound: NOT_LIMITED,
  maxParallelDials: 16,
};

/**
 * Streams of one connection in addition to one for each circuit: all circuits of a device may come over the connection to
 * one relay, and each is a stream of it.
 */
const STREAMS_ABOVE_CIRCUITS = 64;

/** Deadline of the library for one reservation on an open connection, in milliseconds. */
const RESERVATION_TIMEOUT_MS = 5_000;

/** The circuit-relay-v2 protocol with which a relay offers a circuit to this device. */
export const STOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/stop';

export type PeerLibp2p = Libp2p<{ ping: Ping }>;

export interface PeerNode {
  readonly libp2p: PeerLibp2p;
  start(): Promise<void>;
  /**
   * Opens a new connection. The library's own `dial` would merge concurrent calls for one peer, so that its addresses
   * could not be tried at the same time. A circuit needs an open connection to its relay.
   */
  dial(address: Multiaddr, options: DialOptions): Promise<Connection>;
  readonly reservations: ReservationStore;
  /** For the names of relays that only other devices list. */
  readonly listedLookup: Lookup;
  /** The listen addresses that are not served because this machine has no IPv6. */
  withoutIpv6(): string[];
  /** The cipher of the private network, for the log. `reason` is the reason if it is not the fastest one. */
  readonly cipher: { readonly name: string; readonly reason?: string };
  /** How accepted sockets are read, for the log; `undefined` for a peer that accepts none. */
  readonly accept: AcceptTest | undefined;
}

export interface DialOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (event: ProgressEvent) => void;
  /** Default: that of the node. */
  readonly lookup?: Lookup | undefined;
}

export interface PeerNodeOptions {
  /** The one of the process. All its nodes share it. */
  readonly io: WireIo;
  readonly identity: PrivateKey;
  readonly swarmKey: SwarmKey;
  /** Multiaddrs to listen on, possibly none; `undefined` for a peer that only dials and accepts no circuits. */
  readonly listen: readonly string[] | undefined;
  readonly version: string;
  /** Default: the resolver of the operating system. */
  readonly lookup?: Lookup | undefined;
  /** Default: those of a device. */
  readonly inboundLimits?: InboundLimits | undefined;
}

/** Creates the node without starting it. @throws LibraryMemberError */
export async function createPeerNode({
  io,
  identity,
  swarmKey,
  listen,
  version,
  lookup,
  inboundLimits = INBOUND_LIMITS,
}: PeerNodeOptions): Promise<PeerNode> {
  const cipher = loadCipher();
  const protection = createProtectionProgress();
  const failures = createListenFailures();
  const inbound = createInboundAdmission(inboundLimits, () => libp2p.getConnections());
  // A device that does not listen accepts no sockets.
  const accept = listen === undefined || listen.length === 0 ? undefined : await testAccept();
  const stack = createWireStack({
    io,
    acceptPath: accept?.path ?? 'data',
    identity,
    key: swarmKey,
    cipher,
    limits: { ...LIMITS, maxStreamsPerConnection: inboundLimits.connections + STREAMS_ABOVE_CIRCUITS },
    lookup,
    onListenFailure: failures.onListenFailure,
    onOutcome(outcome, connection) {
      protection.onOutcome(outcome, connection);
      inbound.onOutcome(outcome, connection);
    },
    admit: inbound.admit,
  });
  const createCircuits = circuitRelayTransport({
    reservationCompletionTimeout: RESERVATION_TIMEOUT_MS,
    maxInboundStopStreams: inboundLimits.connections + STREAMS_ABOVE_CIRCUITS,
  });
  const reservations = Promise.withResolvers<ReservationStore>();
  const dialer = Promise.withResolvers<PeerNode['dial']>();
  const libp2p: PeerLibp2p = await createLibp2p({
    ...stack,
    connectionGater: inbound.gater,
    addresses: { listen: [...(listen ?? [])] },
    transports: [
      ...stack.transports,
      (components) => {
        protection.watch(components.upgrader);
        const circuits = createCircuits(components);
        reservations.resolve(takeReservationStore(circuits));
        dialer.resolve(async (address, options) => components.transportManager.dial(address, options));
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
      await startNode(libp2p, { failures, listen: listen ?? [], setting: 'listen' });
      // A relay offers a circuit to the newest connection of a peer id first. A `sync` must not get the circuits for
      // the `serve` of the same device. Without the protocol the relay tries the next connection.
      if (listen === undefined) await libp2p.unhandle(STOP_PROTOCOL);
    },
    dial: await dialer.promise,
    reservations: await reservations.promise,
    listedLookup: createListedLookup(lookup ?? systemLookup),
    withoutIpv6: failures.withoutIpv6,
    cipher,
    accept,
  };
}
