// The lowest layer over real TCP connections, with both ways to read accepted sockets.
import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { array, assert, asyncProperty, boolean, integer, tuple } from 'fast-check';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { deadlineSignal, until } from '../../testing/wait.ts';
import { testAccept } from './accept-test.ts';
import type { ByteSink } from './layers.ts';
import { type AcceptPath, createTcpListener } from './tcp-listener.ts';
import { dialTcp } from './tcp-dial.ts';
import type { TcpSocket, TcpSocketOptions } from './tcp-socket.ts';
import { createWireIo } from './wire-io.ts';

afterEach(cleanUp);

const MAX_UNSENT_BYTES = 64 * 1024 * 1024;

/** A layer that keeps what it receives. */
class Recorder implements ByteSink {
  readonly events: string[] = [];
  readonly hash = createHash('sha256');
  bytes = 0;
  error: Error | undefined;
  isClosed = false;
  onChunk: (chunk: Buffer) => void = () => {};

  onBytes(buffer: Buffer, start: number, end: number): void {
    const chunk = Buffer.from(buffer.subarray(start, end));
    this.hash.update(chunk);
    this.bytes += chunk.length;
    this.onChunk(chunk);
  }

  onReadEnd(): void {
    if (this.events.at(-1) !== 'read') this.events.push('read');
  }

  onWritable(): void {
    this.events.push('writable');
  }

  onClose(error: Error | undefined): void {
    this.events.push('close');
    this.error = error;
    this.isClosed = true;
  }
}

async function serve(path: AcceptPath, options: Partial<TcpSocketOptions> = {}, closeMs = 60_000) {
  const io = createWireIo({ isPoisoned: true, closeMs });
  const accepted: { readonly socket: TcpSocket; readonly layer: Recorder }[] = [];
  const listener = createTcpListener({
    io,
    path,
    maxUnsentBytes: MAX_UNSENT_BYTES,
    keepAliveDelayMs: 15_000,
    ...options,
    onConnection(socket) {
      const layer = new Recorder();
      socket.sink = layer;
      accepted.push({ socket, layer });
    },
  });
  await listener.listen({ host: '127.0.0.1', port: 0 });
  onCleanup(() => {
    listener.close();
    for (const { socket } of accepted) socket.abort(new Error('The test is over.'));
  });
  const port = listener.address()?.port ?? 0;
  return {
    io,
    port,
    async accept() {
      const count = accepted.length;
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
      onCleanup(() => client.destroy());
      await until(() => accepted.length > count, 'the connection was accepted');
      const connection = accepted[count];
      if (connection === undefined) throw new Error('There is no connection.');
      return { client, ...connection };
    },
  };
}

/** The bytes that a client receives until the other side closes its direction. */
async function readAll(client: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of client) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Writes small messages until the kernel takes no more, and then some. Returns all of them. */
async function block(socket: TcpSocket): Promise<Buffer> {
  const sent: Buffer[] = [];
  for (let afterwards = 0; afterwards < 2_000 && socket.isOpen; afterwards += socket.isBlocked ? 1 : 0) {
    const message = randomBytes(socket.isBlocked ? 100 : 60_000);
    sent.push(message);
    socket.write(message, 0, message.length);
    if (!socket.isBlocked) await Promise.resolve();
  }
  return Buffer.concat(sent);
}

test('accepted sockets are read into the read buffer in this version of Node', async () => {
  expect(await testAccept()).toEqual({ path: 'onread' });
});

describe.each(['onread', 'data'] as const)('a socket with %s', (path) => {
  test('carries the bytes in both directions, in chunks of any size, while it is paused at any time', async () => {
    const server = await serve(path);
    await assert(
      asyncProperty(
        array(tuple(integer({ min: 1, max: 300_000 }), boolean()), {
          minLength: 1,
          maxLength: 8,
        }),
        async (steps) => {
          const { client, socket, layer } = await server.accept();
          const isPausing = steps.map(([, pauses]) => pauses);
          let isPaused = false;
          layer.onChunk = (chunk) => {
            expect(isPaused).toBe(false);
            socket.write(chunk, 0, chunk.length);
            if (isPausing.pop() !== true) return;
            isPaused = true;
            socket.pause();
            setImmediate(() => {
              isPaused = false;
              socket.resume();
            });
          };
          const sent = randomBytes(steps.reduce((sum, [bytes]) => sum + bytes, 0));
          const received = readAll(client);
          let from = 0;
          for (const [bytes] of steps) client.write(sent.subarray(from, (from += bytes)));
          client.end();
          expect((await received).equals(sent)).toBe(true);
          await until(() => layer.isClosed, 'it is closed');
          expect(layer.error).toBeUndefined();
          expect(layer.bytes).toBe(sent.length);
        },
      ),
      { numRuns: 6 },
    );
  });

  test('is blocked while the other side does not read, counts what waits, and sends it later', async () => {
    const { accept, io } = await serve(path);
    const { client, socket, layer } = await accept();
    const message = Buffer.from('idle');
    socket.write(message, 0, message.length);
    expect(socket.unsentBytes).toBe(message.length);
    await until(() => socket.unsentBytes === 0, 'it is sent');
    expect(socket.isBlocked).toBe(false);
    const sent = await block(socket);
    expect(socket.unsentBytes).toBeGreaterThan(2_000 * 99);
    expect(socket.unsentBytes).toBeLessThan(2_000 * 100 + 300_000);
    expect(io.pool.collecting).toBe(0);
    layer.events.length = 0;
    const received = readAll(client);
    await until(() => !socket.isBlocked, 'it is writable again');
    expect(layer.events).toEqual(['writable']);
    expect(socket.unsentBytes).toBe(0);
    socket.end();
    expect((await received).equals(Buffer.concat([message, sent]))).toBe(true);
  });

  test('sends what waits before it closes, and ignores what is written afterwards', async () => {
    const { accept } = await serve(path);
    const { client, socket, layer } = await accept();
    const sent = await block(socket);
    socket.end();
    socket.write(Buffer.from('late'), 0, 4);
    socket.end();
    const received = await readAll(client);
    expect(received.equals(sent)).toBe(true);
    client.end();
    await until(() => layer.isClosed, 'it is closed');
    expect(layer.error).toBeUndefined();
    socket.write(Buffer.from('later'), 0, 5);
    socket.abort(new Error('It is closed already.'));
    expect(layer.events.filter((event) => event === 'close')).toHaveLength(1);
    expect(socket.unsentBytes).toBe(0);
  });

  test('is cut when the other side neither reads nor closes', async () => {
    const { accept } = await serve(path, {}, 20);
    const { socket, layer, client } = await accept();
    await block(socket);
    socket.end();
    await until(() => layer.isClosed, 'it is closed');
    expect(client.readableEnded).toBe(false);
  });

  test('is aborted above the maximum of unsent bytes', async () => {
    const { accept } = await serve(path, { maxUnsentBytes: 150_000 });
    const { socket, layer } = await accept();
    await block(socket);
    await until(() => layer.isClosed, 'it is closed');
    expect(layer.error?.message).toMatch(/^More than 150000 bytes wait to be sent/);
  });

  test('is aborted when a layer throws, and the others go on', async () => {
    const { accept } = await serve(path);
    const [first, second] = [await accept(), await accept()];
    first.layer.onChunk = () => {
      throw new Error('A layer failed.');
    };
    first.client.write('x');
    await until(() => first.layer.isClosed, 'it is closed');
    expect(first.layer.error?.message).toBe('A layer failed.');
    const third = await accept();
    third.socket.filter = {
      onFlush() {
        throw new Error('A filter failed.');
      },
    };
    third.socket.write(Buffer.from('x'), 0, 1);
    await until(() => third.layer.isClosed, 'it is closed');
    expect(third.layer.error?.message).toBe('A filter failed.');
    second.client.write('x');
    await until(() => second.layer.bytes === 1, 'the other one receives');
  });

  test('closes with the error of a reset, and without one at the end of the other side', async () => {
    const { accept } = await serve(path);
    const [reset, ended] = [await accept(), await accept()];
    reset.client.resetAndDestroy();
    ended.client.end('last');
    await until(() => reset.layer.isClosed && ended.layer.isClosed, 'both are closed');
    expect(reset.layer.error).toMatchObject({ code: 'ECONNRESET' });
    expect(ended.layer).toMatchObject({ error: undefined, bytes: 4, events: ['read', 'close'] });
  });

  test('is aborted when it is idle', async () => {
    const { accept } = await serve(path, { idleTimeoutMs: 20 });
    const { layer } = await accept();
    await until(() => layer.isClosed, 'it is closed');
    expect(layer.error?.message).toBe('The connection transferred no byte for its idle timeout.');
  });

  test('writes that were collected for many connections are all sent', async () => {
    const { accept } = await serve(path);
    const connections = await Promise.all(Array.from({ length: 1 }, accept));
    for (let n = 1; n < 30; n += 1) connections.push(await accept());
    const message = randomBytes(30_000);
    for (let part = 0; part < message.length; part += 1_000)
      for (const { socket } of connections) socket.write(message, part, part + 1_000);
    for (const { socket } of connections) socket.end();
    for (const { client } of connections) expect((await readAll(client)).equals(message)).toBe(true);
  });
});

const createListener = () =>
  createTcpListener({
    io: createWireIo(),
    path: 'onread',
    maxUnsentBytes: 1,
    keepAliveDelayMs: 15_000,
    onConnection: (socket) => socket.end(),
  });

describe('a listener', () => {
  test('rejects with the reason when its port is used, and serves IPv4 and IPv6 on the same port', async () => {
    const [first, second, third] = [createListener(), createListener(), createListener()];
    await first.listen({ host: '0.0.0.0', port: 0 });
    onCleanup(() => [first, second, third].forEach((each) => each.close()));
    const port = first.address()?.port ?? 0;
    await expect(second.listen({ host: '0.0.0.0', port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await third.listen({ host: '::', port });
    expect(third.address()).toEqual({ host: '::', port });
  });
});

test('a dialed socket is paused until its layer is set', async () => {
  const server = await serve('onread');
  const io = createWireIo({ isPoisoned: true });
  const options = {
    io,
    maxUnsentBytes: MAX_UNSENT_BYTES,
    keepAliveDelayMs: 15_000,
    signal: deadlineSignal(),
  };
  const before = server.accept();
  const other = await before;
  const socket = await dialTcp({ host: '127.0.0.1', port: server.port }, options);
  onCleanup(() => socket.abort(new Error('The test is over.')));
  const greeting = randomBytes(5_000);
  await new Promise(setImmediate);
  const layer = new Recorder();
  socket.sink = layer;
  socket.resume();
  socket.write(greeting, 0, greeting.length);
  socket.end();
  await until(() => layer.isClosed, 'it is closed');
  expect(other.socket.remoteAddress).toBe('127.0.0.1');
});
