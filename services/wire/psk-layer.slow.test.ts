import { createHash, randomBytes } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { deadlineSignal, until } from '../../testing/wait.ts';
import { createSodiumCipher } from './cipher.ts';
import { GREETING } from './first-bytes.ts';
import type { ByteSink } from './layers.ts';
import { PskLayer } from './psk-layer.ts';
import { dialTcp } from './tcp-dial.ts';
import { createTcpListener } from './tcp-listener.ts';
import type { TcpSocket } from './tcp-socket.ts';
import { createWireIo } from './wire-io.ts';

/** Deadline of the test, in milliseconds. On two idle cores it takes ten seconds. */
const TEST_TIMEOUT_MS = 300_000;

const SOCKET = { maxUnsentBytes: 64 * 1024 * 1024, keepAliveDelayMs: 15_000 };
const CHUNKS = 16 * 1024;

afterEach(cleanUp);

class HashingSink implements ByteSink {
  readonly hash = createHash('sha256');
  length = 0;
  onWritable = (): void => {};

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.hash.update(buffer.subarray(start, end));
    this.length += end - start;
  }

  onReadEnd(): void {}

  onClose(): void {}
}

const key = randomBytes(32);

function protect(socket: TcpSocket, isInbound: boolean) {
  const layer = new PskLayer(socket, { key, cipher: createSodiumCipher(), isInbound });
  const sink = new HashingSink();
  layer.sink = sink;
  onCleanup(() => layer.abort(new Error('The test is over.')));
  return { layer, sink };
}

test(
  'a protected connection carries 1 GiB with bounded memory',
  async () => {
    const io = createWireIo();
    const accepted: HashingSink[] = [];
    const onConnection = (socket: TcpSocket): void => void accepted.push(protect(socket, true).sink);
    const listener = createTcpListener({ io, path: 'onread', ...SOCKET, onConnection });
    await listener.listen({ host: '127.0.0.1', port: 0 });
    onCleanup(() => listener.close());
    const port = listener.address()?.port ?? 0;
    const signal = deadlineSignal();
    const socket = await dialTcp({ host: '127.0.0.1', port }, { io, ...SOCKET, signal });
    const { layer, sink } = protect(socket, false);
    socket.resume();
    const chunk = randomBytes(64 * 1024);
    const hash = createHash('sha256').update(GREETING);
    layer.write(GREETING, 0, GREETING.length);
    const beforeBytes = process.memoryUsage.rss();
    let peakBytes = beforeBytes;
    for (let index = 0; index < CHUNKS; index += 1) {
      hash.update(chunk);
      layer.write(chunk, 0, chunk.length);
      if (layer.isBlocked) await new Promise<void>((resolve) => (sink.onWritable = resolve));
      if (index % 256 === 0) peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    }
    const total = CHUNKS * chunk.length + GREETING.length;
    await until(() => accepted[0]?.length === total, 'all arrived');
    expect(accepted[0]?.hash.digest('hex')).toBe(hash.digest('hex'));
    // Much less than the 1,024 MiB that were sent. It includes garbage that has not been collected yet.
    expect((peakBytes - beforeBytes) / 1024 / 1024).toBeLessThan(256);
  },
  TEST_TIMEOUT_MS,
);
