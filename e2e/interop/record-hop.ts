// Records hop and stop messages: runs our hop protocol on a libp2p node in this process and taps its streams.
import { generateKeyPair } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Connection, Stream } from '@libp2p/interface';
import { createLibp2p } from 'libp2p';
import { createBuffers } from '../../services/relay/buffers.ts';
import { createCircuitAdmission } from '../../services/relay/circuit-admission.ts';
import { NO_HOP_EVENTS } from '../../services/relay/hop-events.ts';
import { createHopTiming } from '../../services/relay/hop-timing.ts';
import { createHop, type HopOptions } from '../../services/relay/hop.ts';
import { createLibp2pConnections } from '../../testing/libp2p/connection.ts';
import { Libp2pStream } from '../../testing/libp2p/stream.ts';
import { HOP_PROTOCOL, STOP_PROTOCOL } from '../../services/relay/messages.ts';
import { createRelayMetrics } from '../../services/relay/metrics.ts';
import { createReservationStore } from '../../services/relay/reservation-store.ts';
import { createRefusalLog } from '../../services/relay/refusal-log.ts';
import { createUnreachablePeers } from '../../services/relay/unreachable-peers.ts';
import { createLogger } from '../../services/shared/log.ts';
import { createLoopClock } from '../../services/shared/loop-clock.ts';
import { loadCipher } from '../../services/wire/cipher.ts';
import type { SwarmKey } from '../../services/private-network/key.ts';
import { relayConfig } from '../../testing/relay-config.ts';
import { createStockStack } from '../../testing/stock-stack.ts';
import type { Cell } from './cell.ts';
import { reach } from './steps.ts';

/** Maximum bytes of a stream that wait to be read. */
const STREAM_BUFFER_BYTES = 1024 * 1024;

const cipher = loadCipher();

/** The first message of each direction, with its length prefix. */
interface Exchange {
  readonly request: string;
  readonly answer: string;
}

export interface HopTranscript {
  readonly target: string;
  readonly reserve: Exchange;
  readonly connect: Exchange;
  readonly stop: Exchange;
}

/** Starts the program with `serve` and dials it with another instance. */
export async function recordHop(cell: Cell, key: SwarmKey): Promise<HopTranscript> {
  const hops: Tap[] = [];
  const stops: Tap[] = [];
  const identity = await generateKeyPair('Ed25519');
  const node = await createLibp2p({
    ...createStockStack({ identity, key }),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    services: { identify: identify({ runOnConnectionOpen: false }) },
  });
  const hop = createHop({
    ...hopOptions(await relayConfig({ identity })),
    addresses: () => node.getMultiaddrs(),
  });
  const connections = createLibp2pConnections(STREAM_BUFFER_BYTES, createLoopClock());
  const handle = async (stream: Stream, connection: Connection): Promise<void> => {
    const handled = hop.handle(new Libp2pStream(connections.ofOpen(tapped(connection, stops)), stream));
    // After the handler has added its listener, which must get the data that has already arrived.
    hops.push(tap(stream));
    await handled;
  };
  await node.handle(HOP_PROTOCOL, handle, { runOnLimitedConnection: true });
  const relay = { ...cell.network.relay, address: String(node.getMultiaddrs()[0]) };
  const serving = await cell.serve(relay);
  await reach(cell, relay, serving);
  hop.stop();
  await node.stop();
  const [reserve, connect, stop] = [hops[0], hops[1], stops[0]].map((recorded) => {
    if (recorded === undefined) throw new Error('The program did not send all messages.');
    return recorded;
  }) as [Tap, Tap, Tap];
  return {
    target: serving.peerId,
    reserve: { request: firstMessage(reserve.received), answer: firstMessage(reserve.sent) },
    connect: { request: firstMessage(connect.received), answer: firstMessage(connect.sent) },
    stop: { request: firstMessage(stop.sent), answer: firstMessage(stop.received) },
  };
}

function hopOptions(config: HopOptions['config']): Omit<HopOptions, 'addresses'> {
  const reservations = createReservationStore(config.limits);
  const log = createLogger('record', 'silent');
  return {
    config,
    reservations,
    circuits: createCircuitAdmission(config.limits, reservations),
    buffers: createBuffers(config.limits),
    unreachablePeers: createUnreachablePeers({ log }),
    refusals: createRefusalLog(log, { areAddressesReal: false }),
    metrics: createRelayMetrics(config.limits, cipher.name),
    log,
    events: NO_HOP_EVENTS,
    ...createHopTiming(),
  };
}

interface Tap {
  readonly sent: Buffer[];
  readonly received: Buffer[];
}

function tap(stream: Stream): Tap {
  const recorded: Tap = { sent: [], received: [] };
  const { send } = stream;
  stream.send = (data) => {
    recorded.sent.push(Buffer.from(data.subarray()));
    return send.call(stream, data);
  };
  stream.addEventListener('message', ({ data }) => recorded.received.push(Buffer.from(data.subarray())));
  return recorded;
}

/** A connection whose stop streams are tapped. */
function tapped(connection: Connection, taps: Tap[]): Connection {
  return new Proxy(connection, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property);
      if (property !== 'newStream') return typeof value === 'function' ? value.bind(target) : value;
      return async (...args: Parameters<Connection['newStream']>) => {
        const stream = await target.newStream(...args);
        if (args[0] === STOP_PROTOCOL) taps.push(tap(stream));
        return stream;
      };
    },
  });
}

/** The first message without the data of the circuit, which follows it. */
function firstMessage(chunks: readonly Buffer[]): string {
  const bytes = Buffer.concat(chunks);
  const [first = 0, second = 0] = bytes;
  const [digits, length] = first < 0x80 ? [1, first] : [2, (first & 0x7f) + second * 0x80];
  return bytes.subarray(0, digits + length).toString('hex');
}
