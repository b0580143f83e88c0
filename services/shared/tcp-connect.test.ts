import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { deadlineSignal } from '../../testing/wait.ts';
import { connectTcp, type Family, type Lookup } from './tcp-connect.ts';

afterEach(cleanUp);

/** A port on which nothing listens. */
const CLOSED_PORT = 9;

/** Listens on the address and returns the port. */
async function listen(host: string): Promise<number> {
  const server = createServer((socket) => void socket.on('error', () => {}).resume());
  server.listen(0, host);
  await once(server, 'listening');
  onCleanup(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** A resolver with fixed addresses. `never` does not answer. */
function resolver(records: Partial<Record<Family, readonly string[] | 'never'>>): Lookup {
  return async (name, family) => {
    const addresses = records[family];
    if (addresses === 'never') return new Promise(() => {});
    if (addresses === undefined)
      throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
    return addresses;
  };
}

async function remoteOf(
  port: number,
  lookup: Lookup,
  families?: readonly Family[],
): Promise<string | undefined> {
  const target = { host: 'relay.test', port, ...(families && { families }) };
  const socket = await connectTcp(target, { signal: deadlineSignal(), lookup });
  onCleanup(() => void socket.destroy());
  return socket.remoteAddress;
}

const BOTH = resolver({ 4: ['127.0.0.1'], 6: ['::1'] });

describe('a connection to a name', () => {
  test('prefers IPv6, and uses IPv4 when nothing answers there', async () => {
    expect(await remoteOf(await listen('::1'), BOTH)).toBe('::1');
    expect(await remoteOf(await listen('127.0.0.1'), BOTH)).toBe('127.0.0.1');
  });

  test('uses only the families that are asked for', async () => {
    const port = await listen('127.0.0.1');
    await expect(remoteOf(port, BOTH, [6])).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await remoteOf(port, BOTH, [4])).toBe('127.0.0.1');
    await expect(remoteOf(port, resolver({ 6: ['::1'] }), [4])).rejects.toMatchObject({
      code: 'ENOTFOUND',
      message: 'No IPv4 address of the name relay.test was found: getaddrinfo ENOTFOUND relay.test',
    });
  });

  test.each<[string, Partial<Record<Family, readonly string[] | 'never'>>]>([
    ['there is no IPv6 address', { 4: ['127.0.0.1'] }],
    ['the look-up of IPv6 does not end', { 4: ['127.0.0.1'], 6: 'never' }],
    // No machine has a route to this network, or nothing answers there.
    ['IPv6 addresses do not answer', { 4: ['127.0.0.1'], 6: ['100::1', '100::2'] }],
    ['some IPv4 addresses refuse', { 4: ['127.0.0.3', '127.0.0.2', '127.0.0.1'] }],
    ['there are two empty answers in between', { 4: ['127.0.0.1'], 6: [] }],
  ])('succeeds when %s', async (_, records) => {
    expect(await remoteOf(await listen('127.0.0.1'), resolver(records))).toBe('127.0.0.1');
  });

  test('uses IPv6 when the look-up of IPv4 does not end', async () => {
    expect(await remoteOf(await listen('::1'), resolver({ 4: 'never', 6: ['::1'] }))).toBe('::1');
  });

  test('names the failure of each address', async () => {
    await expect(remoteOf(CLOSED_PORT, BOTH)).rejects.toThrow(
      'No address of relay.test accepts connections: connect ECONNREFUSED ::1:9; connect ECONNREFUSED 127.0.0.1:9',
    );
    await expect(remoteOf(CLOSED_PORT, resolver({ 4: ['127.0.0.1'] }))).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    await expect(remoteOf(CLOSED_PORT, resolver({}))).rejects.toThrow(
      'No IPv6 address of the name relay.test was found: getaddrinfo ENOTFOUND relay.test; No IPv4 address of the name relay.test was found',
    );
  });

  test('tries at most sixteen addresses', async () => {
    const many = Array.from({ length: 40 }, (_, number) => `127.0.1.${number + 1}`);
    const failure: unknown = await remoteOf(CLOSED_PORT, resolver({ 4: many })).catch(
      (error: unknown) => error,
    );
    expect((failure as AggregateError).errors).toHaveLength(16);
  });

  test('ends with the reason of the signal', async () => {
    const stopped = new AbortController();
    const reason = new Error('The caller stopped.');
    const target = { host: 'relay.test', port: CLOSED_PORT };
    const options = { signal: stopped.signal, lookup: resolver({ 4: 'never', 6: 'never' }) };
    const connecting = connectTcp(target, options);
    stopped.abort(reason);
    await expect(connecting).rejects.toBe(reason);
    await expect(connectTcp(target, options)).rejects.toBe(reason);
  });
});

test('an address needs no look-up', async () => {
  const port = await listen('127.0.0.1');
  const lookup = resolver({});
  const socket = await connectTcp({ host: '127.0.0.1', port }, { signal: deadlineSignal(), lookup });
  socket.destroy();
  await expect(
    connectTcp({ host: '::1', port: CLOSED_PORT }, { signal: deadlineSignal(), lookup }),
  ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('the resolver of the operating system knows the names of this machine', async () => {
  const port = await listen('127.0.0.1');
  const connect = async () =>
    connectTcp({ host: 'localhost', port, families: [4] }, { signal: deadlineSignal() });
  const sockets = await Promise.all([connect(), connect()]);
  expect(sockets.map(({ remoteAddress }) => remoteAddress)).toEqual(['127.0.0.1', '127.0.0.1']);
  for (const socket of sockets) socket.destroy();
});
