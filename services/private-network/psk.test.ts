import { createHash, randomBytes, randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Connection, ConnectionProtector, MultiaddrConnection, Upgrader } from '@libp2p/interface';
import { defaultLogger } from '@libp2p/logger';
import { preSharedKey } from '@libp2p/pnet';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { until } from '../../testing/wait.ts';
import { type Cipher, createNobleCipher, createSodiumCipher } from './cipher.ts';
import { formatSwarmKey, generateSwarmKey, type SwarmKey } from './key.ts';
import { createProtector, type ProtectionOutcome } from './psk.ts';

const GREETING = Buffer.from('\x13/multistream/1.0.0\n');
const logger = defaultLogger();
const sodium = createSodiumCipher();
const noble = createNobleCipher();
const key = generateSwarmKey();

const closers: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A TCP listener that yields its connections before their protection. */
async function listen(): Promise<{
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
  closers.push(async () => {
    for (const connection of [...accepted, ...dialed]) connection.abort(new Error('the test is over'));
    await listener.close();
  });
  const port = Number(listener.getAddrs()[0]?.getComponents()[1]?.value);
  return {
    port,
    accepted,
    async dial() {
      await transport.dial(multiaddr(`/ip4/127.0.0.1/tcp/${port}`), {
        upgrader,
        // Node destroys a socket when its signal aborts, also after it has connected.
        signal: new AbortController().signal,
      });
      await until(() => accepted.length === dialed.length, 'the connection was accepted');
      const connection = dialed.at(-1);
      if (connection === undefined) throw new Error('no connection');
      return connection;
    },
  };
}

function ours(
  cipher: Cipher,
  swarmKey: SwarmKey = key,
  onOutcome: (outcome: ProtectionOutcome) => void = () => {},
) {
  return createProtector({ key: swarmKey, cipher, onOutcome })({ logger });
}

function stock(): ConnectionProtector {
  return preSharedKey({ psk: Buffer.from(formatSwarmKey(key).trimEnd()) })();
}

/** Both ends of one TCP connection, each with its own protector. */
async function protectedPair(
  dialer: ConnectionProtector,
  listener: ConnectionProtector,
): Promise<[MultiaddrConnection, MultiaddrConnection]> {
  const { accepted, dial } = await listen();
  const raw = await dial();
  const other = accepted.at(-1);
  if (other === undefined) throw new Error('not accepted');
  const [a, b] = await Promise.all([dialer.protect(raw), listener.protect(other)]);
  return [a as MultiaddrConnection, b as MultiaddrConnection];
}

async function send(connection: MultiaddrConnection, data: Uint8Array): Promise<void> {
  if (connection.send(data)) return;
  await new Promise<void>((resolve, reject) => {
    connection.addEventListener('drain', () => resolve(), { once: true });
    connection.addEventListener('close', () => reject(new Error('closed')), { once: true });
  });
}

function collect(connection: MultiaddrConnection): { bytes(): number; digest(): string; buffer(): Buffer } {
  const hash = createHash('sha256');
  const kept: Buffer[] = [];
  let bytes = 0;
  connection.addEventListener('message', ({ data }) => {
    const chunk = data.subarray();
    hash.update(chunk);
    if (bytes < 1024 * 1024) kept.push(Buffer.from(chunk));
    bytes += chunk.length;
  });
  return { bytes: () => bytes, digest: () => hash.copy().digest('hex'), buffer: () => Buffer.concat(kept) };
}

describe('a protected connection', () => {
  test.each([
    { from: 'sodium', to: 'sodium', dialer: ours(sodium), listener: ours(sodium) },
    { from: 'sodium', to: 'noble', dialer: ours(sodium), listener: ours(noble) },
    { from: 'noble', to: 'sodium', dialer: ours(noble), listener: ours(sodium) },
    { from: 'sodium', to: 'the stock protector', dialer: ours(sodium), listener: stock() },
    { from: 'the stock protector', to: 'sodium', dialer: stock(), listener: ours(sodium) },
  ])(
    'from $from to $to carries the bytes that were sent, in chunks of any size',
    async ({ dialer, listener }) => {
      const [a, b] = await protectedPair(dialer, listener);
      const received = [collect(a), collect(b)];
      const sent = [a, b].map((connection) => ({ connection, hash: createHash('sha256'), bytes: 0 }));
      for (const end of sent) {
        for (let index = 0; index < 200; index += 1) {
          const chunk = index === 0 ? GREETING : randomBytes(randomInt(1, 20_000));
          end.hash.update(chunk);
          end.bytes += chunk.length;
          await send(end.connection, chunk);
        }
      }
      await until(
        () => received[0]?.bytes() === sent[1]?.bytes && received[1]?.bytes() === sent[0]?.bytes,
        'all arrived',
      );
      expect(received.map((end) => end.digest())).toEqual([
        sent[1]?.hash.digest('hex'),
        sent[0]?.hash.digest('hex'),
      ]);
    },
  );

  test('does not change the buffer that is sent', async () => {
    const [a, b] = await protectedPair(ours(sodium), ours(sodium));
    const received = collect(b);
    const constant = Buffer.from(GREETING);
    await send(a, constant);
    await until(() => received.bytes() === GREETING.length, 'the greeting arrived');
    expect(constant).toEqual(GREETING);
  });

  test('stops reading while its reader is paused, and continues afterwards', async () => {
    const [a, b] = await protectedPair(ours(sodium), ours(sodium));
    await send(a, GREETING);
    b.pause();
    const received = collect(b);
    const chunk = randomBytes(64 * 1024);
    let sent = GREETING.length;
    // The sockets of both ends fill up until the sender has to wait.
    while (a.send(chunk)) sent += chunk.length;
    sent += chunk.length;
    expect(received.bytes()).toBe(0);
    b.resume();
    await until(() => received.bytes() === sent, 'the rest arrived');
  });

  test('carries 1 GiB with flat memory', async () => {
    const [a, b] = await protectedPair(ours(sodium), ours(sodium));
    const received = collect(b);
    const chunk = randomBytes(64 * 1024);
    const hash = createHash('sha256').update(GREETING);
    await send(a, GREETING);
    const before = process.memoryUsage.rss();
    let peak = before;
    for (let index = 0; index < 16 * 1024; index += 1) {
      hash.update(chunk);
      await send(a, chunk);
      if (index % 256 === 0) peak = Math.max(peak, process.memoryUsage.rss());
    }
    await until(() => received.bytes() === 16 * 1024 * chunk.length + GREETING.length, 'all arrived');
    expect(received.digest()).toBe(hash.digest('hex'));
    // Far below the 1,024 MiB that were sent; the rest is garbage that has not been collected yet.
    expect((peak - before) / 1024 / 1024).toBeLessThan(256);
  }, 120_000);
});

describe('a connection without the same swarm key', () => {
  test('is closed, and both sides report the outcome and an error that explains it', async () => {
    const outcomes: string[] = [];
    const dialer = ours(sodium, generateSwarmKey(), (outcome) => outcomes.push(`dialer ${outcome}`));
    const listener = ours(sodium, key, (outcome) => outcomes.push(`listener ${outcome}`));
    const [a, b] = await protectedPair(dialer, listener);
    const errors: string[] = [];
    a.addEventListener('close', ({ error }) => errors.push(`dialer: ${error?.message}`));
    b.addEventListener('close', ({ error }) => errors.push(`listener: ${error?.message}`));
    a.addEventListener('message', () => errors.push('the dialer got a message'));
    b.addEventListener('message', () => errors.push('the listener got a message'));
    await send(a, GREETING);
    await until(() => errors.length === 2, 'both connections ended');
    expect(errors.toSorted()).toEqual([
      'dialer: The other side closed the connection at once; most likely it has another swarm key.',
      'listener: The other side has another swarm key.',
    ]);
    expect(outcomes.toSorted()).toEqual(['dialer no_greeting', 'listener wrong_key']);
  });

  test.each([
    ['nothing', Buffer.alloc(0), 'no_nonce'],
    ['half a nonce', randomBytes(12), 'no_nonce'],
    ['a nonce and nothing more', randomBytes(24), 'no_greeting'],
    ['a nonce and one wrong byte', randomBytes(25), 'wrong_key'],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n'), 'wrong_key'],
    ['garbage', randomBytes(100_000), 'wrong_key'],
  ])('is closed and reported when the other side sends %s', async (_, bytes, expected) => {
    // One random byte in 256 decrypts to the first byte of the greeting; then the end of the input is the failure.
    const outcomes: string[] = [];
    const { port, accepted } = await listen();
    const socket = connect(port, '127.0.0.1')
      .on('error', () => {})
      .resume();
    await until(() => accepted.length === 1, 'the connection was accepted');
    const [raw] = accepted;
    if (raw === undefined) throw new Error('not accepted');
    const attempt = ours(sodium, key, (outcome) => outcomes.push(outcome)).protect(raw);
    attempt.catch(() => {});
    socket.end(bytes);
    await until(() => outcomes.length > 0, 'the outcome is known');
    expect([[expected], bytes.length === 25 ? ['no_greeting'] : [expected]]).toContainEqual(outcomes);
    await until(() => socket.closed, 'the socket is closed');
  });

  test('fails at the deadline when the other side sends nothing', async () => {
    const { port, accepted } = await listen();
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    await until(() => accepted.length === 1, 'the connection was accepted');
    const [raw] = accepted;
    if (raw === undefined) throw new Error('not accepted');
    const options = { signal: AbortSignal.timeout(20) };
    await expect(ours(sodium).protect(raw, options)).rejects.toThrow('The other side sent no nonce');
    socket.destroy();
  });
});
