// The protector of the reference devices against the stock one of js-libp2p.
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import type { ConnectionProtector } from '@libp2p/interface';
import { preSharedKey } from '@libp2p/pnet';
import { cleanUp } from './cleanup.ts';
import { collect, protectedPair, send } from './protected-connections.ts';
import { createStockProtector, GREETING } from './stock-psk.ts';
import { until } from './wait.ts';

const bytes = randomBytes(32);

afterEach(cleanUp);

const ofTests = (): ConnectionProtector => createStockProtector({ bytes })();
const ofLibrary = (): ConnectionProtector =>
  preSharedKey({ psk: Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${bytes.toString('hex')}`) })();

test.each([
  { from: 'it', to: 'the one of the library', dialer: ofTests(), listener: ofLibrary() },
  { from: 'the one of the library', to: 'it', dialer: ofLibrary(), listener: ofTests() },
])('a connection from $from to $to carries the bytes that were sent', async ({ dialer, listener }) => {
  const [a, b] = await protectedPair(dialer, listener);
  const received = [collect(b), collect(a)];
  const sent = [a, b].map((connection) => ({ connection, hash: createHash('sha256'), bytes: 0 }));
  for (const end of sent) {
    for (let index = 0; index < 60; index += 1) {
      const chunk = index === 0 ? GREETING : randomBytes(randomInt(1, 20_000));
      end.hash.update(chunk);
      end.bytes += chunk.length;
      await send(end.connection, chunk);
    }
  }
  await until(() => received.every((end, index) => end.bytes() === sent[index]?.bytes), 'all arrived');
  expect(received.map((end) => end.digest())).toEqual(sent.map(({ hash }) => hash.digest('hex')));
});

test('a connection to a device with another swarm key fails', async () => {
  const [a, b] = await protectedPair(ofTests(), createStockProtector({ bytes: randomBytes(32) })());
  const errors: string[] = [];
  a.addEventListener('close', ({ error }) => errors.push(`dialer: ${error?.message}`));
  b.addEventListener('close', ({ error }) => errors.push(`listener: ${error?.message}`));
  await send(a, GREETING);
  await until(() => errors.length === 2, 'both ends are closed');
  expect(errors.toSorted()).toEqual([
    'dialer: The other side closed the connection at once; most likely it has another swarm key.',
    'listener: The other side has another swarm key.',
  ]);
});
