import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { pull, type PullReport } from '../../services/peer/sync/pull.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import {
  createTestPullDeps,
  makeDirectory,
  makeEntries,
  readEntries,
  startDevice,
  startServingDevice,
  testSwarmKey,
} from '../../testing/peer.ts';
import { until } from '../../testing/wait.ts';
import { formatSwarmKey } from '../../services/private-network/key.ts';
import { type Relay, startRelay } from '../../scripts/local-network.ts';
import { metric } from '../../testing/load-devices.ts';

const PEERS = 20;
const ENTRIES = 1_000;
/** So small that a sync takes many answers, and a restart comes in the middle of some. */
const LIMIT = 50;

afterEach(cleanUp, 60_000);

/** A relay process with an identity of its own, started again on the same port when it is given one. */
async function start(folder: string, name: string, listen = '/ip4/127.0.0.1/tcp/0'): Promise<Relay> {
  const relay = await startRelay(folder, {
    env: {
      RELAY_IDENTITY_KEY_FILE: join(folder, `${name}.key`),
      RELAY_LISTEN: listen,
      // Long enough for some circuits to finish, and too short for others.
      RELAY_DRAIN_SECONDS: '1',
    },
  });
  onCleanup(async () => void (await relay.stop()));
  return relay;
}

const count = async (relay: Relay, name: string): Promise<number> => metric(relay, `rustory_relay_${name}`);

test(`two relays that restart one after the other under ${PEERS} syncing peers cost no sync a row`, async () => {
  const folder = makeDirectory();
  writeFileSync(join(folder, 'swarm.key'), formatSwarmKey(testSwarmKey), { mode: 0o600 });
  const relays = [await start(folder, 'a'), await start(folder, 'b')];
  const addresses = relays.map(({ address }) => address);
  const serving = await startServingDevice(addresses);
  serving.store.insert(makeEntries(ENTRIES, 'before'));

  // Half of them prefer the one relay, half the other.
  const peers = await Promise.all(Array.from({ length: PEERS }, async () => startDevice()));
  let isOver = false;
  const reports: PullReport[] = [];
  const syncing = peers.map(async (peer, at) => {
    const deps = createTestPullDeps(peer, at % 2 === 0 ? addresses : addresses.toReversed());
    const target = { peerId: serving.peerId, addresses: [] };
    // The first sync after the restarts is the last one.
    for (let wasOver = false; !wasOver;) {
      wasOver = isOver;
      reports.push(await pull(target, deps, { limit: LIMIT }));
    }
  });

  for (const [at, name] of ['a', 'b'].entries()) {
    const relay = relays[at];
    if (relay === undefined) throw new Error('no relay');
    await until(async () => (await count(relay, 'circuits')) > 0, 'syncs are under way');
    relay.kill('SIGTERM');
    expect(await relay.exited).toBe(0);
    serving.store.insert(makeEntries(500, `during the restart of ${name}`));
    const again = await start(folder, name, relay.address.slice(0, relay.address.indexOf('/p2p/')));
    expect(again.address).toBe(relay.address);
    await until(async () => (await count(again, 'reservations')) === 1, 'the device has reserved again');
  }
  isOver = true;
  await Promise.all(syncing);

  expect(reports.filter(({ error }) => error !== undefined).map(({ error }) => error)).toEqual([]);
  const expected = readEntries(serving.store);
  expect(expected).toHaveLength(ENTRIES + 1_000);
  for (const peer of peers) expect(readEntries(peer.store)).toEqual(expected);
}, 120_000);
