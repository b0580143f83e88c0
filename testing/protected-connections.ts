// Raw TCP connections of libp2p, and pairs of connections with protectors, for tests of the swarm key.
import { createHash } from 'node:crypto';
import type { Connection, ConnectionProtector, MultiaddrConnection, Upgrader } from '@libp2p/interface';
import { defaultLogger } from '@libp2p/logger';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { onCleanup } from './cleanup.ts';
import { until } from './wait.ts';

export const logger = defaultLogger();

/** A TCP listener that yields its connections before their protection. It is closed after the test. */
export async function listen(): Promise<{
  port: number;
  accepted: MultiaddrConnection[];
  dial(): Promise<MultiaddrConnection>;
}> {
  const accepted: MultiaddrConnection[] = [];
  const dialed: MultiaddrConnection[] = [];
  const upgrader = {
    upgradeInbound: async (connection: MultiaddrConnection) => void accepted.push(connection),
    upgradeOutbound: async (connection: MultiaddrConnection) => {
      dialed.push(connection);
      return {} as Connection;
    },
  } as unknown as Upgrader;
  const transport = tcp()({ logger });
  const listener = transport.createListener({ upgrader });
  await listener.listen(multiaddr('/ip4/127.0.0.1/tcp/0'));
  onCleanup(async () => {
    for (const connection of [...accepted, ...dialed]) connection.abort(new Error('The test has ended.'));
    await listener.close();
  });
  const port = Number(listener.getAddrs()[0]?.getComponents()[1]?.value);
  return {
    port,
    accepted,
    async dial() {
      await transport.dial(multiaddr(`/ip4/127.0.0.1/tcp/${port}`), {
        upgrader,
        // Node.js destroys a socket when its signal aborts, also after it has connected.
        signal: new AbortController().signal,
      });
      await until(() => accepted.length === dialed.length, 'the connection was accepted');
      const connection = dialed.at(-1);
      if (connection === undefined) throw new Error('There is no dialed connection.');
      return connection;
    },
  };
}

/** A raw TCP connection to a port of this machine, before its protection. It is closed after the test. */
export async function dialRaw(port: number): Promise<MultiaddrConnection> {
  const { promise, resolve } = Promise.withResolvers<MultiaddrConnection>();
  const upgrader = {
    upgradeOutbound: async (connection: MultiaddrConnection) => {
      resolve(connection);
      return {} as Connection;
    },
  } as unknown as Upgrader;
  const options = { upgrader, signal: new AbortController().signal };
  await tcp()({ logger }).dial(multiaddr(`/ip4/127.0.0.1/tcp/${port}`), options);
  const connection = await promise;
  onCleanup(() => connection.abort(new Error('The test has ended.')));
  return connection;
}

/** Both ends of one TCP connection, each with its own protector. */
export async function protectedPair(
  dialer: ConnectionProtector,
  listener: ConnectionProtector,
): Promise<[MultiaddrConnection, MultiaddrConnection]> {
  const { accepted, dial } = await listen();
  const raw = await dial();
  const other = accepted.at(-1);
  if (other === undefined) throw new Error('There is no accepted connection.');
  const [a, b] = await Promise.all([dialer.protect(raw), listener.protect(other)]);
  return [a as MultiaddrConnection, b as MultiaddrConnection];
}

/** Sends bytes, and waits until the connection accepts more. */
export async function send(connection: MultiaddrConnection, data: Uint8Array): Promise<void> {
  if (connection.send(data)) return;
  await new Promise<void>((resolve, reject) => {
    connection.addEventListener('drain', () => resolve(), { once: true });
    connection.addEventListener('close', () => reject(new Error('The connection closed.')), { once: true });
  });
}

/** Counts and hashes the bytes that a connection receives. */
export function collect(connection: MultiaddrConnection): { bytes(): number; digest(): string } {
  const hash = createHash('sha256');
  let bytes = 0;
  connection.addEventListener('message', ({ data }) => {
    const chunk = data.subarray();
    hash.update(chunk);
    bytes += chunk.length;
  });
  return { bytes: () => bytes, digest: () => hash.copy().digest('hex') };
}
