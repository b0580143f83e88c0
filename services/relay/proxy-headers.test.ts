// The relay behind a load balancer for TCP, and what connects to it and is no device.
import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { multiaddr } from '@multiformats/multiaddr';
import { authenticate, connectRaw } from '../../testing/attacks.ts';
import { GREETING } from '../../testing/stock-psk.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { swarmKey } from '../../testing/relay-config.ts';
import { hop, type Relay, RESERVE, startPeer, startLoggedRelay } from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';
import { parseNetwork } from '../shared/trusted-networks.ts';

afterEach(cleanUp);

/** A load balancer whose clients have this address. Returns the address of the relay behind it. */
async function balance({ address }: Relay, client: string) {
  const balancer = createServer((socket) => {
    const other = connect(Number(address.toString().split('/')[4]), '127.0.0.1');
    other.write(`PROXY TCP4 ${client} 10.0.0.1 4660 4001\r\n`);
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      from.pipe(to);
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => {
    balancer.listen(0, '127.0.0.1', resolve);
  });
  onCleanup(() => balancer.close());
  const port = (balancer.address() as { port: number }).port;
  return { address: multiaddr(address.toString().replace(/\/tcp\/\d+/, `/tcp/${port}`)) };
}

describe('with RELAY_PROXY_PROTOCOL', () => {
  const overrides = { proxyProtocol: true, trustedProxies: [parseNetwork('127.0.0.0/8')] };

  test('devices behind the load balancer are limited and logged by their own addresses', async () => {
    const limits = { connectionsPerAddress: 1, reservationsPerAddress: 4 };
    const { relay, lines } = await startLoggedRelay({ ...overrides, limits });
    for (const client of ['198.51.100.1', '198.51.100.2']) {
      const behind = await balance(relay, client);
      const peer = await startPeer();
      expect((await hop(peer, { ...relay, ...behind }, RESERVE)).status).toBe('OK');
    }
    const second = await balance(relay, '198.51.100.2');
    await expect((await startPeer()).dial(second.address)).rejects.toThrow();
    const refused = lines.filter(({ msg }) => msg === 'connection refused');
    expect(refused).toMatchObject([{ reason: 'address', address: '/ip4/198.51.100.2/tcp/4660' }]);
    const series = 'rustory_relay_proxy_headers_total';
    expect(await relay.metric(`${series}{outcome="client"}`)).toBeGreaterThanOrEqual(3);
    const direct = connectRaw(relay);
    direct.write(authenticate(swarmKey, GREETING));
    await until(() => direct.closed, 'a trusted address without a header is disconnected');
    expect(await relay.metric(`${series}{outcome="missing"}`)).toBe(1);
    expect(lines.filter(({ reason }) => reason === 'missing')).toMatchObject([
      { level: 30, address: '127.0.0.1' },
    ]);
  });
});

test('other protocols are counted as such, and logged with their address', async () => {
  const { relay, lines } = await startLoggedRelay();
  const starts = {
    proxy_protocol: Buffer.from('PROXY TCP4 198.51.100.1 10.0.0.1 4660 4001\r\n'),
    http: Buffer.from('GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n'),
    tls: Buffer.from(`1603010200010001fc0303${'5a'.repeat(100)}`, 'hex'),
    no_swarm_key: Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n'),
    other_protocol: Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'),
  };
  const count = async (outcome: string) =>
    relay.metric(`rustory_relay_handshakes_total{outcome="${outcome}"}`);
  for (const [outcome, bytes] of Object.entries(starts)) {
    for (let times = 0; times < 2; times += 1) connectRaw(relay).end(bytes);
    await until(async () => (await count(outcome)) === 2, `${outcome} is counted`);
  }
  expect(await count('wrong_key')).toBe(0);
  const address = expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/);
  const written = lines.filter(({ msg }) => msg === 'connection without the swarm key');
  expect(written).toMatchObject(Object.keys(starts).map((reason) => ({ level: 30, reason, address })));
  expect(written[0]).toMatchObject({ setting: 'RELAY_PROXY_PROTOCOL' });
});

test('megabytes of invalid bytes after the greeting neither hold the event loop nor are kept', async () => {
  const { relay } = await startLoggedRelay({ limits: { handshakeSeconds: 1 } });
  const attackers = Array.from({ length: 4 }, () => connectRaw(relay));
  onCleanup(() => attackers.forEach((socket) => socket.destroy()));
  const bytes = authenticate(swarmKey, Buffer.concat([GREETING, Buffer.alloc(4 * 1024 * 1024, 0xff)]));
  for (const socket of attackers) socket.write(bytes);
  // A device connects meanwhile.
  expect((await hop(await startPeer(), relay, RESERVE)).status).toBe('OK');
  await until(() => attackers.every(({ closed }) => closed), 'the connections are closed');
});
