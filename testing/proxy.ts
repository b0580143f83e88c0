// A TCP proxy in front of a relay, for tests of bad networks: it records and delays the forwarded data, and can stop
// forwarding without closing connections.
import { connect, createServer, type Socket } from 'node:net';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { onCleanup } from './cleanup.ts';
import type { RelayAddress } from './load-devices.ts';

export interface Proxy {
  /** The address of the relay through the proxy. */
  readonly address: Multiaddr;
  /** All bytes that clients have sent so far. */
  sent(): Buffer;
  /** Stops forwarding in both directions without closing connections. */
  cut(): void;
  /** Forwards again, first what has arrived since. */
  restore(): void;
}

/**
 * @param delayMs delay in each direction, in milliseconds
 * @param localAddress address that the connections of the proxy come from
 */
export async function startProxy(
  relay: RelayAddress,
  delayMs = 0,
  localAddress = '127.0.0.1',
): Promise<Proxy> {
  const relayAddress = multiaddr(relay.address);
  const relayPort = Number(relayAddress.getComponents()[1]?.value);
  const sockets = new Set<Socket>();
  const pairs = new Set<readonly [Socket, Socket]>();
  const chunks: Buffer[] = [];
  const server = createServer((client) => {
    const upstream = connect({ port: relayPort, host: '127.0.0.1', localAddress });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => (client.destroy(), upstream.destroy()));
    }
    client.on('data', (chunk: Buffer) => chunks.push(chunk));
    const pair = [client, upstream] as const;
    pairs.add(pair);
    client.on('close', () => pairs.delete(pair));
    forward(client, upstream, delayMs);
    forward(upstream, client, delayMs);
  });
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await listening;
  onCleanup(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const bound = server.address();
  if (typeof bound !== 'object' || bound === null) throw new Error('The proxy does not listen.');
  return {
    address: multiaddr(relayAddress.toString().replace(`/tcp/${relayPort}`, `/tcp/${bound.port}`)),
    sent: () => Buffer.concat(chunks),
    cut() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.removeAllListeners('data');
        socket.pause();
      }
    },
    restore() {
      for (const [client, upstream] of pairs) {
        forward(client, upstream, delayMs);
        forward(upstream, client, delayMs);
      }
    },
  };
}

// Data in flight is in the network, so a proxy with a delay does not wait for the receiver.
function forward(from: Socket, to: Socket, delayMs: number): void {
  if (delayMs === 0) from.pipe(to);
  else
    from.on('data', (chunk: Buffer) => {
      setTimeout(() => to.writable && to.write(chunk), delayMs);
    });
}
