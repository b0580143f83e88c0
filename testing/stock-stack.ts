// The libp2p options of reference devices and reference relays: the packages of js-libp2p as they are published, and the
// protector of `stock-psk.ts`. Nothing of our own layers is in them, because these are tested against them. Every limit
// is so high that a test reaches only those of its subject; all are public options.
import type { PrivateKey, StreamMuxerFactory } from '@libp2p/interface';
import { mplex } from '@libp2p/mplex';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import type { Libp2pOptions } from 'libp2p';
import { createStockProtector, type StockKey } from './stock-psk.ts';

const MIB = 1024 * 1024;

/** Any number of connections, streams, dials and messages. */
const NOT_LIMITED = 1_000_000;

/** Maximum addresses of one peer that are dialed. */
const MAX_ADDRESSES = 64;

/** Maximum connections that wait to be accepted. */
const LISTEN_BACKLOG = 4_096;

/**
 * Maximum bytes that a stream holds until they are read, above which it is reset; mplex has no other limit. With yamux the
 * other side sends at most a window of 16 MiB.
 */
const READ_BUFFER_BYTES = 256 * MIB;

/** The library's own pings of yamux would keep connections from being quiet. */
const YAMUX_PING_MS = 60 * 60 * 1000;

/** Deadline of a close to send the queued bytes, in milliseconds. */
const CLOSE_MS = 1_000;

export interface StockTimings {
  /** Deadline for the setup of a connection or a stream, in milliseconds. Default 10,000. */
  readonly handshakeMs?: number;
  /** Idle time before the first TCP keepalive probe, in milliseconds. Default 15,000. */
  readonly keepAliveDelayMs?: number;
  /** Idle timeout of a connection whose peer is alive, in milliseconds; 0 means none. Default two hours. */
  readonly idleTimeoutMs?: number;
}

export interface StockStackOptions extends StockTimings {
  readonly identity: PrivateKey;
  readonly key: StockKey;
  /** Default: yamux, then mplex. */
  readonly muxers?: StockMuxers;
}

export type StockMuxers = ReadonlyArray<() => StreamMuxerFactory>;

// Separate variables, because the types of mplex lack the options that it passes to its base class.
const streams = { maxReadBufferLength: READ_BUFFER_BYTES };
const mplexOptions = {
  maxEarlyStreams: NOT_LIMITED,
  streamOptions: streams,
  maxUnprocessedMessageQueueSize: 64 * MIB,
  // Messages per second to streams that are closed.
  disconnectThreshold: NOT_LIMITED,
};

export const STOCK_YAMUX: () => StreamMuxerFactory = yamux({
  maxInboundStreams: NOT_LIMITED,
  maxOutboundStreams: NOT_LIMITED,
  maxEarlyStreams: NOT_LIMITED,
  streamOptions: streams,
  keepAliveInterval: YAMUX_PING_MS,
});

export const STOCK_MPLEX: () => StreamMuxerFactory = mplex(mplexOptions);

/** The caller adds addresses, services and the circuit transport. */
export function createStockStack({
  identity,
  key,
  muxers = [STOCK_YAMUX, STOCK_MPLEX],
  handshakeMs = 10_000,
  keepAliveDelayMs = 15_000,
  idleTimeoutMs = 2 * 60 * 60 * 1000,
}: StockStackOptions) {
  const socket = { keepAlive: true, keepAliveInitialDelay: keepAliveDelayMs, noDelay: true };
  return {
    privateKey: identity,
    connectionProtector: createStockProtector(key),
    connectionEncrypters: [noise()],
    streamMuxers: [...muxers],
    // Its pings wait behind bulk data on the same connection, time out, and close a connection that is only busy.
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: NOT_LIMITED,
      maxIncomingPendingConnections: NOT_LIMITED,
      inboundConnectionThreshold: NOT_LIMITED,
      maxParallelDials: NOT_LIMITED,
      maxDialQueueLength: NOT_LIMITED,
      maxPeerAddrsToDial: MAX_ADDRESSES,
      dialTimeout: handshakeMs,
      addressDialTimeout: handshakeMs,
      connectionCloseTimeout: CLOSE_MS,
      inboundUpgradeTimeout: handshakeMs,
      outboundStreamProtocolNegotiationTimeout: handshakeMs,
      inboundStreamProtocolNegotiationTimeout: handshakeMs,
      // Devices and tests connect again themselves.
      reconnectRetries: 0,
    },
    transports: [
      tcp({
        inboundSocketInactivityTimeout: idleTimeoutMs,
        outboundSocketInactivityTimeout: idleTimeoutMs,
        backlog: LISTEN_BACKLOG,
        dialOpts: socket,
        listenOpts: socket,
      }),
    ],
  } satisfies Libp2pOptions;
}
