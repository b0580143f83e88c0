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
  const isReal = config.RELAY_ADDRESSES_ARE_REAL;
  const ledger = createLedger({
    maxReservations: config.RELAY_MAX_RESERVATIONS,
    maxReservationsPerAddress: isReal ? config.RELAY_MAX_RESERVATIONS_PER_ADDRESS : undefined,
    maxCircuits: config.RELAY_MAX_CIRCUITS,
    maxCircuitsPerPeer: config.RELAY_MAX_CIRCUITS_PER_PEER,
    reservationsPerMinute: config.RELAY_RESERVATIONS_PER_MINUTE,
    circuitsPerMinute: config.RELAY_CIRCUITS_PER_MINUTE,
    bytesPerSecondPerPeer: orNone(config.RELAY_PEER_BYTES_PER_SECOND),
    reservationSeconds: RESERVATION_SECONDS,
  });
  const buffers = createBuffers(config.RELAY_BUFFER_BYTES, config.RELAY_CIRCUIT_BUFFER_BYTES);
  const circuitRate = orNone(config.RELAY_CIRCUIT_BYTES_PER_SECOND);
  const connections = (): Connection[] => node?.getConnections() ?? [];
  const connectionsTo = (peer: PeerId): Connection[] => node?.getConnections(peer) ?? [];
  const addresses = (): Multiaddr[] => node?.getMultiaddrs() ?? [];
  const hop = createHop({
    identity: config.identity,
    ledger,
    limit: { seconds: config.RELAY_CIRCUIT_SECONDS, bytes: config.RELAY_CIRCUIT_BYTES },
    maxCircuitsPerPeer: config.RELAY_MAX_CIRCUITS_PER_PEER,
    reservationSeconds: RESERVATION_SECONDS,
    idleSeconds: config.RELAY_CIRCUIT_IDLE_SECONDS,
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
  const handshakes = createHandshakes(config.RELAY_MAX_PENDING_CONNECTIONS, metrics);
  const gate = createGate({
    maxConnections: config.RELAY_MAX_CONNECTIONS,
    maxConnectionsPerPeer: config.RELAY_MAX_CONNECTIONS_PER_PEER,
    maxConnectionsPerAddress: isReal ? config.RELAY_MAX_CONNECTIONS_PER_ADDRESS : undefined,
    idleSeconds: config.RELAY_IDLE_SECONDS,
    stuckSeconds: config.RELAY_CIRCUIT_IDLE_SECONDS,
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
        maxInboundStreams: config.RELAY_MAX_CIRCUITS_PER_PEER + STREAMS_ABOVE_CIRCUITS,
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
      const shortest = Math.min(config.RELAY_IDLE_SECONDS, config.RELAY_CIRCUIT_IDLE_SECONDS) * 1000;
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

/** 0 stands for no limit in the environment. */
function orNone(rate: number): number | undefined {
  return rate === 0 ? undefined : rate;
}

interface Entrance extends Pick<ProtectorOptions, 'cipher' | 'onOutcome'> {
  readonly gater: ConnectionGater;
}

async function createNode(config: RelayConfig, { gater, ...protection }: Entrance): Promise<Libp2p> {
  const small = {
    maxInboundStreams: MAX_SMALL_STREAMS,
    maxOutboundStreams: MAX_SMALL_STREAMS,
    timeout: SMALL_STREAM_MS,
  };
  return createLibp2p({
    ...swarmStack({
      identity: config.identity,
      key: config.RELAY_SWARM_KEY_FILE,
      ...protection,
      limits: {
        isGated: true,
        maxConnections: config.RELAY_MAX_CONNECTIONS,
        maxPendingInbound: config.RELAY_MAX_PENDING_CONNECTIONS,
        handshakeMs: config.RELAY_HANDSHAKE_SECONDS * 1000,
        maxStreamsPerConnection: 2 * config.RELAY_MAX_CIRCUITS_PER_PEER + STREAMS_ABOVE_CIRCUITS,
        maxStreamBufferBytes: config.RELAY_CIRCUIT_BUFFER_BYTES,
        maxUnsentBytes: MAX_UNSENT_BYTES + config.RELAY_CIRCUIT_BUFFER_BYTES,
        maxParallelDials: MAX_PARALLEL_DIALS,
      },
    }),
    start: false,
    ...(config.LOG_LEVEL === 'trace' ? {} : { logger: SILENT_LOGGER }),
    connectionGater: gater,
    addresses: {
      listen: config.RELAY_LISTEN.map(String),
      announce: config.RELAY_ANNOUNCE.map(String),
      announceFilter: (found) =>
        config.RELAY_ANNOUNCE.length > 0 ? found : dialable(found, config.RELAY_LOCAL),
    },
    services: {
      // A relay answers identify and does not ask: it has no use for the answer.
      identify: identify({ ...small, runOnConnectionOpen: false }),
      ping: ping(small),
    },
  });
}
