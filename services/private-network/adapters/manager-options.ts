// The options of libp2p's connection manager: all its limits, because the defaults (300 connections, 5 per second from one
// address) are unsuitable.
import type { Libp2pOptions } from 'libp2p';

/**
 * Deadline for the setup of a connection or a stream, in milliseconds: several round trips on a slow network.
 */
export const HANDSHAKE_MS = 10_000;

/** Deadline for a connection that is being closed to send its queued bytes, in milliseconds. */
const CLOSE_MS = 1_000;

/** Maximum new connections per second from one address. Unlimited, because peers behind a load balancer share one. */
const CONNECTIONS_PER_ADDRESS_PER_SECOND = 1_000_000;

/** Maximum addresses dialed for one peer. Further addresses are not tried. */
const MAX_ADDRESSES_TO_DIAL = 32;

/** Limits of the connections of a node. */
export interface ConnectionLimits {
  /** Maximum open connections. Further inbound ones are refused. */
  readonly maxConnections: number;
  /** Maximum inbound connections with an unfinished handshake. Further ones are refused. */
  readonly maxPendingInbound: number;
  /** Maximum concurrent dials. Further ones wait. */
  readonly maxParallelDials: number;
}

export function createManagerOptions(limits: ConnectionLimits) {
  return {
    // The pruner must never find too many connections: it would close idle ones, which hold reservations.
    maxConnections: limits.maxConnections + limits.maxPendingInbound,
    maxIncomingPendingConnections: limits.maxPendingInbound,
    inboundConnectionThreshold: CONNECTIONS_PER_ADDRESS_PER_SECOND,
    maxParallelDials: limits.maxParallelDials,
    maxDialQueueLength: limits.maxParallelDials * 8,
    maxPeerAddrsToDial: MAX_ADDRESSES_TO_DIAL,
    dialTimeout: HANDSHAKE_MS,
    addressDialTimeout: HANDSHAKE_MS,
    connectionCloseTimeout: CLOSE_MS,
    inboundUpgradeTimeout: HANDSHAKE_MS,
    outboundStreamProtocolNegotiationTimeout: HANDSHAKE_MS,
    inboundStreamProtocolNegotiationTimeout: HANDSHAKE_MS,
    // The peer reconnects to its relays itself. Attempts by the library would interfere.
    reconnectRetries: 0,
  } satisfies Libp2pOptions['connectionManager'];
}
