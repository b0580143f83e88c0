// The swarm key layer in both roles against the protector of the reference devices: on real sockets, with the TCP transport
// of libp2p, and in memory, with any division into reads.
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { array, assert, asyncProperty, integer } from 'fast-check';
import { createBytePipe } from '../../testing/byte-pipe.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { CollectingSink } from '../../testing/collecting-sink.ts';
import { createPipeConnection } from '../../testing/pipe-connection.ts';
import { collect, dialRaw, listen, send } from '../../testing/protected-connections.ts';
import { createStockProtector } from '../../testing/stock-psk.ts';
import { deadlineSignal, until } from '../../testing/wait.ts';
import { type Cipher, createNobleCipher, createSodiumCipher } from './cipher.ts';
import { GREETING } from './first-bytes.ts';
import { PskLayer } from './psk-layer.ts';
import { dialTcp } from './tcp-dial.ts';
import { type AcceptPath, createTcpListener } from './tcp-listener.ts';
import type { TcpSocket } from './tcp-socket.ts';
import { createWireIo } from './wire-io.ts';

const key = randomBytes(32);
const stock = createStockProtector({ bytes: key })();
const [sodium, noble] = [createSodiumCipher(), createNobleCipher()];
const SOCKET = { maxUnsentBytes: 64 * 1024 * 1024, keepAliveDelayMs: 15_000 };

afterEach(cleanUp);

function exhausted(): never {
  throw new RangeError('The keystream is exhausted.');
}

function protect(socket: TcpSocket, cipher: Cipher, isInbound: boolean) {
  const layer = new PskLayer(socket, { key, cipher, isInbound });
  const sink = new CollectingSink();
  layer.sink = sink;
  onCleanup(() => layer.abort(new Error('The test is over.')));
  return { layer, sink };
}

/** Accepts connections, each with the next of the ciphers. */
async function serve(path: AcceptPath, ...ciphers: Cipher[]) {
  const ends: ReturnType<typeof protect>[] = [];
  const onConnection = (socket: TcpSocket): void =>
    void ends.push(protect(socket, ciphers[ends.length % ciphers.length] ?? sodium, true));
  const listener = createTcpListener({
    io: createWireIo({ isPoisoned: true }),
    path,
    ...SOCKET,
    onConnection,
  });
  await listener.listen({ host: '127.0.0.1', port: 0 });
  onCleanup(() => listener.close());
  return { ends, port: listener.address()?.port ?? 0 };
}

/** Sends chunks of these lengths in both directions, the greeting first, and compares all of them. */
async function exchange(
  { layer, sink }: ReturnType<typeof protect>,
  connection: Awaited<ReturnType<typeof stock.protect>>,
  lengths: readonly number[] = Array.from({ length: 60 }, () => randomInt(1, 60_000)),
): Promise<void> {
  const received = collect(connection as Parameters<typeof collect>[0]);
  const chunks = [GREETING, ...lengths.map((length) => randomBytes(length))];
  const all = Buffer.concat(chunks);
  for (const chunk of chunks) {
    layer.write(chunk, 0, chunk.length);
    await send(connection as Parameters<typeof send>[0], chunk);
  }
  await until(() => received.bytes() === all.length && sink.bytes.length === all.length, 'all arrived');
  expect(sink.bytes.equals(all)).toBe(true);
  expect(received.digest()).toBe(createHash('sha256').update(all).digest('hex'));
}

describe.each([
  { name: 'sodium', cipher: sodium },
  { name: 'noble', cipher: noble },
])('the layer with $name', ({ cipher }) => {
  test.each(['onread', 'data'] as const)('exchanges bytes with a stock dialer, with %s', async (path) => {
    const { ends, port } = await serve(path, cipher);
    const connection = await stock.protect(await dialRaw(port), {});
    await until(() => ends.length === 1, 'it was accepted');
    const [end] = ends;
    if (end !== undefined) await exchange(end, connection);
  });

  test('exchanges bytes with a stock listener', async () => {
    const { port, accepted } = await listen();
    const io = createWireIo({ isPoisoned: true });
    const socket = await dialTcp({ host: '127.0.0.1', port }, { io, ...SOCKET, signal: deadlineSignal() });
    const end = protect(socket, cipher, false);
    socket.resume();
    await until(() => accepted.length === 1, 'it was accepted');
    const [raw] = accepted;
    if (raw !== undefined) await exchange(end, await stock.protect(raw, {}));
  });
});

describe.each([
  { name: 'sodium', cipher: sodium },
  { name: 'noble', cipher: noble },
])('in memory, the layer with $name', ({ cipher }) => {
  test.each([
    { role: 'dials', isInbound: false },
    { role: 'listens', isInbound: true },
  ])(
    'exchanges bytes with the stock implementation when it $role, in any division',
    async ({ isInbound }) => {
      await assert(
        asyncProperty(
          array(integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 6 }),
          array(integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
          async (lengths, sizes) => {
            let reads = 0;
            // The first reads are small, so that nonce and greeting are divided.
            const readBytes = (): number => (reads > 20 ? 4_000 : (sizes[reads++ % sizes.length] ?? 1));
            const pipe = createBytePipe({ readBytes, headroomBytes: () => reads % 3 });
            const layer = new PskLayer(pipe.a, { key, cipher, isInbound });
            const sink = new CollectingSink();
            layer.sink = sink;
            const raw = createPipeConnection(pipe.b, isInbound ? 'outbound' : 'inbound');
            await exchange({ layer, sink }, await stock.protect(raw, {}), lengths);
          },
        ),
        { seed: 16, numRuns: 12 },
      );
    },
  );
});

test.each(['onread', 'data'] as const)(
  'a keystream that throws ends its connection and no other, with %s',
  async (path) => {
    let used = 0;
    // One fails with the bytes of the other side, one with ours.
    const create = (failsAt: number): Cipher => ({
      name: 'noble',
      keystream: (...args) => {
        used += 1;
        return used % 2 === failsAt ? { xor: exhausted } : sodium.keystream(...args);
      },
    });
    const { ends, port } = await serve(path, create(1), create(0), sodium);
    for (let index = 0; index < 2; index += 1) {
      const raw = await dialRaw(port);
      stock
        .protect(raw, {})
        .then((connection) => send(connection as Parameters<typeof send>[0], GREETING))
        .catch(() => {});
      await until(() => ends[index] !== undefined, 'it was accepted');
      await until(() => ends[index]?.layer.unsentBytes === 0, 'the nonce was sent');
      ends[index]?.layer.write(GREETING, 0, GREETING.length);
      await until(() => ends[index]?.sink.closes === 1, 'it is closed');
    }
    const connection = await stock.protect(await dialRaw(port), {});
    await until(() => ends.length === 3, 'the third was accepted');
    const [, , third] = ends;
    if (third !== undefined) await exchange(third, connection);
  },
);
