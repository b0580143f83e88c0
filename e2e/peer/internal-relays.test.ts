// A hub in the cluster of its relays, whose addresses there no device can use.
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { startHub } from '../../testing/hub.ts';
import { startNetwork } from '../../testing/network.ts';

afterEach(cleanUp);

test('a hub without the peer id of its relay registers a circuit with the address that the relay announces', async () => {
  const network = await startNetwork();
  const { address } = network.relay;
  const internal = address.replace('/ip4/127.0.0.1/', '/dns4/localhost/').replace(/\/p2p\/.*$/, '');
  const hub = await startHub(network, {
    env: { RUSTORY_RELAY_ADDR: '', RUSTORY_INTERNAL_RELAY_ADDRS: internal },
  });
  await hub.registered();
  const listed = await fetch(`${network.tracker.url}/api/v1/peers?user_id=ada`);
  expect(await listed.json()).toMatchObject({ peers: [{ addrs: [hub.circuit] }] });
  expect(await hub.metric('rustory_hub_wanted_reservations')).toBe(1);
});
