import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { acceptAndNeverRead, flood, openBareCircuit } from '../../testing/load-devices.ts';
import { until } from '../../testing/wait.ts';
import { connectTo, dialEcho, exchange, hop, muxers, startPeer, startRelay } from '../../testing/relay.ts';

afterEach(cleanUp);

describe('a circuit', () => {
  test.each([
    { a: 'yamux', b: 'yamux', of: [muxers, muxers] },
    { a: 'mplex', b: 'mplex', of: [muxers.slice(1), muxers.slice(1)] },
    { a: 'yamux', b: 'mplex', of: [muxers, muxers.slice(1)] },
  ])('from $a to $b carries 8 MiB in both directions unchanged', async ({ of: [from, to] }) => {
    const relay = await startRelay();
    const target = await startPeer(relay, { muxers: to ?? [] });
    const source = await startPeer(undefined, { muxers: from ?? [] });
    const { sent, received, bytes } = await exchange(await dialEcho(source, relay, target), 8 * 1024 * 1024);
    expect([bytes, received]).toEqual([8 * 1024 * 1024, sent]);
    for (const direction of ['to_target', 'to_source']) {
      const relayed = await relay.metric(`rustory_relay_relayed_bytes_total{direction="${direction}"}`);
      expect(relayed).toBeGreaterThan(8 * 1024 * 1024);
    }
  });

  test('to a peer without a reservation is refused', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer()];
    await target.dial(relay.address);
    expect((await hop(source, relay, connectTo(target))).status).toBe('NO_RESERVATION');
  });

  test('to a peer that does not respond to STOP fails and is no longer counted', async () => {
    const relay = await startRelay({ limits: { circuits: 1 } });
    const [source, target] = [await startPeer(), await startPeer(relay)];
    await target.unhandle('/libp2p/circuit/relay/0.2.0/stop');
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect((await hop(source, relay, connectTo(target))).status).toBe('CONNECTION_FAILED');
    }
    expect(await relay.metric('rustory_relay_circuits')).toBe(0);
  });

  test('is reset for its source when its target is killed', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const stream = await dialEcho(source, relay, target);
    for (const connection of target.getConnections())
      connection.abort(new Error('The connection is closed by the test.'));
    await until(() => stream.status !== 'open', 'the stream is closed');
    await until(async () => (await relay.metric('rustory_relay_circuits')) === 0, 'the circuit has ended');
  });

  test('uses the connection of its target that reserved, not the newest one', async () => {
    const relay = await startRelay();
    const [source, target] = [await startPeer(), await startPeer(relay)];
    const second = await target.dial(relay.address, { force: true });
    const stream = await dialEcho(source, relay, target);
    expect(second.streams.filter(({ protocol }) => protocol.endsWith('/stop'))).toHaveLength(0);
    expect((await exchange(stream, 1_000)).bytes).toBe(1_000);
  });
});

test('receivers that never read slow down only their own senders', async () => {
  const relay = await startRelay({ limits: { bufferedBytes: 1024 * 1024, circuitBufferBytes: 256 * 1024 } });
  const [target, other] = [await startPeer(relay), await startPeer(relay)];
  await acceptAndNeverRead(target);
  const senders = await Promise.all(
    Array.from({ length: 8 }, async () => openBareCircuit(relay, await startPeer(), target)),
  );
  for (const sender of senders) flood(sender);
  await until(
    async () => (await relay.metric('rustory_relay_buffered_bytes')) > 512 * 1024,
    'half of the buffer limit is in use',
  );
  // A circuit to another device is not affected.
  const { sent, received } = await exchange(await dialEcho(await startPeer(), relay, other), 4 * 1024 * 1024);
  expect(received).toBe(sent);
  // Above the limit, only one socket read per sender is buffered.
  expect(await relay.metric('rustory_relay_buffered_bytes')).toBeLessThan(1024 * 1024 + 8 * 64 * 1024);
  for (const sender of senders) sender.abort(new Error('The test has ended.'));
  await until(
    async () => (await relay.metric('rustory_relay_buffered_bytes')) === 0,
    'no bytes are buffered',
  );
});
