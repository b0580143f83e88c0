import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { describeError } from '../shared/errors.ts';
import { loadCipher } from '../wire/cipher.ts';
import { testWireIo } from '../../testing/wire-io.ts';
import { createWireStack } from './adapters/wire-stack.ts';
import { generateSwarmKey } from './key.ts';
import { createListenFailures, startNode } from './listen.ts';

afterEach(cleanUp);

/** An address that this machine does not have: a network for documentation. */
const FOREIGN4 = '/ip4/192.0.2.9/tcp/0';
const FOREIGN6 = '/ip6/2001:db8::9/tcp/0';

async function usePort(): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => void server.close());
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}

/** Starts a node with these listen addresses. Returns the error, or the addresses that it listens on. */
async function start(listen: readonly string[]): Promise<string> {
  const failures = createListenFailures();
  const node = await createLibp2p({
    ...createWireStack({
      identity: await generateKeyPair('Ed25519'),
      key: generateSwarmKey(),
      cipher: loadCipher(),
      limits: { maxConnections: 1, maxPendingInbound: 1, maxStreamsPerConnection: 1, maxParallelDials: 1 },
      onListenFailure: failures.onListenFailure,
      io: testWireIo,
      acceptPath: 'data',
    }),
    addresses: { listen: [...listen] },
    start: false,
  });
  onCleanup(async () => node.stop());
  try {
    await startNode(node, { failures, listen, setting: 'RELAY_LISTEN' });
    return node.getMultiaddrs().map(String).join();
  } catch (error) {
    expect(node.status).toBe('stopped');
    return describeError(error);
  }
}

describe('a node that cannot listen on one of its addresses does not start, and says why', () => {
  test.each<[string, (port: number) => string[], (port: number) => string[]]>([
    [
      'a port in use',
      (port) => [`/ip4/127.0.0.1/tcp/${port}`],
      (port) => [
        `/ip4/127.0.0.1/tcp/${port}: another program, or another address of the list, uses the port`,
      ],
    ],
    [
      'a second address of another machine',
      () => ['/ip4/127.0.0.1/tcp/0', FOREIGN4],
      () => [`${FOREIGN4}: this machine does not have the address`],
    ],
    [
      'an IPv6 address of another machine besides IPv4',
      () => ['/ip4/127.0.0.1/tcp/0', FOREIGN6],
      () => [`${FOREIGN6}: this machine does not have the address`],
    ],
    [
      'two of them',
      (port) => [FOREIGN4, '/ip6/::1/tcp/0', `/ip4/127.0.0.1/tcp/${port}`],
      (port) => [
        `${FOREIGN4}: this machine does not have the address`,
        `/ip4/127.0.0.1/tcp/${port}: another program, or another address of the list, uses the port`,
      ],
    ],
  ])('%s', async (_, listen, reasons) => {
    const port = await usePort();
    const text = await start(listen(port));
    expect(text).toMatch(/^RELAY_LISTEN: the node cannot listen on /);
    for (const reason of reasons(port)) expect(text).toContain(reason);
    expect(text).not.toMatch(/faultTolerance|transportManager|NO_FATAL/);
    // Only what failed is named.
    expect(text).not.toMatch(/127\.0\.0\.1\/tcp\/0|::1/);
  });

  test('all addresses and one of them', async () => {
    const port = await usePort();
    const free = port + 1;
    expect(await start([`/ip4/0.0.0.0/tcp/${free}`, `/ip4/127.0.0.1/tcp/${free}`])).toMatch(
      /^RELAY_LISTEN: .*: another program, or another address of the list, uses the port\./,
    );
  });
});

/** Whether a failure means that there is no IPv6, or is a problem. */
function missing(text: string, code: string) {
  const failures = createListenFailures();
  failures.onListenFailure(multiaddr(text), Object.assign(new Error(code), { code }));
  return { withoutIpv6: failures.withoutIpv6().length, problems: failures.problems().length };
}

async function refuse(): Promise<void> {
  throw Object.assign(new Error('Some text of the library'), { name: 'UnsupportedListenAddressesError' });
}

describe('a machine without IPv6', () => {
  test.each([
    ['/ip6/::/tcp/4001', 'EAFNOSUPPORT'],
    ['/ip6/2001:db8::1/tcp/4001', 'EAFNOSUPPORT'],
    ['/ip6/::/tcp/4001', 'EADDRNOTAVAIL'],
  ])('is the reason for %s and %s', (text, code) =>
    expect(missing(text, code)).toEqual({ withoutIpv6: 1, problems: 0 }),
  );

  test.each([
    ['/ip6/::/tcp/4001', 'EADDRINUSE'],
    ['/ip6/2001:db8::1/tcp/4001', 'EADDRNOTAVAIL'],
    ['/ip4/0.0.0.0/tcp/4001', 'EADDRNOTAVAIL'],
  ])('is not the reason for %s and %s', (text, code) =>
    expect(missing(text, code)).toEqual({ withoutIpv6: 0, problems: 1 }),
  );

  test('does not keep a node with IPv4 from starting, but one without', async () => {
    const failures = createListenFailures();
    failures.onListenFailure(
      multiaddr('/ip6/::/tcp/4001'),
      Object.assign(new Error('listen EAFNOSUPPORT'), { code: 'EAFNOSUPPORT' }),
    );
    const options = { failures, listen: ['/ip6/::/tcp/4001'], setting: 'RELAY_LISTEN' };
    let stops = 0;
    const stop = async (): Promise<void> => void (stops += 1);
    await startNode({ start: async () => {}, stop }, options);
    expect(stops).toBe(0);
    await expect(startNode({ start: refuse, stop }, options)).rejects.toThrow(
      'RELAY_LISTEN: the node cannot listen on /ip6/::/tcp/4001: this machine has no IPv6.',
    );
    expect(stops).toBe(1);
  });
});

test('any other failure is passed on', async () => {
  const failure = new Error('The disk is full.');
  const node = {
    start: async () => {
      throw failure;
    },
    stop: async () => {},
  };
  const options = { failures: createListenFailures(), listen: [], setting: 'RELAY_LISTEN' };
  await expect(startNode(node, options)).rejects.toBe(failure);
});
