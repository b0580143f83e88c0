import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { PROBE_TIMINGS } from '../../services/peer/network/relay-probe.ts';
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
/** Entries per request: so few that a sync requires many responses, and a restart interrupts some of them. */
const LIMIT = 50;

afterEach(cleanUp);

/** Starts a relay process with its own identity, on a given address or a free port. */
async function start(folder: string, name: string, listen = '/ip4/127.0.0.1/tcp/0'): Promise<Relay> {
  const relay = await startRelay(folder, {
    env: {
      RELAY_IDENTITY_KEY_FILE: join(folder, `${name}.key`),
      RELAY_LISTEN: listen,
      // Sufficient for some circuits, and too short for others.
      RELAY_DRAIN_SECONDS: '1',
    },
  });
  onCleanup(async () => void (await relay.stop()));
  return relay;
}

const count = async (relay: Relay, name: string): Promise<number> => metric(relay, `rustory_relay_${name}`);

test(`two relays that restart one after the other during the syncs of ${PEERS} peers lose no entry`, async () => {
  const folder = makeDirectory();
  writeFileSync(join(folder, 'swarm.key'), formatSwarmKey(testSwarmKey), { mode: 0o600 });
  const relays = [await start(folder, 'a'), await start(folder, 'b')];
  const addresses = relays.map(({ address }) => address);
  // With those of tests a device on a busy machine gives up relays that have not restarted.
  const serving = await startServingDevice(addresses, { probeTimings: PROBE_TIMINGS });
  serving.store.insert(makeEntries(ENTRIES, 'before'));

  // Half of the peers prefer the first relay, half the second.
  const peers = await Promise.all(Array.from({ length: PEERS }, async () => startDevice()));
  let isOver = false;
  const reports: PullReport[] = [];
  const syncing = peers.map(async (peer, index) => {
    const deps = createTestPullDeps(peer, index % 2 === 0 ? addresses : addresses.toReversed());
    const target = { peerId: serving.peerId, addresses: [] };
    // The last sync begins after the restarts.
    for (let wasOver = false; !wasOver;) {
      wasOver = isOver;
      reports.push(await pull(target, deps, { limit: LIMIT }));
    }
  });

  for (const [index, name] of ['a', 'b'].entries()) {
    const relay = relays[index];
    if (relay === undefined) throw new Error('The relay is missing.');
    await until(async () => (await count(relay, 'circuits')) > 0, 'syncs are running');
    relay.kill('SIGTERM');
    expect(await relay.exited).toBe(0);
    serving.store.insert(makeEntries(500, `during the restart of ${name}`));
    const again = await start(folder, name, relay.address.slice(0, relay.address.indexOf('/p2p/')));
    expect(again.address).toBe(relay.address);
    await until(async () => (await count(again, 'reservations')) === 1, 'the device has a reservation again');
  }
  isOver = true;
  await Promise.all(syncing);

  const failed = reports.filter(({ error }) => error !== undefined);
  expect(failed.map(({ error, attempts }) => ({ error, attempts }))).toEqual([]);
  const expected = readEntries(serving.store);
  expect(expected).toHaveLength(ENTRIES + 1_000);
  for (const peer of peers) expect(readEntries(peer.store)).toEqual(expected);
});
