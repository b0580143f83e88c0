// A hub in the cluster of its relays, whose addresses there no device can use.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { hubEnvironment } from '../../scripts/local-network.ts';
import { finished, startService } from '../../scripts/processes.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { startHub } from '../../testing/hub.ts';
import { makeTestDirectory, startNetwork, type TestNetwork } from '../../testing/network.ts';

afterEach(cleanUp);

const internalAddress = ({ relay }: TestNetwork): string =>
  relay.address.replace('/ip4/127.0.0.1/', '/dns4/localhost/').replace(/\/p2p\/.*$/, '');

test('a hub without the peer id of its relay registers a circuit with the address that the relay announces', async () => {
  const network = await startNetwork();
  const hub = await startHub(network, {
    env: { RUSTORY_RELAY_ADDR: '', RUSTORY_INTERNAL_RELAY_ADDRS: internalAddress(network) },
  });
  await hub.registered();
  const listed = await fetch(`${network.tracker.url}/api/v1/peers?user_id=ada`);
  expect(await listed.json()).toMatchObject({ peers: [{ addrs: [hub.circuit] }] });
  expect(await hub.metric('rustory_hub_wanted_reservations')).toBe(1);
});

test('a hub whose secret is the seed of its relay does not start, also when it learns the peer id of the relay', async () => {
  const seed = join(makeTestDirectory(), 'seed');
  writeFileSync(seed, randomBytes(32).toString('hex'), { mode: 0o600 });
  const network = await startNetwork({
    relayEnv: { RELAY_IDENTITY_KEY_FILE: '', RELAY_IDENTITY_SEED_FILE: seed, RELAY_IDENTITY_ORDINAL: '0' },
  });
  const env = {
    ...hubEnvironment(makeTestDirectory(), network),
    RUSTORY_SWARM_KEY_PATH: join(network.directory, 'swarm.key'),
    RUSTORY_RELAY_ADDR: '',
    RUSTORY_INTERNAL_RELAY_ADDRS: internalAddress(network),
    RUSTORY_HUB_SECRET_PATH: seed,
  };
  const hub = startService('peer', { args: ['hub'], env });
  onCleanup(async () => hub.stop());
  expect(await finished(hub)).toMatchObject({
    code: 78,
    stderr: expect.stringContaining('has the seed of a relay in internal_relay_addrs'),
  });
});
