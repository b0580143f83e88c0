import { afterEach, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { multiaddr } from '@multiformats/multiaddr';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { openBareCircuit, startDevice } from '../../../testing/load-devices.ts';
import { startRelay } from '../../../testing/relay.ts';
import { swarmKey } from '../../../testing/relay-config.ts';
import { until } from '../../../testing/wait.ts';
import { testWireIo } from '../../../testing/wire-io.ts';
import { hubInboundLimits } from './inbound-limits.ts';
import { createPeerNode } from './node.ts';

const MIB = 1024 ** 2;

afterEach(cleanUp);

test.each([
  [64, 128],
  [256, 512],
  [512, 1_024],
  [100_000, 2_048],
])('a hub with %i MiB permits %i connections, and as many pending handshakes', (mib, expected) => {
  const { connections, pendingConnections } = hubInboundLimits(mib * MIB);
  expect([connections, pendingConnections]).toEqual([expected, expected]);
});

test('a hub accepts a hundred circuits from one relay in the same second, before their handshakes', async () => {
  const relay = await startRelay();
  const hub = await createPeerNode({
    io: testWireIo,
    identity: await generateKeyPair('Ed25519'),
    swarmKey,
    listen: [`${relay.address.toString()}/p2p-circuit`],
    version: '0.0.0',
    inboundLimits: hubInboundLimits(256 * MIB),
  });
  onCleanup(async () => hub.libp2p.stop());
  await hub.start();
  await until(() => hub.libp2p.getMultiaddrs().length > 0, 'the hub has a reservation');
  const sources = await Promise.all(Array.from({ length: 4 }, async () => startDevice(swarmKey)));
  for (const source of sources) {
    onCleanup(async () => source.stop());
    await source.dial(multiaddr(relay.address));
  }
  const perSource = Array.from({ length: 25 });
  const circuits = await Promise.all(
    sources.flatMap((source) => perSource.map(async () => openBareCircuit(relay, source, hub.libp2p))),
  );
  expect(await relay.metric('rustory_relay_circuits')).toBe(100);
  expect(circuits.every(({ status }) => status === 'open')).toBe(true);
});
