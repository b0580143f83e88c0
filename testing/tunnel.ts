// A TCP tunnel that can fail like a network: data is dropped, and neither end gets an error.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { onCleanup } from './cleanup.ts';

export interface Tunnel {
  /** The address of the relay through the tunnel. */
  readonly address: string;
  /** Connections opened so far. */
  opened(): number;
  /** Drops all data of the connections that are open. Later connections work. */
  kill(): void;
}

/** Starts a tunnel to a relay on a port of this machine. */
export async function startTunnel(relay: {
  readonly address: string;
  readonly port: number;
}): Promise<Tunnel> {
  const live = new Set<object>();
  let opened = 0;
  const server = createServer((near) => {
    const far = connect(relay.port, '127.0.0.1');
    opened += 1;
    live.add(near);
    near.on('data', (chunk) => live.has(near) && far.write(chunk));
    far.on('data', (chunk) => live.has(near) && near.write(chunk));
    for (const socket of [near, far]) {
      socket.on('error', () => {});
      onCleanup(() => socket.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => server.close());
  const { port } = server.address() as AddressInfo;
  return {
    address: relay.address.replace(`/tcp/${relay.port}`, `/tcp/${port}`),
    opened: () => opened,
    kill: () => live.clear(),
  };
}
