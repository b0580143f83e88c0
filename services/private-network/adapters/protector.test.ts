// The protector on connections of libp2p that are not sockets of ours, as inside a circuit.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { listen, protectedPair, send } from '../../../testing/protected-connections.ts';
import { createStockProtector, GREETING } from '../../../testing/stock-psk.ts';
import { until } from '../../../testing/wait.ts';
import { createSodiumCipher } from '../../wire/cipher.ts';
import type { ProtectionOutcome } from '../../wire/psk-outcomes.ts';
import { testWireIo } from '../../../testing/wire-io.ts';
import { generateSwarmKey } from '../key.ts';
import { createProtector } from './protector.ts';

const key = generateSwarmKey();

afterEach(cleanUp);

function ours(onOutcome: (outcome: ProtectionOutcome) => void, swarmKey = key) {
  const layer = { io: testWireIo, maxUnsentBytes: 1024 * 1024 };
  return createProtector({ key: swarmKey, cipher: createSodiumCipher(), onOutcome, ...layer })();
}

test.each([
  { other: 'another one of ours', protector: ours(() => {}) },
  { other: 'a stock one', protector: createStockProtector(key)() },
])('with the same key both sides can negotiate, with $other', async ({ protector }) => {
  const outcomes: string[] = [];
  const pairs = [
    await protectedPair(
      ours((outcome) => outcomes.push(outcome)),
      protector,
    ),
    await protectedPair(
      protector,
      ours((outcome) => outcomes.push(outcome)),
    ),
  ];
  for (const ends of pairs) {
    const received = ['', ''];
    ends.forEach((end, index) =>
      end.addEventListener('message', ({ data }) => {
        received[index] += Buffer.from(data.subarray()).toString('latin1');
      }),
    );
    const constant = Buffer.from(GREETING);
    for (const end of ends) await send(end, constant);
    await until(() => received.every((text) => text === GREETING.toString('latin1')), 'both arrived');
    expect(constant).toEqual(GREETING);
  }
  expect(outcomes).toEqual(['ok', 'ok']);
});

test('a connection without the same key is closed, and both sides report the outcome and an error', async () => {
  const outcomes: string[] = [];
  const dialer = ours((outcome) => outcomes.push(`dialer ${outcome}`), generateSwarmKey());
  const listener = ours((outcome) => outcomes.push(`listener ${outcome}`));
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

/** A connection that has been accepted, and the socket at the other end. */
async function accept() {
  const { port, accepted } = await listen();
  const socket = connect(port, '127.0.0.1')
    .on('error', () => {})
    .resume();
  await until(() => accepted.length === 1, 'the connection was accepted');
  const [raw] = accepted;
  if (raw === undefined) throw new Error('The connection was not accepted.');
  return { socket, raw };
}

test.each([
  ['nothing', Buffer.alloc(0), 'no_nonce'],
  ['half a nonce', Buffer.from('9f'.repeat(12), 'hex'), 'no_nonce'],
  ['a nonce and nothing more', Buffer.from('9f'.repeat(24), 'hex'), 'no_greeting'],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n'), 'http'],
  ['garbage', Buffer.concat([Buffer.alloc(24, 0x9f), randomBytes(100_000)]), 'wrong_key'],
])('a connection on which the other side sends %s is closed and reported', async (_, bytes, expected) => {
  const { socket, raw } = await accept();
  const outcomes: string[] = [];
  const attempt = ours((outcome) => outcomes.push(outcome)).protect(raw);
  attempt.catch(() => {});
  socket.end(bytes);
  await until(() => outcomes.length > 0, 'the outcome is known');
  expect(outcomes).toEqual([expected]);
  await until(() => socket.closed, 'the socket is closed');
});

test('a connection on which the other side sends nothing ends at the deadline', async () => {
  const { socket, raw } = await accept();
  const outcomes: string[] = [];
  const options = { signal: AbortSignal.timeout(20) };
  const attempt = ours((outcome) => outcomes.push(outcome)).protect(raw, options);
  await expect(attempt).rejects.toThrow('The other side sent no nonce');
  expect(outcomes).toEqual(['no_nonce']);
  await until(() => socket.closed, 'the socket is closed');
});
