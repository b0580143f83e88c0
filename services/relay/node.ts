// The relay as a component of the service: the hop protocol, the limits around it, and the network that they run on.
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import { ConfigError } from '../shared/errors.ts';
import type { Component } from '../shared/lifecycle.ts';
import type { Logger } from '../shared/log.ts';
import type { LoopClock } from '../shared/loop-clock.ts';
import type { WireIo } from '../wire/wire-io.ts';
import type { Cipher } from '../wire/cipher.ts';
import { createHandshakeLimiter } from '../private-network/handshake-limiter.ts';
import { served } from './announce.ts';
import { createBuffers } from './buffers.ts';
import { createCircuitAdmission } from './circuit-admission.ts';
import type { RelayConfig } from './config.ts';
import { createConnectionLimiter } from './connection-limiter.ts';
import type { HopEvents } from './hop-events.ts';
import { createHopTiming } from './hop-timing.ts';
import { createHop } from './hop.ts';
import { createResponderNetwork } from './responder/network.ts';
import { HOP_PROTOCOL } from './messages.ts';
import type { RelayMetrics } from './metrics.ts';
import { type AddressedConnection, type RelayNetwork, STREAMS_ABOVE_CIRCUITS } from './network.ts';
import { createRelayProxyHeaders } from './proxy-headers.ts';
import { createPingResponder, MAX_INBOUND_PING_STREAMS, PING_PROTOCOL } from './ping.ts';
import { createRefusalLog } from './refusal-log.ts';
import { createReservationStore } from './reservation-store.ts';
import { createTcpTimeouts } from './tcp-timeouts.ts';
import { createReservationWatch } from './reservation-watch.ts';
import { createUnreachablePeers } from './unreachable-peers.ts';

/** Maximum interval between two checks for idle and stalled connections, in milliseconds. */
const MAX_IDLE_CHECK_INTERVAL_MS = 5_000;

export interface RelayNodeDeps {
  readonly cipher: Cipher;
  readonly metrics: RelayMetrics;
  /** The buffers of all connections of this process. */
  readonly io: WireIo;
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
  let idleCheck: NodeJS.Timeout | undefined;
  const parts = createParts(config, deps);
  const { network, reservations, circuits, hop, limiter } = parts;
  const { addresses } = network;

  return {
    name: 'relay node',
    addresses,
    async start() {
      idleCheck = setInterval(limiter.closeIdle, idleCheckIntervalMs(config));
      await network.start();
      reportWithoutIpv6(config, network.withoutIpv6(), log);
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
      log.info({ peerId: peerIdFromPrivateKey(config.identity).toString(), ...fields }, 'listening');
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
      await network.stop();
      parts.timing.clock.stop();
    },
  };
}

function createParts(config: RelayConfig, { cipher, metrics, io, log, clock, events }: RelayNodeDeps) {
  const { limits } = config;
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
    addresses: () => network.addresses(),
    ...timing,
    events: events ?? watch,
  });
  const handshakes = createHandshakeLimiter<AddressedConnection>(limits, timing.clock, {
    ended: metrics.handshake,
    unauthenticated: (outcome, { address }) => refusals.unauthenticated(outcome, address),
    evicted({ address }) {
      metrics.connectionRefused('pending');
      refusals.refused('connection', 'pending', { address });
    },
  });
  const tcpTimeouts = createTcpTimeouts();
  const { isHolder } = reservations;
  const checks = { liveness: timing.liveness, tcpTimeouts, isHolder, refusals };
  const limiter = createConnectionLimiter({ limits, metrics, ...checks }, timing.clock.nowMs);
  const handlers = [
    {
      protocol: HOP_PROTOCOL,
      maxInboundStreams: limits.circuitsPerPeer + STREAMS_ABOVE_CIRCUITS,
      handle: hop.handle,
    },
    {
      protocol: PING_PROTOCOL,
      maxInboundStreams: MAX_INBOUND_PING_STREAMS,
      handle: createPingResponder(),
    },
  ];
  const network: RelayNetwork = createResponderNetwork({
    config,
    cipher,
    io,
    handshakes,
    withProxyHeaders: createRelayProxyHeaders(config, { registry: metrics.registry, log }),
    limiter,
    handlers,
    onViolation(reason, { peer, address }) {
      metrics.muxerViolated(reason);
      refusals.violated(reason, { peer: peer.id, address });
    },
    clock: timing.clock,
    log,
  });
  metrics.observe({
    reservations: reservations.count,
    circuits: circuits.count,
    muxers: () => Array.from(limiter.connections(), ({ muxer }) => muxer),
    pending: handshakes.pending,
    waiting: handshakes.waiting,
    bufferedBytes: buffers.bytes,
    unreachablePeers: unreachablePeers.count,
    lastingUnreachablePeers: unreachablePeers.lastingCount,
  });
  return { network, reservations, circuits, hop, limiter, timing, tcpTimeouts, watch };
}

// Frequent enough that a connection is closed soon after its idle timeout, even if the timeout is short.
function idleCheckIntervalMs({ limits }: RelayConfig): number {
  const timeoutMs = Math.min(limits.idleSeconds, limits.circuitIdleSeconds) * 1000;
  return Math.min(MAX_IDLE_CHECK_INTERVAL_MS, timeoutMs / 4);
}

/** Tells which addresses are neither listened on nor announced, because this machine has no IPv6. */
function reportWithoutIpv6(config: RelayConfig, addresses: readonly string[], log: Logger): void {
  if (addresses.length === 0) return;
  const announced = served(config, addresses);
  const notAnnounced = config.announce.filter((address) => !announced.includes(address)).map(String);
  log.warn({ addresses, notAnnounced, setting: 'RELAY_LISTEN' }, 'not listening: this machine has no IPv6');
}
