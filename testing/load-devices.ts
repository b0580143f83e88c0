// Devices for load tests: many real libp2p nodes in one process, with the messages of the stock client.
import { randomBytes } from 'node:crypto';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Libp2p, PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { pbStream } from '@libp2p/utils';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import {
  HopMessage,
  Status,
  StopMessage,
} from '../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { deadlineSignal, until } from './wait.ts';
import type { SwarmKey } from '../services/private-network/key.ts';
import { createStockStack, type StockTimings } from './stock-stack.ts';
import type { Relay } from '../scripts/local-network.ts';

const HOP = '/libp2p/circuit/relay/0.2.0/hop';
const STOP = '/libp2p/circuit/relay/0.2.0/stop';
const CHUNK = randomBytes(64 * 1024);

/** A relay in this process or another one. */
export interface RelayAddress {
  readonly address: string | Multiaddr;
}

/**
 * Starts a device. With `relay` it has a reservation on the relay.
 *
 * @param timings of its connections; by default a handshake and the first message of a stream have 10 s
 * @param identity default: a new one. The processes of one device have the same
 */
export async function startDevice(
  key: SwarmKey,
  relay?: RelayAddress,
  timings: StockTimings = {},
  identity?: PrivateKey,
): Promise<Libp2p> {
  const stack = createStockStack({
    identity: identity ?? (await generateKeyPair('Ed25519')),
    key,
    ...timings,
  });
  const node = await createLibp2p({
    ...stack,
    transports: [...stack.transports, circuitRelayTransport()],
    addresses: { listen: relay === undefined ? [] : [`${relay.address.toString()}/p2p-circuit`] },
    services: { identify: identify({ runOnConnectionOpen: false }) },
  });
  if (relay !== undefined) await until(() => node.getMultiaddrs().length > 0, 'the device has a reservation');
  return node;
}

/** Requests a reservation and returns the status of the response. */
export async function reserve(
  device: Libp2p,
  relay: RelayAddress,
  signal: AbortSignal = deadlineSignal(),
): Promise<string | undefined> {
  const stream = await device.dialProtocol(multiaddr(relay.address), HOP, { signal });
  const messages = pbStream(stream).pb(HopMessage);
  await messages.write({ type: HopMessage.Type.RESERVE }, { signal });
  const { status } = await messages.read({ signal });
  await stream.close({ signal });
  return status;
}

/** Opens a stream to a device, or to a peer id, through the relay. */
export async function dialThrough(
  relay: RelayAddress,
  from: Libp2p,
  to: Libp2p | string,
  protocol: string,
): Promise<Stream> {
  const peerId = typeof to === 'string' ? to : to.peerId.toString();
  const address = multiaddr(`${relay.address.toString()}/p2p-circuit/p2p/${peerId}`);
  const signal = deadlineSignal();
  return from.dialProtocol(address, protocol, { signal, runOnLimitedConnection: true });
}

/** Opens a circuit without a connection inside it: a stream of bytes to the target. */
export async function openBareCircuit(relay: RelayAddress, from: Libp2p, to: Libp2p): Promise<Stream> {
  const signal = deadlineSignal();
  const stream = await from.dialProtocol(multiaddr(relay.address), HOP, { signal, maxOutboundStreams: 1024 });
  const messages = pbStream(stream).pb(HopMessage);
  const peer = { id: to.peerId.toMultihash().bytes, addrs: [] };
  await messages.write({ type: HopMessage.Type.CONNECT, peer }, { signal });
  const { status } = await messages.read({ signal });
  if (status !== Status.OK) throw new Error(`The relay responded to CONNECT with ${status}.`);
  return messages.unwrap().unwrap();
}

/** Requests a circuit to a peer id, ends it at once, and returns the status of the response. */
export async function connectStatus(
  relay: RelayAddress,
  from: Libp2p,
  peerId: string,
): Promise<string | undefined> {
  const signal = deadlineSignal();
  const stream = await from.dialProtocol(multiaddr(relay.address), HOP, { signal, maxOutboundStreams: 1024 });
  const messages = pbStream(stream).pb(HopMessage);
  const peer = { id: peerIdFromString(peerId).toMultihash().bytes, addrs: [] };
  await messages.write({ type: HopMessage.Type.CONNECT, peer }, { signal });
  const { status } = await messages.read({ signal });
  stream.abort(new Error('Only the status is of interest.'));
  return status;
}

/** Makes a device accept every bare circuit and never read from it. */
export async function acceptAndNeverRead(device: Libp2p): Promise<void> {
  await acceptBareCircuits(device, (stream) => stream.pause());
}

/** Makes a device accept every bare circuit. */
export async function acceptBareCircuits(device: Libp2p, use: (stream: Stream) => void): Promise<void> {
  const accept = async (stream: Stream): Promise<void> => {
    const messages = pbStream(stream).pb(StopMessage);
    await messages.read();
    await messages.write({ type: StopMessage.Type.STATUS, status: Status.OK });
    use(messages.unwrap().unwrap());
  };
  await device.unhandle(STOP).catch(() => {});
  await device.handle(STOP, accept, { maxInboundStreams: 1024, runOnLimitedConnection: true });
}

/** Sends as fast as the stream accepts it, until the stream is closed. */
export function flood(stream: Stream): void {
  const send = (): void => {
    while (stream.writeStatus === 'writable' && stream.send(CHUNK));
  };
  stream.addEventListener('drain', send);
  send();
}

/** Sends as fast as the stream accepts it; resolves when the stream has accepted all bytes. */
export async function sendBytes(stream: Stream, chunk: Uint8Array, total: number): Promise<void> {
  for (let sent = 0; sent < total; sent += chunk.length) {
    if (stream.send(chunk)) continue;
    await new Promise<void>((resolve, reject) => {
      const onClose = ({ error }: { readonly error?: Error }): void =>
        reject(error ?? new Error('The stream is closed.'));
      stream.addEventListener(
        'drain',
        () => {
          stream.removeEventListener('close', onClose);
          resolve();
        },
        { once: true },
      );
      stream.addEventListener('close', onClose, { once: true });
    });
  }
}

/** The value of one series of a relay. */
export async function metric(relay: Pick<Relay, 'ops'>, series: string): Promise<number> {
  const text = await (await fetch(`http://${relay.ops}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(series.length));
}
