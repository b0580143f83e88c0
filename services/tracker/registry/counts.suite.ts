// Tests of the counts of a registry, as part of registry.suite.ts.
import { expect, test } from '@jest/globals';
import { until } from '../../../testing/wait.ts';
import type { RegistryCounts } from './counts.ts';
import type { Replicas, SuiteOptions } from './registry.suite.ts';
import type { Registration, Registry } from './registry.ts';

function device(peerId: string, userId: string | null, relays = 0): Registration {
  return {
    peerId,
    userId,
    deviceId: null,
    hostname: null,
    relays,
    json: JSON.stringify({ peer_id: peerId }),
  };
}

function textOf(counts: RegistryCounts | undefined): string {
  return [counts?.circuitPeers, counts?.circuits, counts?.singleDeviceUsers, counts?.hubUsers].join();
}

/** Waits until every replica has these counts: circuitPeers, circuits, singleDeviceUsers, hubUsers. */
async function counted(
  { registry, replica }: Replicas,
  circuitPeers: number,
  circuits: number,
  singleDeviceUsers: number,
  hubUsers = 0,
): Promise<void> {
  const expected = [circuitPeers, circuits, singleDeviceUsers, hubUsers].join();
  await until(
    () => textOf(registry.counts()) === expected && textOf(replica.counts()) === expected,
    `the counts are ${expected}`,
  );
}

function hub(peerId: string, userId: string): Registration {
  return { ...device(peerId, userId), isHub: true };
}

/** Registers devices and hubs of five users, of which three have a hub, and one has a single device. */
async function registerHubs(registry: Registry): Promise<void> {
  for (const user of ['hub and device', 'lost hub']) await registry.register(device(user, user));
  for (const user of ['hub', 'hub and device', 'hubs', 'lost hub'])
    await registry.register(hub(`${user} 1`, user));
  await registry.register(hub('hubs 2', 'hubs'));
  for (const id of ['hubs 1', 'lost hub 1']) await registry.unregister(id, undefined, true);
}

export function testCounts(
  subject: () => Replicas,
  use: (options: Partial<SuiteOptions>) => Promise<Replicas>,
): void {
  test('counts each device and each of its circuits once, on all replicas', async () => {
    const { registry, replica } = subject();
    for (const target of [registry, replica, registry]) {
      await target.register(device('p1', null, 1));
      await target.register(device('p2', null, 2));
      await target.register(device('p3', null, 3));
      await target.register(device('p4', null));
    }
    await counted(subject(), 3, 6, 0);
    await replica.register(device('p1', null));
    await registry.unregister('p3');
    await counted(subject(), 1, 2, 0);
  });

  test('counts users with one device', async () => {
    const { registry, replica } = subject();
    await registry.register(device('p1', 'alice'));
    await replica.register(device('p2', 'alice'));
    await registry.register(device('p3', 'bob'));
    await replica.register(device('p3', 'bob'));
    await registry.register(device('p4', null));
    await registerHubs(registry);
    await counted(subject(), 0, 0, 2, 3);
    for (const id of ['hub 1', 'hub and device 1', 'hubs 2', 'hub and device', 'lost hub'])
      await registry.unregister(id, undefined, true);
    // From alice to carol, who has one device then, as alice has.
    await registry.register(device('p2', 'carol'));
    await counted(subject(), 0, 0, 3);
    await replica.register(device('p2', 'alice'));
    await counted(subject(), 0, 0, 1);
    await registry.unregister('p1');
    await registry.unregister('p3');
    await counted(subject(), 0, 0, 1);
    await registry.unregister('p2');
    await counted(subject(), 0, 0, 0);
  });

  test('does not count what was refused', async () => {
    const replicas = await use({ maxPeers: 1 });
    await replicas.registry.register(device('p1', 'alice', 1));
    expect(await replicas.replica.register(device('p2', 'bob', 1))).toMatchObject({ ok: false });
    await counted(replicas, 1, 1, 1);
  });

  test('does not count what has expired', async () => {
    const replicas = await use({ ttlSeconds: 10 });
    await replicas.registry.register(device('p1', 'alice', 2));
    await counted(replicas, 1, 2, 1);
    await counted(replicas, 0, 0, 0);
  });
}
