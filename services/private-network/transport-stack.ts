// The transport stack of relay and peer: TCP, the swarm key, Noise, and yamux or mplex. It sets every limit of libp2p,
// because the defaults (300 connections, 5 per second from one address) are unsuitable for both programs.
import type { PrivateKey } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import type { Libp2pOptions } from 'libp2p';
import { type BufferLimits, createMuxers } from './muxers.ts';
import { loadNoiseCrypto } from './noise-crypto.ts';
import { createProtector, type ProtectorOptions } from './psk.ts';
import { createTcp, type TcpOptions } from './tcp.ts';

/**
 * Default idle time before the first TCP keepalive probe, in milliseconds. Node sets ten probes, one per second, so the kernel
 * detects a dead peer within about 25 seconds, also when the event loop is busy.
 */
export const KEEPALIVE_DELAY_MS = 15_000;

/** Default idle timeout of a connection whose peer is alive, in milliseconds. */
export const IDLE_TIMEOUT_MS = 2 * 60 * 60 * 1000;

/**
 * Default deadline for the setup of a connection or a stream, in milliseconds: several round trips on a slow network.
 */
export const HANDSHAKE_MS = 10_000;

/** Deadline for a connection that is being closed to send its queued bytes, in milliseconds. */
const CLOSE_MS = 1_000;

/** Maximum new connections per second from one address. Unlimited, because peers behind a load balancer share one. */
const CONNECTIONS_PER_ADDRESS_PER_SECOND = 1_000_000;

/** All addresses. libp2p does not count connections from addresses that are allowed explicitly. */
const ALL_ADDRESSES = ['/ip4/0.0.0.0/ipcidr/0', '/ip6/::/ipcidr/0'];

/** Maximum connections that wait to be accepted, for thousands of devices that reconnect within one second. */
const LISTEN_BACKLOG = 4096;

/** Maximum addresses dialed for one peer. Further addresses are not tried. */
const MAX_ADDRESSES_TO_DIAL = 32;

const noiseCrypto = loadNoiseCrypto();

/** Limits that differ between a relay and a peer. */
export interface TransportLimits extends BufferLimits {
  /** Maximum open connections. Further inbound ones are refused. */
  readonly maxConnections: number;
  /** Maximum inbound connections with an unfinished handshake. Further ones are refused. */
  readonly maxPendingInbound: number;
  /**
   * Whether the caller's connection gater limits inbound connections; then libp2p does not count them. Default false.
   */
  readonly isGated?: boolean;
  /** Deadline for the setup of a connection or a stream, in milliseconds. Default 10,000. */
  readonly handshakeMs?: number;
  /** Deadline for the whole handshake of an inbound connection, in milliseconds. Default: `handshakeMs`. */
  readonly inboundUpgradeMs?: number;
  /** Idle time before the first TCP keepalive probe, in milliseconds. Default 15,000. */
  readonly keepAliveDelayMs?: number;
  /** Idle timeout of a connection whose peer is alive, in milliseconds; 0 means none. Default two hours. */
  readonly idleTimeoutMs?: number;
  /** Maximum streams of one connection in each direction. Further ones are reset. */
  readonly maxStreamsPerConnection: number;
  /** Maximum concurrent dials. Further ones wait. */
  readonly maxParallelDials: number;
}

export interface TransportStackOptions extends ProtectorOptions, TcpOptions {
  readonly identity: PrivateKey;
  readonly limits: TransportLimits;
}

/**
 * The libp2p options that relay and peer have in common. The caller adds addresses, services and, for a peer, the
 * circuit transport.
 */
export function createTransportStack(options: TransportStackOptions) {
  const { identity, limits } = options;
  const handshakeMs = limits.handshakeMs ?? HANDSHAKE_MS;
  const socket = {
    keepAlive: true,
    keepAliveInitialDelay: limits.keepAliveDelayMs ?? KEEPALIVE_DELAY_MS,
    noDelay: true,
  };
  const idleTimeoutMs = limits.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
  return {
    privateKey: identity,
    // Half of the deadline, so that the error says that the nonce is missing. A caller with deadlines of its own for the
    // stages of a handshake ends it earlier.
    connectionProtector: createProtector({ nonceMs: limits.inboundUpgradeMs ?? handshakeMs / 2, ...options }),
    connectionEncrypters: [noise({ crypto: noiseCrypto })],
    streamMuxers: createMuxers(limits.maxStreamsPerConnection, limits),
    // Bulk data on the same connection delays a ping, and a late response would close a connection that is only busy.
    connectionMonitor: { enabled: false },
    connectionManager: createManagerOptions(limits),
    transports: [
      createTcp(
        {
          inboundSocketInactivityTimeout: idleTimeoutMs,
          outboundSocketInactivityTimeout: idleTimeoutMs,
          backlog: LISTEN_BACKLOG,
          dialOpts: socket,
          listenOpts: socket,
        },
        options,
      ),
    ],
  } satisfies Libp2pOptions;
}

/** The options of the library's connection manager: all its limits. */
export function createManagerOptions(limits: TransportLimits) {
  const handshakeMs = limits.handshakeMs ?? HANDSHAKE_MS;
  return {
    // The pruner must never find too many connections: it would close idle ones, which hold reservations.
    maxConnections: limits.maxConnections + limits.maxPendingInbound,
    maxIncomingPendingConnections: limits.maxPendingInbound,
    // This also prevents the library from copying the list of all connections for each new one.
    allow: limits.isGated === true ? ALL_ADDRESSES : [],
    inboundConnectionThreshold: CONNECTIONS_PER_ADDRESS_PER_SECOND,
    maxParallelDials: limits.maxParallelDials,
    maxDialQueueLength: limits.maxParallelDials * 8,
    maxPeerAddrsToDial: MAX_ADDRESSES_TO_DIAL,
    dialTimeout: handshakeMs,
    addressDialTimeout: handshakeMs,
    connectionCloseTimeout: CLOSE_MS,
    inboundUpgradeTimeout: limits.inboundUpgradeMs ?? handshakeMs,
    outboundStreamProtocolNegotiationTimeout: handshakeMs,
    inboundStreamProtocolNegotiationTimeout: handshakeMs,
    // The peer reconnects to its relays itself. Attempts by the library would interfere.
    reconnectRetries: 0,
  } satisfies Libp2pOptions['connectionManager'];
}
