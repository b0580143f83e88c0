import { afterEach, expect, test } from '@jest/globals';
import type { Stream } from '@libp2p/interface';
import { cleanUp } from '../../testing/cleanup.ts';
import { startProxy } from '../../testing/proxy.ts';
import {
  connectTo,
  dialEcho,
  exchange,
  hop,
  type Relay,
  RESERVE,
  startPeer,
  startLoggedRelay,
} from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

const REAL = { connectionsPerAddress: 256, reservationsPerAddress: 128 };

/** The relay as devices of the given address see it. */
async function seenFrom(relay: Relay, source: string): Promise<Relay> {
  return { ...relay, address: (await startProxy(relay, 0, source)).address };
}

test('one member under many names does not keep a device of another address from reserving', async () => {
  const { relay, lines } = await startLoggedRelay({ limits: { ...REAL, reservations: 3 } });
  const [member, office] = [await seenFrom(relay, '127.0.0.2'), await seenFrom(relay, '127.0.0.3')];
  const names = [await startPeer(member), await startPeer(member), await startPeer(member)];
  expect((await hop(await startPeer(), member, RESERVE)).status).toBe('RESERVATION_REFUSED');
  const device = await startPeer();
  expect((await hop(device, office, RESERVE)).status).toBe('OK');
  await until(() => names[2]?.getConnections().length === 0, 'the newest name is disconnected');
  expect(names.slice(0, 2).map((name) => name.getConnections().length)).toEqual([1, 1]);
  expect(await relay.metric('rustory_relay_connections_refused_total{reason="evicted"}')).toBe(1);
  expect(await relay.metric('rustory_relay_reservations')).toBe(3);
  expect(lines).toContainEqual(
    expect.objectContaining({
      msg: 'connection refused',
      reason: 'evicted',
      peer: names[2]?.peerId.toString(),
      setting: 'RELAY_MAX_RESERVATIONS',
    }),
  );
  expect(lines.filter(({ advice }) => advice !== undefined)).toEqual([]);
});

test('one member under many names does not keep a device of another address from opening a circuit', async () => {
  const { relay } = await startLoggedRelay({ limits: { ...REAL, circuits: 3 } });
  const [member, office] = [await seenFrom(relay, '127.0.0.2'), await seenFrom(relay, '127.0.0.3')];
  const target = await startPeer(relay);
  const streams: Stream[] = [];
  for (let count = 0; count < 3; count += 1) streams.push(await dialEcho(await startPeer(), member, target));
  expect((await hop(await startPeer(), member, connectTo(target))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
  const stream = await dialEcho(await startPeer(), office, target);
  expect((await exchange(stream, 10_000)).bytes).toBe(10_000);
  await until(() => streams[2]?.status !== 'open', 'the newest circuit of the member is reset');
  expect(streams.slice(0, 2).map(({ status }) => status)).toEqual(['open', 'open']);
  expect(await relay.metric('rustory_relay_circuits_ended_total{reason="evicted"}')).toBe(1);
  expect(await relay.metric('rustory_relay_circuits')).toBe(3);
});

test('one member whose connections are all in use does not keep a device of another address from connecting', async () => {
  const { relay } = await startLoggedRelay({ limits: { ...REAL, connections: 4 } });
  const [member, office] = [await seenFrom(relay, '127.0.0.2'), await seenFrom(relay, '127.0.0.3')];
  const names: Array<Awaited<ReturnType<typeof startPeer>>> = [];
  for (let count = 0; count < 4; count += 1) names.push(await startPeer(member));
  await expect((await startPeer()).dial(member.address)).rejects.toThrow();
  await startPeer(office);
  await until(() => names[3]?.getConnections().length === 0, 'the newest name is disconnected');
  expect(names.slice(0, 3).map((name) => name.getConnections().length)).toEqual([1, 1, 1]);
  expect(await relay.metric('rustory_relay_connections_refused_total{reason="crowding"}')).toBe(1);
});

test('without real addresses a full relay refuses, and its log names the setting that makes them real', async () => {
  const { relay, lines } = await startLoggedRelay({ limits: { reservations: 1, circuits: 1 } });
  const office = await seenFrom(relay, '127.0.0.3');
  const target = await startPeer(relay);
  await dialEcho(await startPeer(), relay, target);
  const device = await startPeer();
  expect((await hop(device, office, RESERVE)).status).toBe('RESERVATION_REFUSED');
  expect((await hop(device, office, connectTo(target))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
  expect(lines.filter(({ msg }) => String(msg).endsWith(' refused'))).toMatchObject([
    { reason: 'reservations', advice: expect.stringContaining('RELAY_ADDRESSES_ARE_REAL=true') },
    { reason: 'circuits', advice: expect.stringContaining('RELAY_ADDRESSES_ARE_REAL=true') },
  ]);
});

test('without real addresses, the log of a relay whose connections are all in use names the setting too', async () => {
  const { relay, lines } = await startLoggedRelay({ limits: { connections: 2 } });
  const office = await seenFrom(relay, '127.0.0.3');
  for (let count = 0; count < 2; count += 1) await startPeer(relay);
  await expect((await startPeer()).dial(office.address)).rejects.toThrow();
  expect(lines.filter(({ msg }) => msg === 'connection refused')).toMatchObject([
    { reason: 'all', advice: expect.stringContaining('RELAY_ADDRESSES_ARE_REAL=true') },
  ]);
});
