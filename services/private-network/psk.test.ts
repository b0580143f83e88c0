import { createHash, randomBytes, randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { ConnectionProtector } from '@libp2p/interface';
import { preSharedKey } from '@libp2p/pnet';
import { cleanUp } from '../../testing/cleanup.ts';
import {
  collect,
  GREETING,
  listen,
  logger,
  protectedPair,
  send,
} from '../../testing/protected-connections.ts';
import { until } from '../../testing/wait.ts';
import { type Cipher, createNobleCipher, createSodiumCipher } from '../wire/cipher.ts';
import { formatSwarmKey, generateSwarmKey, type SwarmKey } from './key.ts';
import type { ProtectionOutcome } from '../wire/psk-outcomes.ts';
import { createProtector } from './psk.ts';

const sodium = createSodiumCipher();
const noble = createNobleCipher();
const key = generateSwarmKey();

afterEach(cleanUp);

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
    // One random byte in 256 decrypts to the first byte of the greeting. Then the outcome is that of a closed
    // connection.
    const outcomes: string[] = [];
    const { port, accepted } = await listen();
    const socket = connect(port, '127.0.0.1')
      .on('error', () => {})
      .resume();
    await until(() => accepted.length === 1, 'the connection was accepted');
    const [raw] = accepted;
    if (raw === undefined) throw new Error('The connection was not accepted.');
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
    if (raw === undefined) throw new Error('The connection was not accepted.');
    const options = { signal: AbortSignal.timeout(20) };
    await expect(ours(sodium).protect(raw, options)).rejects.toThrow('The other side sent no nonce');
    socket.destroy();
  });
});
