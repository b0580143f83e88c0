// The network of the relay on js-libp2p: accepts connections and passes their streams to the handlers.
import { identify } from '@libp2p/identify';
import type {
  ComponentLogger,
  Connection,
  ConnectionGater,
  Libp2p,
  Logger as LibraryLogger,
  PeerId,
  Stream,
} from '@libp2p/interface';
import { createLibp2p } from 'libp2p';
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { maxHandshakeMs } from '../../private-network/handshake-limiter.ts';
import { createLibraryHandshakes, type LibraryHandshakes } from '../../private-network/library-handshakes.ts';
import { createListenFailures, type ListenFailures, startNode } from '../../private-network/listen.ts';
import { createTransportStack } from '../../private-network/transport-stack.ts';
import { dialable, served } from '../announce.ts';
import type { RelayConfig } from '../config.ts';
import { KEEPALIVE_DELAY_MS } from '../liveness-limits.ts';
import type { RelayNetwork, RelayNetworkOptions } from '../network.ts';
import { MAX_CONNECTION_UNSENT_BYTES, STREAMS_ABOVE_CIRCUITS } from '../network.ts';
import { createLibp2pConnections } from './connection.ts';
import { stopPruner } from './internals.ts';
import { Libp2pStream } from './stream.ts';

/** Maximum concurrent streams of identify on one connection. */
const MAX_SERVICE_STREAMS = 8;

/** Deadline of one exchange of identify, in milliseconds. */
const SERVICE_TIMEOUT_MS = 10_000;

/** Margin of the library's deadline for a handshake over the deadlines of its stages, in milliseconds. */
const UPGRADE_MARGIN_MS = 10_000;

/** A relay does not dial, but the library requires a number. */
const MAX_PARALLEL_DIALS = 1;

/**
 * Replaces the library's logger, which creates about eight functions for each connection. They use a fifth of the
 * memory of an idle connection, and their messages are discarded unless DEBUG is set.
 */
const silent: LibraryLogger = Object.assign(() => {}, {
  enabled: false,
  trace: () => {},
  error: () => {},
  newScope: () => silent,
});
const SILENT_LOGGER: ComponentLogger = { forComponent: () => silent };

export function createLibp2pNetwork(options: RelayNetworkOptions): RelayNetwork {
  const { config, limiter, clock, log } = options;
  const handshakes = createLibraryHandshakes(options.handshakes);
  const failures = createListenFailures();
  const connections = createLibp2pConnections(config.limits.circuitBufferBytes, clock);
  let node: Libp2p | undefined;

  // The library calls these with the connection of the lower layer.
  const gater: ConnectionGater = {
    denyInboundConnection(transport) {
      if (!limiter.accept(connections.add(transport))) return true;
      handshakes.begin(transport);
      return false;
    },
    denyInboundUpgradedConnection(peerId, transport) {
      const connection = connections.of(transport);
      if (connection?.isOpen !== true) return true;
      handshakes.finish(transport);
      connection.authenticate(peerId, clock);
      return !limiter.open(connection);
    },
  };

  return {
    addresses: () => node?.getMultiaddrs() ?? [],
    withoutIpv6: failures.withoutIpv6,
    async start() {
      node = await createNode({ ...options, failures, gater, library: handshakes });
      node.addEventListener('connection:open', ({ detail }) => void connections.ofOpen(detail));
      node.addEventListener('peer:disconnect', ({ detail: peer }) => {
        if (node !== undefined) forget(node, peer, log);
      });
      for (const { protocol, maxInboundStreams, handle } of options.handlers)
        await node.handle(
          protocol,
          async (stream: Stream, connection: Connection) =>
            handle(new Libp2pStream(connections.ofOpen(connection), stream)),
          { maxInboundStreams, maxOutboundStreams: 1, runOnLimitedConnection: true },
        );
      await startNode(node, { failures, listen: config.listen.map(String), setting: 'RELAY_LISTEN' });
      stopPruner(node);
    },
    async stop() {
      await node?.stop();
    },
  };
}

// The relay does not use what the library stores about disconnected peers, and the store would grow with every new
// peer.
function forget(node: Libp2p, peer: PeerId, log: Logger): void {
  node.peerStore.delete(peer).catch((error: unknown) => {
    log.debug({ peer: peer.toString(), error: describeError(error) }, 'forget failed');
  });
}

interface NodeOptions extends Pick<RelayNetworkOptions, 'config' | 'cipher'> {
  readonly library: LibraryHandshakes;
  readonly failures: ListenFailures;
  readonly gater: ConnectionGater;
}

async function createNode({ config, cipher, library, failures, gater }: NodeOptions): Promise<Libp2p> {
  return createLibp2p({
    ...createTransportStack({
      identity: config.identity,
      key: config.swarmKey,
      cipher,
      onOutcome: library.authenticated,
      admit: library.admit,
      onListenFailure: failures.onListenFailure,
      limits: transportLimits(config),
    }),
    start: false,
    ...(config.logLevel === 'trace' ? {} : { logger: SILENT_LOGGER }),
    connectionGater: gater,
    addresses: {
      listen: config.listen.map(String),
      announce: config.announce.map(String),
      announceFilter: (found) =>
        config.announce.length > 0
          ? served({ listen: config.listen, announce: found }, failures.withoutIpv6())
          : dialable(found, config.isLocal),
    },
    services: {
      // The relay responds to identify and does not need the information about its peers.
      identify: identify({
        maxInboundStreams: MAX_SERVICE_STREAMS,
        maxOutboundStreams: MAX_SERVICE_STREAMS,
        timeout: SERVICE_TIMEOUT_MS,
        runOnConnectionOpen: false,
      }),
    },
  });
}

function transportLimits({ limits }: Pick<RelayConfig, 'limits'>) {
  return {
    isGated: true,
    maxConnections: limits.connections,
    maxPendingInbound: limits.pendingConnections,
    handshakeMs: limits.handshakeSeconds * 1000,
    // The handshake limiter ends each stage of a handshake earlier.
    inboundUpgradeMs: maxHandshakeMs(limits) + UPGRADE_MARGIN_MS,
    maxStreamsPerConnection: limits.circuitsPerPeer + limits.circuitsPerTarget + STREAMS_ABOVE_CIRCUITS,
    maxStreamBufferBytes: limits.circuitBufferBytes,
    maxUnsentBytes: MAX_CONNECTION_UNSENT_BYTES + limits.circuitBufferBytes,
    maxParallelDials: MAX_PARALLEL_DIALS,
    keepAliveDelayMs: KEEPALIVE_DELAY_MS,
    // Reservations last as long as their connections, and TCP keepalive finds the dead ones.
    idleTimeoutMs: 0,
  };
}
