// The scenarios of both generations of `rr`. A scenario fails if it throws.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RrCell, syncOnce } from './rr-cell.ts';
import * as hubScenarios from './rr-hub-scenarios.ts';
import * as peerScenarios from './rr-peer-scenarios.ts';
import * as relayScenarios from './rr-relay-scenarios.ts';

export interface RrScenario {
  /** The head of its column. */
  readonly name: string;
  /** What it proves; completes the sentence "The device …". */
  readonly proves: string;
  /** Whether it needs network namespaces. */
  readonly needsNamespaces?: boolean;
  /** Whether only 1.x has what it tests, or the cells of 1.x test it for 0.1 as well. */
  readonly onlyGen1?: boolean;
  /** Whether it runs for minutes, and so only when a word selects it. */
  readonly isLong?: boolean;
  run(cell: RrCell): Promise<void>;
}

export const RR_SCENARIOS: readonly RrScenario[] = [
  { name: 'sync', proves: 'pulls from and pushes to another device of its kind', run: sync },
  {
    name: 'idle',
    proves: 'is reached after it was idle for longer than the idle timeout of the relay',
    run: async (cell) => relayScenarios.idle(cell, 35, { RELAY_IDLE_SECONDS: '5' }),
  },
  {
    name: 'long idle 10 min',
    proves: 'is reached after it was idle for ten minutes',
    isLong: true,
    run: async (cell) => relayScenarios.idle(cell, 600, {}),
  },
  {
    name: 'gap 30 s',
    proves: 'is reached after a silent gap of its network of 30 s, in which others ask for it',
    needsNamespaces: true,
    run: async (cell) => relayScenarios.gap(cell, 30),
  },
  {
    name: 'long gap 60 s',
    proves: 'is reached after a silent gap of 60 s',
    needsNamespaces: true,
    isLong: true,
    run: async (cell) => relayScenarios.gap(cell, 60),
  },
  {
    name: 'long gap 300 s',
    proves: 'is reached after a silent gap of 300 s',
    needsNamespaces: true,
    isLong: true,
    run: async (cell) => relayScenarios.gap(cell, 300),
  },
  {
    name: 'clock +1 h',
    proves: 'has a clock that is one hour ahead, and is reached',
    run: async (cell) => relayScenarios.clock(cell, 3600),
  },
  {
    name: 'clock −1 h',
    proves: 'has a clock that is one hour behind, and is reached',
    run: async (cell) => relayScenarios.clock(cell, -3600),
  },
  {
    name: 'clock +20 h',
    proves: 'has a clock that is 20 hours ahead, and is reached',
    run: async (cell) => relayScenarios.clock(cell, 20 * 3600),
  },
  {
    name: 'clock +25 h',
    proves:
      'has a clock that is ahead by more than a reservation, and the log of the relay names it within a minute',
    run: relayScenarios.clockTooFarAhead,
  },
  {
    name: 'long clock −1 h',
    proves:
      'has a clock that is one hour behind, and is reached after its reservation has expired by the clock of the relay',
    isLong: true,
    run: relayScenarios.expiredReservation,
  },
  {
    name: '40 addresses',
    proves: 'registers 40 addresses, the circuit last, and is reached',
    run: async (cell) => addresses(cell, 40),
  },
  {
    name: '64 addresses',
    proves: 'registers 64 addresses, the circuit last, and is reached',
    run: async (cell) => addresses(cell, 64),
  },
  {
    name: 'two NATs',
    proves: 'syncs with a device of its kind, both in networks without a route between them',
    needsNamespaces: true,
    run: relayScenarios.twoNats,
  },
  {
    name: 'relay full',
    proves:
      'is refused by a full relay, which logs its peer id; 1.x gets the next free reservation, 0.1 after a restart',
    run: relayScenarios.full,
  },
  {
    name: 'relay restart',
    proves:
      'loses its relay by SIGKILL; 1.x is reached again, 0.1 is counted as unreachable within a minute until it is restarted',
    run: async (cell) => relayScenarios.restart(cell, 'SIGKILL'),
  },
  {
    name: 'relay upgrade',
    proves:
      'loses its relay by SIGTERM, and another process takes over its address and identity; then like `relay restart`',
    run: async (cell) => relayScenarios.restart(cell, 'SIGTERM'),
  },
  {
    name: 'relay lost',
    proves:
      'loses its relay for good: it registers an empty list, and the rounds of others skip it without an error',
    needsNamespaces: true,
    onlyGen1: true,
    run: relayScenarios.lost,
  },
  {
    name: 'list of 1,000',
    proves: 'is found in a network whose tracker lists 1,000 devices, in a list that `rr` accepts',
    run: peerScenarios.largeList,
  },
  { name: 'peer serves', proves: 'pulls from our peer', run: peerScenarios.serves },
  { name: 'peer syncs', proves: 'answers our peer', run: peerScenarios.syncs },
  {
    name: 'deletions',
    proves:
      'spreads a deletion through our peer to a third device; for 0.1, offers the deleted entry again, without success',
    run: peerScenarios.deletions,
  },
  {
    name: 'new database',
    proves: 'lost its database: our peer pulls the new one, and does not end `p2p-serve` more than twice',
    onlyGen1: true,
    run: peerScenarios.newDatabase,
  },
  {
    name: 'peer pushes',
    proves: 'takes entries and deletions that our peer pushes, and only those of its own device',
    run: hubScenarios.peerPushes,
  },
  {
    name: 'hub',
    proves:
      'pushes to the hub and pulls from it: three devices that are never on at the same time have everything, and a deletion reaches those that were off; each round ends with exit code 0',
    run: hubScenarios.hub,
  },
  {
    name: 'hub mixed',
    proves: 'does the same with devices of the other generation, 1.x with mplex and with yamux',
    onlyGen1: true,
    run: hubScenarios.mixed,
  },
  {
    name: 'hub direct',
    proves: 'does the same without a relay, at the public address that the hub announces',
    needsNamespaces: true,
    run: hubScenarios.direct,
  },
  {
    name: 'hub refuses',
    proves: 'is refused, keeps its cursor, and pushes everything when the reason has ended',
    run: hubScenarios.refuses,
  },
  {
    name: 'hub lost',
    proves:
      'pushes everything again to a hub whose volume was lost, then to one that was restored from an older backup; nothing is missing or doubled on any device',
    run: hubScenarios.lost,
  },
  {
    name: 'mesh',
    proves: 'syncs with five others in the same second, three times: no round and no circuit fails',
    onlyGen1: true,
    run: relayScenarios.mesh,
  },
];

const ENTRIES = 5;

async function sync(cell: RrCell): Promise<void> {
  const [serving, syncing] = [await cell.device('serving'), await cell.device('syncing')];
  for (const device of [serving, syncing]) await device.record(cell.entries(device.name, ENTRIES));
  await serving.reachable();
  // 1.x answers only devices that are registered.
  if (cell.isGen1) await syncing.reachable();
  await syncOnce(syncing, serving, '--push');
  const expected = [...cell.entries('serving', ENTRIES), ...cell.entries('syncing', ENTRIES)];
  const ids = expected.map(({ entry_id }) => entry_id).toSorted();
  assert.deepEqual(await syncing.entryIds(), ids);
  assert.deepEqual(await serving.entryIds(), ids);
}

async function addresses(cell: RrCell, count: number): Promise<void> {
  // The interfaces of this machine add more addresses to those of 0.1.
  const serving = await cell.device('serving', { options: ['--extra-addresses', String(count - 1)] });
  await serving.record(cell.entries('serving', ENTRIES));
  const process = await serving.reachable();
  const { addresses: registered } = await process.waitFor('registered', ({ circuits }) => circuits === 1);
  assert.ok(Number(registered) >= count, `${String(registered)} addresses`);
  const asker = await cell.asker();
  await asker.reachable();
  await syncOnce(asker, serving);
  // Nothing refused a later registration, either.
  await sleep(1_000);
  assert.deepEqual(process.logged('register failed'), []);
}
