// The relay as a component of the service: a libp2p node that serves the hop protocol, and the limits around it.
import { identify } from '@libp2p/identify';
import type {
  ComponentLogger,
  Connection,
  ConnectionGater,
  Libp2p,
  Logger as LibraryLogger,
  PeerId,
} from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { ConfigError, describeError } from '../shared/errors.ts';
import type { Component } from '../shared/lifecycle.ts';
import type { Logger } from '../shared/log.ts';
import type { LoopClock } from '../shared/loop-clock.ts';
import type { Cipher } from '../private-network/cipher.ts';
import { createHandshakeLimiter, maxHandshakeMs } from '../private-network/handshake-limiter.ts';
import type { ProtectorOptions } from '../private-network/psk.ts';
import { createListenFailures, type ListenFailures, startNode } from '../private-network/listen.ts';
import { createTransportStack } from '../private-network/transport-stack.ts';
import { dialable, served } from './announce.ts';
import { createBuffers } from './buffers.ts';
import { createCircuitAdmission } from './circuit-admission.ts';
import type { RelayConfig } from './config.ts';
import { createConnectionLimiter } from './connection-limiter.ts';
import type { HopEvents } from './hop-events.ts';
import { createHopTiming } from './hop-timing.ts';
import { createHop } from './hop.ts';
import { stopPruner } from './library-internals.ts';
import { KEEPALIVE_DELAY_MS } from './liveness-limits.ts';
import { HOP_PROTOCOL } from './messages.ts';
import type { RelayMetrics } from './metrics.ts';
import { createPingResponder, PING_PROTOCOL, PING_STREAMS } from './ping.ts';
import { createRefusalLog } from './refusal-log.ts';
import { createReservationStore } from './reservation-store.ts';
import { createTcpTimeouts } from './tcp-timeouts.ts';
import { createReservationWatch } from './reservation-watch.ts';
import { createUnreachablePeers } from './unreachable-peers.ts';

/** Maximum interval between two checks for idle and stalled connections, in milliseconds. */
const MAX_IDLE_CHECK_INTERVAL_MS = 5_000;

/** Streams of one peer in addition to its circuits: requests and identify. */
const STREAMS_ABOVE_CIRCUITS = 64;

/** Maximum concurrent streams of identify on one connection. */
const MAX_SERVICE_STREAMS = 8;

/** Deadline of one exchange of identify, in milliseconds. */
const SERVICE_TIMEOUT_MS = 10_000;

/** Margin of the library's deadline for a handshake over the deadlines of its stages, in milliseconds. */
const UPGRADE_MARGIN_MS = 10_000;

/** Maximum bytes of unsent responses to control frames on one connection, in addition to one circuit buffer. */
const MAX_UNSENT_BYTES = 1024 * 1024;

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

export interface RelayNodeDeps {
  readonly cipher: Cipher;
  readonly metrics: RelayMetrics;
  readonly log: Logger;
  /** Receives the events of reservations instead of the watch that reports mistakes of devices. */
  readonly events?: HopEvents;
  /** The clock of all deadlines on other programs; the relay stops it. */
  readonly clock?: LoopClock;
}

export interface RelayNode extends Component {
  /** The announced addresses, which every reservation contains. Empty before the start. */
  addresses(): Multiaddr[];
}

export function createRelayNode(config: RelayConfig, deps: RelayNodeDeps): RelayNode {
  const { cipher, log } = deps;
  let node: Libp2p | undefined;
  let idleCheck: NodeJS.Timeout | undefined;
  const parts = createHopAndLimiters(config, deps, () => node);
  const { reservations, circuits, hop, handshakes, limiter } = parts;
  const addresses = (): Multiaddr[] => node?.getMultiaddrs() ?? [];

  return {
    name: 'relay node',
    addresses,
    async start() {
      const failures = createListenFailures();
      node = await createNode(config, failures, {
        gater: limiter.gater,
        cipher,
        onOutcome: handshakes.authenticated,
        admit: handshakes.admit,
      });
      node.addEventListener('peer:disconnect', ({ detail: peer }) => {
        if (node !== undefined) forget(node, peer, log);
      });
      await node.handle(HOP_PROTOCOL, hop.handle, {
        maxInboundStreams: config.limits.circuitsPerPeer + STREAMS_ABOVE_CIRCUITS,
        maxOutboundStreams: 1,
        runOnLimitedConnection: true,
      });
      await node.handle(PING_PROTOCOL, createPingResponder(), PING_STREAMS);
      idleCheck = setInterval(() => void limiter.closeIdle(), idleCheckIntervalMs(config));
      await startNode(node, { failures, listen: config.listen.map(String), setting: 'RELAY_LISTEN' });
      stopPruner(node);
      reportWithoutIpv6(config, failures, log);
      if (addresses().length === 0 && config.announce.length > 0)
        throw new ConfigError([
          'RELAY_ANNOUNCE has only IPv6 addresses, and this machine has no IPv6: add an IPv4 address or a name.',
        ]);
      if (addresses().length === 0)
        throw new ConfigError([
          'RELAY_ANNOUNCE is not set, and no network interface has an address that other devices can dial: set it to the address of this relay, such as /dns4/relay.example.org/tcp/4001, or set RELAY_LOCAL=true when all devices are on this machine.',
        ]);
      const { kernelDefault } = parts.tcpTimeouts;
      if (kernelDefault !== undefined)
        log.warn(
          { reason: kernelDefault },
          'bytes in flight have the deadline of the kernel, so a gap of 15 minutes may end connections; raise net.ipv4.tcp_retries2 to 20',
        );
      const fields = { cipher: cipher.name, reason: cipher.reason, addresses: addresses().map(String) };
      log.info({ peerId: node.peerId.toString(), ...fields }, 'listening');
    },
    async drain(signal) {
      reservations.drain();
      circuits.drain();
      parts.watch.drain();
      parts.timing.lateAnswers.drain();
      await hop.settled(signal);
    },
    async stop() {
      clearInterval(idleCheck);
      parts.watch.drain();
      hop.stop();
      await node?.stop();
      parts.timing.clock.stop();
    },
  };
}

/** Creates everything except the libp2p node; `node` returns `undefined` before the start. */
function createHopAndLimiters(
  config: RelayConfig,
  { metrics, log, clock, events }: RelayNodeDeps,
  node: () => Libp2p | undefined,
) {
  const { limits } = config;
  const connections = (): Connection[] => node()?.getConnections() ?? [];
  const timing = createHopTiming(clock);
  const reservations = createReservationStore(limits, timing.clock.nowMs, timing.liveness.quietMs);
  const circuits = createCircuitAdmission(limits, reservations);
  const buffers = createBuffers(limits);
  const refusals = createRefusalLog(log, { areAddressesReal: limits.connectionsPerAddress !== undefined });
  const unreachablePeers = createUnreachablePeers({ log });
  const watch = createReservationWatch({ log, ...timing });
  const hop = createHop({
    config,
    reservations,
    circuits,
    buffers,
    unreachablePeers,
    metrics,
    refusals,
    log,
    addresses: () => node()?.getMultiaddrs() ?? [],
    ...timing,
    events: events ?? watch,
  });
  const handshakes = createHandshakeLimiter(limits, {
    ended: metrics.handshake,
    unauthenticated: (outcome, { remoteAddr }) => refusals.unauthenticated(outcome, remoteAddr.toString()),
    evicted({ remoteAddr }) {
      metrics.connectionRefused('pending');
      refusals.refused('connection', 'pending', { address: remoteAddr.toString() });
    },
  });
  const tcpTimeouts = createTcpTimeouts();
  const { isHolder } = reservations;
  const checks = { liveness: timing.liveness, tcpTimeouts, isHolder, refusals };
  const limiter = createConnectionLimiter(
    { limits, handshakes, metrics, connections, ...checks },
    timing.clock.nowMs,
  );
  metrics.observe({
    reservations: reservations.count,
    circuits: circuits.count,
    muxers: () => connections().map(({ multiplexer }) => multiplexer ?? ''),
    pending: handshakes.pending,
    waiting: handshakes.waiting,
    bufferedBytes: buffers.bytes,
    unreachablePeers: unreachablePeers.count,
    lastingUnreachablePeers: unreachablePeers.lastingCount,
  });
  return { reservations, circuits, hop, handshakes, limiter, timing, tcpTimeouts, watch };
}

// Frequent enough that a connection is closed soon after its idle timeout, even if the timeout is short.
function idleCheckIntervalMs({ limits }: RelayConfig): number {
  const timeoutMs = Math.min(limits.idleSeconds, limits.circuitIdleSeconds) * 1000;
  return Math.min(MAX_IDLE_CHECK_INTERVAL_MS, timeoutMs / 4);
}

// The relay does not use what the library stores about disconnected peers, and the store would grow with every new
// peer.
function forget(node: Libp2p, peer: PeerId, log: Logger): void {
  node.peerStore.delete(peer).catch((error: unknown) => {
    log.debug({ peer: peer.toString(), error: describeError(error) }, 'forget failed');
  });
}

/** The checks that every inbound connection passes. */
interface ConnectionChecks extends Pick<ProtectorOptions, 'cipher' | 'onOutcome' | 'admit'> {
  readonly gater: ConnectionGater;
}

/** Tells which addresses are neither listened on nor announced, because this machine has no IPv6. */
function reportWithoutIpv6(config: RelayConfig, failures: ListenFailures, log: Logger): void {
  const addresses = failures.withoutIpv6();
  if (addresses.length === 0) return;
  const announced = served(config, addresses);
  const notAnnounced = config.announce.filter((address) => !announced.includes(address)).map(String);
  log.warn({ addresses, notAnnounced, setting: 'RELAY_LISTEN' }, 'not listening: this machine has no IPv6');
}

async function createNode(
  config: RelayConfig,
  failures: ListenFailures,
  { gater, ...protection }: ConnectionChecks,
): Promise<Libp2p> {
  const { limits } = config;
  const serviceOptions = {
    maxInboundStreams: MAX_SERVICE_STREAMS,
    maxOutboundStreams: MAX_SERVICE_STREAMS,
    timeout: SERVICE_TIMEOUT_MS,
  };
  return createLibp2p({
    ...createTransportStack({
      identity: config.identity,
      key: config.swarmKey,
      ...protection,
      onListenFailure: failures.onListenFailure,
      limits: {
        isGated: true,
        maxConnections: limits.connections,
        maxPendingInbound: limits.pendingConnections,
        handshakeMs: limits.handshakeSeconds * 1000,
        // The handshake limiter ends each stage of a handshake earlier.
        inboundUpgradeMs: maxHandshakeMs(limits) + UPGRADE_MARGIN_MS,
        maxStreamsPerConnection: limits.circuitsPerPeer + limits.circuitsPerTarget + STREAMS_ABOVE_CIRCUITS,
        maxStreamBufferBytes: limits.circuitBufferBytes,
        maxUnsentBytes: MAX_UNSENT_BYTES + limits.circuitBufferBytes,
        maxParallelDials: MAX_PARALLEL_DIALS,
        keepAliveDelayMs: KEEPALIVE_DELAY_MS,
        // Reservations last as long as their connections, and TCP keepalive finds the dead ones.
        idleTimeoutMs: 0,
      },
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
      identify: identify({ ...serviceOptions, runOnConnectionOpen: false }),
    },
  });
}
