import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Libp2p, Stream } from '@libp2p/interface';
import { createLibp2p } from 'libp2p';
import { until, WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';
import { monotonicMs } from '../../shared/clock.ts';
import { toWire } from '../history/entry.ts';
import { pull } from './pull.ts';
import { servePulls } from './serve.ts';
import { readToEnd, writeAndClose } from './stream-io.ts';
import { decodeResponse, MAX_RESPONSE_BYTES, PULL_PROTOCOLS } from './sync-protocol.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createStockStack, STOCK_MPLEX } from '../../../testing/stock-stack.ts';
import {
  createTestLog,
  createTestMembership,
  createTestPullDeps,
  makeEntries,
  startDevice,
  testSwarmKey,
  type TestDevice,
} from '../../../testing/peer.ts';

afterEach(cleanUp);

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];
const PLAIN = PULL_PROTOCOLS[1] ?? '';
const timeouts = { idleTimeoutMs: WAIT_TIMEOUT_MS };

async function startServer(idleTimeoutMs = WAIT_TIMEOUT_MS) {
  const device = await startDevice(LOOPBACK);
  const { log, lines } = createTestLog();
  const { libp2p } = device.node;
  const membership = createTestMembership(device);
  const deps = { libp2p, store: device.store, membership, answersAnyone: true, log, nowMs: monotonicMs };
  onCleanup(await servePulls({ ...deps, idleTimeoutMs }));
  return { ...device, lines };
}

/** Opens a stream of a requester. */
async function openStream(server: TestDevice, protocol = PLAIN): Promise<Stream> {
  const client = await startDevice();
  const [address] = server.node.libp2p.getMultiaddrs();
  if (address === undefined) throw new Error('The server does not listen.');
  const connection = await client.node.libp2p.dial(address);
  return connection.newStream(protocol);
}

async function requestPage(server: TestDevice, limit = 1000) {
  const stream = await openStream(server);
  const request = { cursor: 0, deleteCursor: undefined, limit };
  await writeAndClose(stream, Buffer.from(JSON.stringify(request)), timeouts);
  return decodeResponse(PLAIN, await readToEnd(stream, MAX_RESPONSE_BYTES, timeouts), request);
}

const hasEnded = (stream: Stream) => (): boolean => stream.status !== 'open';

const write = async (stream: Stream, value: unknown): Promise<void> =>
  writeAndClose(stream, Buffer.from(JSON.stringify(value)), timeouts);

describe('a serving device', () => {
  test.each([
    ['text that is not JSON', 'nonsense', /not a JSON object/],
    [
      'a request of 65 KiB',
      `{"cursor":0,"limit":1,"x":"${'x'.repeat(65 * 1024)}"}`,
      /too large: \d+ > 65536 bytes/,
    ],
    ['a limit that is not a number', '{"cursor":0,"limit":"all"}', /limit/],
  ])('aborts a stream with %s, logs the reason, and serves other requesters', async (_, text, reason) => {
    const server = await startServer();
    server.store.insert(makeEntries(3));
    const stream = await openStream(server);
    await writeAndClose(stream, Buffer.from(text), timeouts).catch(() => {});
    await until(hasEnded(stream), 'the stream has ended');
    expect(server.lines).toContainEqual({
      peer: expect.any(String),
      error: expect.stringMatching(reason),
      message: 'pull failed',
    });
    expect((await requestPage(server)).entries).toHaveLength(3);
  });

  test('logs a peer that repeats its mistake once, so that it does not hide other peers', async () => {
    const server = await startServer();
    for (const client of [await startDevice(), await startDevice()]) {
      const connection = await client.node.libp2p.dial(server.node.libp2p.getMultiaddrs());
      for (let count = 0; count < 5; count += 1) {
        const stream = await connection.newStream(PLAIN);
        await writeAndClose(stream, Buffer.from('nonsense'), timeouts).catch(() => {});
        await until(hasEnded(stream), 'the stream has ended');
      }
    }
    expect(server.lines.filter(({ message }) => message === 'pull failed')).toHaveLength(2);
  });

  test('aborts a request that is not completed within the idle timeout', async () => {
    const server = await startServer(100);
    const stream = await openStream(server);
    stream.send(Buffer.from('{"cursor":'));
    await until(hasEnded(stream), 'the stream has ended');
    expect(server.lines).toContainEqual(
      expect.objectContaining({ error: expect.stringContaining('idle for 100 ms') }),
    );
  });

  test('accepts a request that arrives byte by byte', async () => {
    const server = await startServer();
    server.store.insert(makeEntries(3));
    const stream = await openStream(server);
    const request = { cursor: 0, deleteCursor: undefined, limit: 10 };
    for (const byte of Buffer.from(JSON.stringify({ ...request, padding: 'x'.repeat(2_000) })))
      stream.send(Uint8Array.of(byte));
    await stream.close();
    const message = await readToEnd(stream, MAX_RESPONSE_BYTES, timeouts);
    expect((await decodeResponse(PLAIN, message, request)).entries).toHaveLength(3);
  });

  test('aborts a response that is not read, and its history can be written meanwhile', async () => {
    const server = await startServer(300);
    server.store.insert(makeEntries(2_000, 'laptop', 4_000));
    const stream = await openStream(server);
    stream.pause();
    stream.send(Buffer.from('{"cursor":0,"limit":2000}'));
    await stream.close();
    server.store.insert(makeEntries(10, 'desktop'));
    await until(() => server.lines.some(({ message }) => message === 'pull failed'), 'the pull has failed');
    expect(server.store.summary().entries).toBe(2_010);
  });

  test('limits the size of a response', async () => {
    const server = await startServer();
    server.store.insert(makeEntries(3_000, 'laptop', 4_000));
    const { entries, nextCursor } = await requestPage(server, 3_000);
    expect(entries.length).toBeLessThan(1_100);
    expect(nextCursor).toBe(entries.length);
  });

  test('refuses pulls of one peer above its limit, and serves it again later', async () => {
    const server = await startServer();
    const client = await startDevice();
    const streams: Stream[] = [];
    for (let connections = 0; connections < 2; connections += 1) {
      const connection = await client.node.libp2p.dial(server.node.libp2p.getMultiaddrs(), { force: true });
      for (let count = 0; count < 4; count += 1) streams.push(await connection.newStream(PLAIN));
    }
    await until(() => streams.filter((stream) => stream.status !== 'open').length === 4, 'four are refused');
    expect(server.lines.filter(({ message }) => message === 'pull refused')).toHaveLength(4);
    for (const stream of streams) stream.abort(new Error('The test has ended.'));
    await until(
      async () =>
        requestPage(server).then(
          () => true,
          () => false,
        ),
      'it is served again',
    );
  });

  test('supports only the pull protocols of rr', async () => {
    const server = await startServer();
    await expect(openStream(server, '/rustory/entries-push/1.0.0')).rejects.toThrow(
      expect.objectContaining({ name: 'UnsupportedProtocolError' }),
    );
  });
});

async function startOldNode(): Promise<Libp2p> {
  const identity = await generateKeyPair('Ed25519');
  const node = await createLibp2p({
    ...createStockStack({ identity, key: testSwarmKey, muxers: [STOCK_MPLEX] }),
    addresses: { listen: LOOPBACK },
  });
  onCleanup(async () => node.stop());
  return node;
}

describe('a device that supports only mplex', () => {
  test('can pull', async () => {
    const server = await startServer();
    server.store.insert(makeEntries(1_000, 'laptop', 3_000));
    const old = await startOldNode();
    const stream = await old.dialProtocol(server.node.libp2p.getMultiaddrs(), PLAIN);
    const request = { cursor: 0, deleteCursor: undefined, limit: 1_000 };
    await writeAndClose(stream, Buffer.from(JSON.stringify(request)), timeouts);
    const message = await readToEnd(stream, MAX_RESPONSE_BYTES, timeouts);
    expect(message.length).toBeGreaterThan(3_000_000);
    expect((await decodeResponse(PLAIN, message, request)).entries).toHaveLength(1_000);
  });

  test('can be pulled from', async () => {
    const old = await startOldNode();
    const history = makeEntries(1_000, 'laptop', 3_000);
    await old.handle(PLAIN, async (stream) => {
      const { cursor } = JSON.parse((await readToEnd(stream, 1_000, timeouts)).toString()) as {
        cursor: number;
      };
      const entries = history.slice(cursor).map(toWire);
      await write(stream, { entries, next_cursor: entries.length === 0 ? null : 1_000 });
    });
    const client = await startDevice();
    const target = { peerId: old.peerId.toString(), addresses: old.getMultiaddrs().map(String) };
    const deps = createTestPullDeps(client);
    expect(await pull(target, deps, { limit: 1_000 })).toMatchObject({ entries: 1_000, error: undefined });
  });
});
