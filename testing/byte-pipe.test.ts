import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { createBytePipe } from './byte-pipe.ts';
import { CollectingSink } from './collecting-sink.ts';
import { createPipeConnection } from './pipe-connection.ts';
import { until } from './wait.ts';

test('all bytes arrive in order, whatever the sizes of the reads, and both ends are closed once', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 20 }),
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 50 }),
      (writes, readBytes, pieceBytes) => {
        const pipe = createBytePipe({
          isManual: true,
          readBytes: () => readBytes,
          pieceBytes: () => pieceBytes,
          blockedAboveBytes: 100,
        });
        const [left, right] = [new CollectingSink(), new CollectingSink()];
        pipe.a.sink = left;
        pipe.b.sink = right;
        for (const bytes of writes) pipe.a.write(Buffer.from(bytes), 0, bytes.length);
        pipe.a.end();
        pipe.run();
        expect(right.bytes).toEqual(Buffer.concat(writes));
        expect([left.closes, right.closes, left.error, right.error]).toEqual([1, 1, undefined, undefined]);
      },
    ),
    { seed: 1, numRuns: 100 },
  );
});

test('an end is blocked above its maximum of unread bytes, until they are read', () => {
  const pipe = createBytePipe({ isManual: true, readBytes: () => 60, blockedAboveBytes: 100 });
  const [left, right] = [new CollectingSink(), new CollectingSink()];
  pipe.a.sink = left;
  pipe.b.sink = right;
  pipe.b.pause();
  pipe.a.write(Buffer.alloc(101), 0, 101);
  pipe.run();
  expect([pipe.a.isBlocked, pipe.a.unsentBytes, left.writables]).toEqual([true, 101, 0]);
  pipe.b.resume();
  pipe.run();
  expect([pipe.a.isBlocked, pipe.a.unsentBytes, left.writables]).toEqual([false, 0, 1]);
});

test('an abort closes this end at once and the other end with an error', () => {
  const pipe = createBytePipe({ isManual: true });
  const [left, right] = [new CollectingSink(), new CollectingSink()];
  pipe.a.sink = left;
  pipe.b.sink = right;
  pipe.a.write(Buffer.from('lost'), 0, 4);
  pipe.a.abort(new Error('The test aborts.'));
  expect([left.closes, left.error?.message, right.closes]).toEqual([1, 'The test aborts.', 0]);
  pipe.run();
  expect([right.closes, right.bytes.length, right.error instanceof Error]).toEqual([1, 0, true]);
});

test('connections of libp2p on both ends exchange bytes', async () => {
  const pipe = createBytePipe({ readBytes: () => 7, blockedAboveBytes: 20 });
  const dialed = createPipeConnection(pipe.a, 'outbound');
  const accepted = createPipeConnection(pipe.b, 'inbound');
  let received = 0;
  accepted.addEventListener('message', ({ data }) => void (received += data.byteLength));
  for (let index = 0; index < 100; index += 1) if (!dialed.send(new Uint8Array(100))) await dialed.onDrain();
  await until(() => received === 10_000, 'all bytes have arrived');
  await dialed.close();
  await until(() => accepted.status === 'closed', 'the other end is closed');
});
