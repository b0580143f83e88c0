// Test support for the relay: a complete relay, devices with the stock client, and exchanges of raw hop messages with
// the codec of the stock implementation.
import { createHash, randomBytes } from 'node:crypto';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Libp2p, PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { pbStream } from '@libp2p/utils';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { pino } from 'pino';
import { HopMessage } from '../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { createLogger } from '../services/shared/log.ts';
import { onCleanup } from './cleanup.ts';
import { relayConfig, type RelayOverrides, swarmKey } from './relay-config.ts';
import type { RelayAddress } from './load-devices.ts';
import { createStockStack, STOCK_MPLEX, STOCK_YAMUX, type StockMuxers } from './stock-stack.ts';
import { deadlineSignal, until } from './wait.ts';
import { loadCipher } from '../services/wire/cipher.ts';
import type { SwarmKey } from '../services/private-network/key.ts';
import { HOP_PROTOCOL } from '../services/relay/messages.ts';
import { createRelayMetrics } from '../services/relay/metrics.ts';
import { createRelayNode, type RelayNodeDeps } from '../services/relay/node.ts';
import { createWireIo } from '../services/wire/wire-io.ts';

const ECHO = '/test/echo/1.0.0';
export const cipher = loadCipher();
export const log = createLogger('test', 'silent');
/** Those of devices, in the order in which they offer them. */
export const muxers: StockMuxers = [STOCK_YAMUX, STOCK_MPLEX];

/** A complete relay on a free port, with access to its metrics. */
export async function startRelay(
  overrides: RelayOverrides = {},
  deps: Partial<Pick<RelayNodeDeps, 'clock' | 'events' | 'log'>> = {},
) {
  const config = await relayConfig(overrides);
  const metrics = createRelayMetrics(config.limits, cipher.name);
  const io = createWireIo({ isPoisoned: config.poisonReads });
  const node = createRelayNode(config, { cipher, metrics, io, log, ...deps });
  onCleanup(node.stop);
  await node.start();
  const [address] = node.addresses();
  if (address === undefined) throw new Error('The relay has no address.');
  return {
    ...node,
    address,
    peerId: peerIdFromPrivateKey(config.identity),
    /** The value of one series, such as `rustory_relay_circuits`. */
    async metric(series: string): Promise<number> {
      const line = (await metrics.registry.metrics())
        .split('\n')
        .find((text) => text.startsWith(`${series} `));
      return line === undefined ? Number.NaN : Number(line.slice(series.length));
    },
  };
}

export type Relay = Awaited<ReturnType<typeof startRelay>>;

/** A relay whose log lines are collected. */
export async function startLoggedRelay(overrides: RelayOverrides = {}) {
  const lines: Array<Record<string, unknown>> = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const relay = await startRelay(overrides, { log: logger });
  return { relay, lines, refusals: () => lines.filter(({ msg }) => String(msg).endsWith(' refused')) };
}

/** A device with the stock client of circuit-relay-v2. With `relay` it has a reservation on the relay. */
export async function startPeer(
  relay?: RelayAddress,
  options: {
    key?: SwarmKey;
    muxers?: StockMuxers;
    identity?: PrivateKey;
    listen?: string[];
  } = {},
) {
  const identity = options.identity ?? (await generateKeyPair('Ed25519'));
  const stack = createStockStack({
    identity,
    key: options.key ?? swarmKey,
    muxers: options.muxers ?? muxers,
  });
  const node = await createLibp2p({
    ...stack,
    transports: [...stack.transports, circuitRelayTransport()],
    addresses: {
      listen: [
        ...(options.listen ?? []),
        ...(relay === undefined ? [] : [`${relay.address.toString()}/p2p-circuit`]),
      ],
    },
    services: { identify: identify() },
    start: false,
  });
  await node.handle(
    ECHO,
    (stream) => {
      stream.addEventListener('message', ({ data }) => {
        if (!stream.send(data)) stream.pause();
      });
      stream.addEventListener('drain', () =>
        queueMicrotask(() => stream.readStatus === 'paused' && stream.resume()),
      );
      stream.addEventListener('end', () => void stream.close().catch(() => {}));
    },
    { runOnLimitedConnection: true },
  );
  await node.start();
  onCleanup(async () => node.stop());
  if (relay !== undefined)
    await until(() => circuitAddress(node) !== undefined, 'the peer has a reservation');
  return node;
}

/** The circuit address of the node, through the relay on which it has a reservation. */
export function circuitAddress(node: Libp2p): Multiaddr | undefined {
  return node.getMultiaddrs().find((address) => address.toString().includes('/p2p-circuit/'));
}

/** Opens a stream through the relay to the echo protocol of a peer. */
export async function dialEcho(from: Libp2p, relay: RelayAddress, to: Libp2p): Promise<Stream> {
  const address = multiaddr(`${relay.address.toString()}/p2p-circuit/p2p/${to.peerId.toString()}`);
  return from.dialProtocol(address, ECHO, {
    runOnLimitedConnection: true,
    signal: deadlineSignal(),
  });
}

/** Sends bytes and closes the stream for writing; returns the digests of the bytes sent and received. */
export async function exchange(
  stream: Stream,
  bytes: number,
): Promise<{ sent: string; received: string; bytes: number }> {
  const sent = createHash('sha256');
  const received = createHash('sha256');
  let count = 0;
  const ended = new Promise<void>((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => {
      received.update(data.subarray());
      count += data.byteLength;
    });
    stream.addEventListener('end', () => resolve());
    stream.addEventListener('close', ({ error }) => error && reject(error));
  });
  ended.catch(() => {});
  for (let offset = 0; offset < bytes;) {
    const chunk = randomBytes(Math.min(60_000, bytes - offset));
    offset += chunk.length;
    sent.update(chunk);
    if (stream.send(chunk)) continue;
    await Promise.race([
      ended,
      new Promise<void>((resolve) => {
        stream.addEventListener('drain', () => resolve(), { once: true });
      }),
    ]);
  }
  await stream.close();
  await ended;
  return { sent: sent.digest('hex'), received: received.digest('hex'), bytes: count };
}

/** One exchange of raw hop messages, with the codec of the stock implementation. */
export async function hop(
  peer: Libp2p,
  relay: RelayAddress,
  request: Parameters<typeof HopMessage.encode>[0],
) {
  const stream = await peer.dialProtocol(multiaddr(relay.address), HOP_PROTOCOL, {
    runOnLimitedConnection: true,
  });
  const messages = pbStream(stream).pb(HopMessage);
  const signal = deadlineSignal();
  await messages.write(request, { signal });
  return messages.read({ signal });
}

/** A RESERVE request. */
export const RESERVE = { type: HopMessage.Type.RESERVE };
/** A CONNECT request. */
export const connectTo = (target: Libp2p) => ({
  type: HopMessage.Type.CONNECT,
  peer: { id: target.peerId.toMultihash().bytes, addrs: [] },
});
