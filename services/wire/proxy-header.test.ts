import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { CollectingSink } from '../../testing/collecting-sink.ts';
import { until, WAIT_TIMEOUT_MS } from '../../testing/wait.ts';
import { createProxyHeaders } from './proxy-header.ts';
import { type AcceptPath, createTcpListener } from './tcp-listener.ts';
import type { TcpSocket } from './tcp-socket.ts';
import { createWireIo } from './wire-io.ts';

afterEach(cleanUp);

const V1 = Buffer.from('PROXY TCP4 198.51.100.1 10.0.0.1 4660 4001\r\n');
const V2 = Buffer.from('0d0a0d0a000d0a515549540a21110010c63364010a000001123401bb040001ff', 'hex');
const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');

/** @param timeoutMs time for the header; by default more than a busy machine needs to send one */
async function serve(path: AcceptPath, { isTrusted = true, timeoutMs = WAIT_TIMEOUT_MS } = {}) {
  const outcomes: string[] = [];
  const connections: { socket: TcpSocket; sink: CollectingSink }[] = [];
  const accepted: TcpSocket[] = [];
  const onConnection = createProxyHeaders({
    isTrusted: () => isTrusted,
    timeoutMs,
    onOutcome: (outcome, address) => outcomes.push(`${outcome} ${address}`),
    onConnection(socket) {
      const sink = new CollectingSink();
      socket.sink = sink;
      connections.push({ socket, sink });
    },
  });
  const listener = createTcpListener({
    io: createWireIo({ isPoisoned: true }),
    path,
    maxUnsentBytes: 1024,
    keepAliveDelayMs: 15_000,
    onConnection(socket) {
      accepted.push(socket);
      onConnection(socket);
    },
  });
  await listener.listen({ host: '127.0.0.1', port: 0 });
  onCleanup(() => {
    listener.close();
    for (const socket of accepted) socket.abort(new Error('The test is over.'));
  });
  const open = (): Socket => {
    const socket = connect(listener.address()?.port ?? 0, '127.0.0.1')
      .on('error', () => {})
      .setNoDelay(true);
    onCleanup(() => socket.destroy());
    return socket.resume();
  };
  return { outcomes, connections, open };
}

describe.each(['onread', 'data'] as const)('connections of a trusted load balancer with %s', (path) => {
  test.each([
    ['version 1', V1, 'client', '198.51.100.1'],
    ['version 2', V2, 'client', '198.51.100.1'],
    ['LOCAL', LOCAL, 'proxy', '127.0.0.1'],
  ])('have the address of the client: %s', async (_, header, outcome, address) => {
    for (const isDivided of [false, true]) {
      const { connections, outcomes, open } = await serve(path);
      const client = open();
      const bytes = Buffer.concat([header, Buffer.from('first')]);
      if (isDivided)
        for (const byte of bytes) {
          client.write(Buffer.from([byte]));
          await new Promise(setImmediate);
        }
      else client.write(bytes);
      await until(() => connections[0]?.sink.bytes.toString() === 'first', 'the rest arrived');
      expect(connections[0]?.socket.remoteAddress).toBe(address);
      if (outcome === 'client') expect(connections[0]?.socket.remotePort).toBe(4660);
      expect(outcomes).toEqual([`${outcome} 127.0.0.1`]);
    }
  });

  test.each([
    ['missing', Buffer.from('GET / HTTP/1.1\r\n')],
    ['too_long', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['invalid', Buffer.from('PROXY TCP4 nobody 10.0.0.1 1 2\r\n')],
    ['timeout', Buffer.from('PROXY TCP4 ')],
    ['timeout', Buffer.alloc(0)],
  ])('without a valid header are closed: %s', async (outcome, bytes) => {
    const { connections, outcomes, open } = await serve(
      path,
      outcome === 'timeout' ? { timeoutMs: 300 } : {},
    );
    const client = open();
    client.write(bytes);
    await until(() => client.closed, 'it is closed');
    expect({ outcomes, connections }).toEqual({ outcomes: [`${outcome} 127.0.0.1`], connections: [] });
  });

  test('that send nothing, as health checks do, are counted', async () => {
    const { outcomes, open } = await serve(path);
    open().end();
    await until(() => outcomes.length === 1, 'it is counted');
    expect(outcomes).toEqual(['unused 127.0.0.1']);
  });

  test('of others need no header, and cannot claim an address with one', async () => {
    const { connections, open } = await serve(path, { isTrusted: false });
    open().write(V1);
    await until(() => connections[0]?.sink.bytes.equals(V1) === true, 'it arrived');
    expect(connections[0]?.socket.remoteAddress).toBe('127.0.0.1');
  });
});
