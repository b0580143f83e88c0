// The relay as a part of the service: a libp2p node that speaks hop, and the ledger that follows its peers.
import { identify } from '@libp2p/identify';
import type {
  ComponentLogger,
  Connection,
  ConnectionGater,
  Libp2p,
  Logger as LibraryLogger,
  PeerId,
} from '@libp2p/interface';
import { ping } from '@libp2p/ping';
import type { Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { ConfigError, describeError } from '../shared/errors.ts';
import type { Component } from '../shared/lifecycle.ts';
import type { Logger } from '../shared/log.ts';
import type { Cipher } from '../private-network/cipher.ts';
import type { ProtectorOptions } from '../private-network/psk.ts';
import { swarmStack } from '../private-network/stack.ts';
import { dialable } from './announce.ts';
import { createBucket } from './token-bucket.ts';
import { createBuffers } from './buffers.ts';
import type { RelayConfig } from './config.ts';
import { createGate } from './connection-limiter.ts';
import { createHandshakes } from './handshakes.ts';
import { createHop } from './hop.ts';
import { createLedger } from './admission.ts';
import { HOP_PROTOCOL } from './messages.ts';
import type { RelayMetrics } from './metrics.ts';

/** How long a reservation holds, in seconds; clients refresh well before. What go- and rust-libp2p use. */
export const RESERVATION_SECONDS = 3600;

/** How often connections are looked at that may be idle or stuck, in milliseconds; more often where less is allowed. */
const USELESS_CHECK_MS = 5_000;

/** Requests and identify streams of one peer, above its circuits. */
const STREAMS_ABOVE_CIRCUITS = 64;

/** Protocols a relay may be asked by identify and ping at the same time, on one connection. */
const MAX_SMALL_STREAMS = 8;

/** How long an answer to identify or ping may take, in milliseconds. */
const SMALL_STREAM_MS = 10_000;

/** What answers to a peer's small frames may wait on its connection, in bytes, above one buffer of a circuit. */
const MAX_UNSENT_BYTES = 1024 * 1024;

/** A relay does not dial; the library wants a number. */
const MAX_PARALLEL_DIALS = 1;

/**
 * What the library logs to. Its own logger makes some eight functions with names of their own for each connection,
 * which is a fifth of what an idle connection takes, and writes nothing unless DEBUG names them.
 */
const silent: LibraryLogger = Object.assign(() => {}, {
  enabled: false,
  trace: () => {},
  error: () => {},
  newScope: () => silent,
});
const SILENT_LOGGER: ComponentLogger = { forComponent: () => silent };

export interface RelayNodeDeps {
  readonly cipher: Cipher;
  readonly metrics: RelayMetrics;
  readonly log: Logger;
}

export interface RelayNode extends Component {
  /** What reservations hand out; known once started. */
  addresses(): Multiaddr[];
}

export function createRelayNode(config: RelayConfig, { cipher, metrics, log }: RelayNodeDeps): RelayNode {
  const { limits } = config;
  const ledger = createLedger({
    maxReservations: limits.reservations,
    maxReservationsPerAddress: limits.reservationsPerAddress,
    maxCircuits: limits.circuits,
    maxCircuitsPerPeer: limits.circuitsPerPeer,
    reservationsPerMinute: limits.reservationsPerMinute,
    circuitsPerMinute: limits.circuitsPerMinute,
    bytesPerSecondPerPeer: limits.peerBytesPerSecond,
    reservationSeconds: RESERVATION_SECONDS,
  });
  const buffers = createBuffers(limits.bufferedBytes, limits.circuitBufferBytes);
  const circuitRate = limits.circuitBytesPerSecond;
  const connections = (): Connection[] => node?.getConnections() ?? [];
  const connectionsTo = (peer: PeerId): Connection[] => node?.getConnections(peer) ?? [];
  const addresses = (): Multiaddr[] => node?.getMultiaddrs() ?? [];
  const hop = createHop({
    identity: config.identity,
    ledger,
    limit: { seconds: limits.circuitSeconds, bytes: limits.circuitBytes },
    maxCircuitsPerPeer: limits.circuitsPerPeer,
    reservationSeconds: RESERVATION_SECONDS,
    idleSeconds: limits.circuitIdleSeconds,
    buffers,
    metrics,
    log,
    addresses,
    connectionsTo,
    createCircuitRate: () =>
      circuitRate === undefined
        ? undefined
        : createBucket({ perSecond: circuitRate, burst: circuitRate }, () => performance.now()),
  });
  const handshakes = createHandshakes(limits.pendingConnections, metrics);
  const gate = createGate({
    maxConnections: limits.connections,
    maxConnectionsPerPeer: limits.connectionsPerPeer,
    maxConnectionsPerAddress: limits.connectionsPerAddress,
    idleSeconds: limits.idleSeconds,
    stuckSeconds: limits.circuitIdleSeconds,
    handshakes,
    metrics,
    connections,
    isReserved: ledger.isReserved,
  });
  let node: Libp2p | undefined;
  let uselessTimer: NodeJS.Timeout | undefined;

  return {
    name: 'relay node',
    addresses,
    async start() {
      node = await createNode(config, { gater: gate.gater, cipher, onOutcome: handshakes.protected });
      node.addEventListener('peer:disconnect', ({ detail: peer }) => {
        ledger.release(peer.toString());
        forget(peer);
      });
      await node.handle(HOP_PROTOCOL, hop.handle, {
        maxInboundStreams: limits.circuitsPerPeer + STREAMS_ABOVE_CIRCUITS,
        maxOutboundStreams: 1,
        runOnLimitedConnection: true,
      });
      metrics.observe({
        reservations: ledger.reservations,
        circuits: ledger.circuits,
        muxers: () => connections().map(({ multiplexer }) => multiplexer ?? ''),
        pending: handshakes.pending,
        bufferedBytes: buffers.bytes,
      });
      const shortest = Math.min(limits.idleSeconds, limits.circuitIdleSeconds) * 1000;
      uselessTimer = setInterval(() => void gate.closeUseless(), Math.min(USELESS_CHECK_MS, shortest / 4));
      await node.start();
      if (addresses().length === 0)
        throw new ConfigError([
          'RELAY_ANNOUNCE is not set and no network interface has an address that another device could dial: set it to the address of this relay, such as /dns4/relay.example.org/tcp/4001, or set RELAY_LOCAL=true when all devices are on this machine',
        ]);
      log.info(
        {
          peerId: node.peerId.toString(),
          addresses: addresses().map(String),
          cipher: cipher.name,
          reason: cipher.reason,
        },
        'listening',
      );
    },
    async drain(signal) {
      ledger.drain();
      await hop.settled(signal);
    },
    async stop() {
      clearInterval(uselessTimer);
      hop.stop();
      await node?.stop();
    },
  };

  // What the library keeps of a peer that is gone is of no use to a relay, and would grow with every new peer.
  function forget(peer: PeerId): void {
    node?.peerStore.delete(peer).catch((error: unknown) => {
      log.debug({ peer: peer.toString(), error: describeError(error) }, 'forget failed');
    });
  }
}

interface Entrance extends Pick<ProtectorOptions, 'cipher' | 'onOutcome'> {
  readonly gater: ConnectionGater;
}

async function createNode(config: RelayConfig, { gater, ...protection }: Entrance): Promise<Libp2p> {
  const { limits } = config;
  const small = {
    maxInboundStreams: MAX_SMALL_STREAMS,
    maxOutboundStreams: MAX_SMALL_STREAMS,
    timeout: SMALL_STREAM_MS,
  };
  return createLibp2p({
    ...swarmStack({
      identity: config.identity,
      key: config.swarmKey,
      ...protection,
      limits: {
        isGated: true,
        maxConnections: limits.connections,
        maxPendingInbound: limits.pendingConnections,
        handshakeMs: limits.handshakeSeconds * 1000,
        maxStreamsPerConnection: 2 * limits.circuitsPerPeer + STREAMS_ABOVE_CIRCUITS,
        maxStreamBufferBytes: limits.circuitBufferBytes,
        maxUnsentBytes: MAX_UNSENT_BYTES + limits.circuitBufferBytes,
        maxParallelDials: MAX_PARALLEL_DIALS,
      },
    }),
    start: false,
    ...(config.logLevel === 'trace' ? {} : { logger: SILENT_LOGGER }),
    connectionGater: gater,
    addresses: {
      listen: config.listen.map(String),
      announce: config.announce.map(String),
      announceFilter: (found) => (config.announce.length > 0 ? found : dialable(found, config.isLocal)),
    },
    services: {
      // A relay answers identify and does not ask: it has no use for the answer.
      identify: identify({ ...small, runOnConnectionOpen: false }),
      ping: ping(small),
    },
  });
}
