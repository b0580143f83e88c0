// The transport stack that relay and peer share: TCP, the swarm key, Noise, yamux or mplex, and every limit of
// libp2p set on purpose, because its defaults (300 connections, 5 a second from one address) suit neither.
import type { PrivateKey } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import type { Libp2pOptions } from 'libp2p';
import { type BufferLimits, createMuxers } from './muxers.ts';
import { createProtector, type ProtectorOptions } from './psk.ts';

/**
 * Silence after which the kernel asks whether the other side is still there, in milliseconds. Node lets ten probes
 * follow, a second apart, so a dead peer is found within about 25 seconds, however busy the event loop is.
 */
const KEEPALIVE_DELAY_MS = 15_000;

/** Silence after which a connection is closed although its peer is alive, in milliseconds. */
const INACTIVITY_MS = 2 * 60 * 60 * 1000;

/** How long setting up a connection or a stream may take unless told otherwise, in milliseconds: several round trips on a bad line. */
const HANDSHAKE_MS = 10_000;

/** How long a connection that is closed may take to send what it still has, in milliseconds. */
const CLOSE_MS = 1_000;

/** New connections per second from one address. Behind a load balancer all peers share one, so it is no limit. */
const CONNECTIONS_PER_ADDRESS_PER_SECOND = 1_000_000;

/** Every address there is: connections from these are counted by our own gater, and none by the library. */
const EVERYBODY = ['/ip4/0.0.0.0/ipcidr/0', '/ip6/::/ipcidr/0'];

/** Connections that the kernel has accepted and we have not: a second of thousands of devices that come back at once. */
const LISTEN_BACKLOG = 4096;

/** Addresses that may be tried for one peer. */
const MAX_ADDRESSES_TO_DIAL = 32;

/** What differs between a relay and a peer. */
export interface StackLimits extends BufferLimits {
  /** Connections at the same time. */
  readonly maxConnections: number;
  /** Inbound connections that are still in their handshake. */
  readonly maxPendingInbound: number;
  /** Whether the caller's gater bounds inbound connections, and the library is to count none. */
  readonly isGated?: boolean;
  /** How long setting up a connection or a stream may take, in milliseconds; 10 seconds by default. */
  readonly handshakeMs?: number;
  /** Streams on one connection, in each direction. */
  readonly maxStreamsPerConnection: number;
  /** Dials at the same time. */
  readonly maxParallelDials: number;
}

export interface StackOptions extends ProtectorOptions {
  readonly identity: PrivateKey;
  readonly limits: StackLimits;
}

/**
 * The part of libp2p's options that relay and peer have in common. The caller adds addresses, services and, for a
 * peer, the circuit transport.
 */
export function swarmStack(options: StackOptions) {
  const { identity, limits } = options;
  const handshakeMs = limits.handshakeMs ?? HANDSHAKE_MS;
  const socket = { keepAlive: true, keepAliveInitialDelay: KEEPALIVE_DELAY_MS, noDelay: true };
  return {
    privateKey: identity,
    connectionProtector: createProtector(options),
    connectionEncrypters: [noise()],
    streamMuxers: createMuxers(limits.maxStreamsPerConnection, limits),
    // A ping would wait behind the bulk data of its own connection, be late, and end a connection that is busy.
    connectionMonitor: { enabled: false },
    connectionManager: {
      // The pruner must never find an excess: it would close idle connections, which hold the reservations.
      maxConnections: limits.maxConnections + limits.maxPendingInbound,
      maxIncomingPendingConnections: limits.maxPendingInbound,
      // The library would also copy the list of all connections for each new one.
      allow: limits.isGated === true ? EVERYBODY : [],
      inboundConnectionThreshold: CONNECTIONS_PER_ADDRESS_PER_SECOND,
      maxParallelDials: limits.maxParallelDials,
      maxDialQueueLength: limits.maxParallelDials * 8,
      maxPeerAddrsToDial: MAX_ADDRESSES_TO_DIAL,
      dialTimeout: handshakeMs,
      addressDialTimeout: handshakeMs,
      connectionCloseTimeout: CLOSE_MS,
      inboundUpgradeTimeout: handshakeMs,
      outboundStreamProtocolNegotiationTimeout: handshakeMs,
      inboundStreamProtocolNegotiationTimeout: handshakeMs,
      // Who must stay connected reconnects by itself; the library's own attempts would only get in the way.
      reconnectRetries: 0,
    },
    transports: [
      tcp({
        inboundSocketInactivityTimeout: INACTIVITY_MS,
        outboundSocketInactivityTimeout: INACTIVITY_MS,
        backlog: LISTEN_BACKLOG,
        dialOpts: socket,
        listenOpts: socket,
      }),
    ],
  } satisfies Libp2pOptions;
}
