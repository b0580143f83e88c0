// A TCP proxy before the relay, for tests of bad lines: it records what it passes on, and can stop passing anything on
// without closing, as a line does that is cut.
import { connect, createServer, type Socket } from 'node:net';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { onCleanup } from './cleanup.ts';
import type { Relay } from './relay.ts';

export interface Proxy {
  /** Where the relay is reached through it. */
  readonly address: Multiaddr;
  /** What clients have sent so far, of all connections together, in bytes. */
  sent(): Buffer;
  /** From now on nothing passes in either direction. */
  cut(): void;
}

/** @param delayMs how long everything is under way, in each direction: a far-away device. */
export async function startProxy(relay: Pick<Relay, 'address'>, delayMs = 0): Promise<Proxy> {
  const relayPort = Number(relay.address.getComponents()[1]?.value);
  const sockets = new Set<Socket>();
  const chunks: Buffer[] = [];
  const server = createServer((client) => {
    const upstream = connect(relayPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => (client.destroy(), upstream.destroy()));
    }
    client.on('data', (chunk: Buffer) => chunks.push(chunk));
    passOn(client, upstream, delayMs);
    passOn(upstream, client, delayMs);
  });
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await listening;
  onCleanup(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const bound = server.address();
  if (typeof bound !== 'object' || bound === null) throw new Error('the proxy does not listen');
  const text = relay.address.toString().replace(`/tcp/${relayPort}`, `/tcp/${bound.port}`);
  return {
    address: multiaddr(text),
    sent: () => Buffer.concat(chunks),
    cut() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.removeAllListeners('data');
        socket.pause();
      }
    },
  };
}

// A line holds what is under way, so nothing here waits for the far end to take it.
function passOn(from: Socket, to: Socket, delayMs: number): void {
  if (delayMs === 0) from.pipe(to);
  else
    from.on('data', (chunk: Buffer) => {
      setTimeout(() => to.writable && to.write(chunk), delayMs);
    });
}
