// A TCP server that accepts connections and never responds, which keeps a sync busy.
import { createServer } from 'node:net';
import { onCleanup } from './cleanup.ts';

/** A peer id that no device has. */
export const UNKNOWN_PEER = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';

export interface SilentServer {
  /** Its multiaddr, with `UNKNOWN_PEER`. */
  readonly address: string;
  /** Connections that it has accepted. */
  connections(): number;
}

/** Starts a silent server on a free loopback port. It is stopped after the test. */
export async function startSilentServer(): Promise<SilentServer> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => {});
    onCleanup(() => void socket.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onCleanup(() => void server.close());
  const bound = server.address();
  const port = typeof bound === 'object' ? (bound?.port ?? 0) : 0;
  return { address: `/ip4/127.0.0.1/tcp/${port}/p2p/${UNKNOWN_PEER}`, connections: () => connections };
}
