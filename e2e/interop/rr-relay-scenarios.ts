// The scenarios of `rr` in which the relay, the network or a clock does something unusual.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Relay } from '../../scripts/local-network.ts';
import type { Running } from '../../scripts/processes.ts';
import { until } from '../../testing/wait.ts';
import { relayMetric } from './cell.ts';
import { startMesh } from './mesh-run.ts';
import { type Place, RETRY_TIMEOUT_MS, type RrCell, syncEventually, syncOnce } from './rr-cell.ts';
import type { RrDevice } from './rr-device.ts';

/** Within this time after the first failed request, the relay must show a device as unreachable, in milliseconds. */
const UNREACHABLE_TIMEOUT_MS = 60_000;

/** Within this time, an operator finds the mistake of a device in the log, in milliseconds. */
const LOGGED_TIMEOUT_MS = 60_000;

const MESH_DEVICES = 6;

/** In addition to the first, in which the devices transfer their entries. */
const MESH_ROUNDS = 2;

interface Pair {
  readonly serving: RrDevice;
  readonly process: Running;
  readonly asker: RrDevice;
}

/** A device with an entry that is reachable, and another one that is a member. */
async function pair(cell: RrCell, place: Place, askerPlace: Place = place): Promise<Pair> {
  const serving = await cell.device('serving', place);
  await serving.record(cell.entries('serving', 1));
  const process = await serving.reachable();
  const asker = await cell.asker(askerPlace);
  await asker.reachable();
  return { serving, process, asker };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

export async function idle(cell: RrCell, idleSeconds: number, env: Record<string, string>): Promise<void> {
  const relay = await cell.startRelay(env);
  const { serving, process, asker } = await pair(cell, { relay });
  await sleep(idleSeconds * 1000);
  await syncOnce(asker, serving);
  assert.deepEqual(process.logged('lost'), []);
}

export async function gap(cell: RrCell, gapSeconds: number): Promise<void> {
  const silent = cell.silentNetwork();
  const [relay, tracker] = await Promise.all([
    cell.startRelay({ RELAY_LISTEN: `/ip4/${silent.host}/tcp/0` }),
    cell.startTracker({ TRACKER_LISTEN: `${silent.host}:0` }),
  ]);
  const place = { relay, tracker };
  const { serving, process, asker } = await pair(cell, { ...place, under: silent.under }, place);
  await syncOnce(asker, serving);
  silent.cut();
  const end = sleep(gapSeconds * 1000);
  const during = asker.run('p2p-sync');
  await end;
  silent.restore();
  assert.notEqual((await during).code, 0);
  const ms = await syncEventually(asker, serving);
  cell.note(`reached ${seconds(ms)} after a gap of ${gapSeconds} s`);
  if (!cell.isGen1) assert.deepEqual(process.logged('lost'), []);
}

export async function clock(cell: RrCell, shift: number): Promise<void> {
  const place = { options: ['--clock', String(shift)] };
  const { serving, process, asker } = await pair(cell, place, {});
  await syncOnce(asker, serving);
  assert.equal(process.logged('reserved').length, 1);
  assert.deepEqual(process.logged('lost'), []);
}

export async function clockTooFarAhead(cell: RrCell): Promise<void> {
  const relay = await cell.startRelay();
  const device = await cell.device('ahead', { relay, options: ['--clock', String(25 * 3600)] });
  device.start('p2p-serve');
  await until(
    () =>
      [...relay.stdout().split('\n'), ...relay.stderr().split('\n')].some(
        (line) => line.includes(device.peerId) && line.includes('clock'),
      ),
    'the relay logs that the clock may be ahead',
    LOGGED_TIMEOUT_MS,
  );
}

/** The shortest reservation that the relay grants; the device wants to refresh it after 45 minutes. */
export async function expiredReservation(cell: RrCell): Promise<void> {
  const relay = await cell.startRelay({ RELAY_RESERVATION_SECONDS: '60' });
  const place = { relay, options: ['--clock', '-3600'] };
  const { serving, process, asker } = await pair(cell, place, { relay });
  await sleep(90_000);
  await syncOnce(asker, serving);
  assert.deepEqual(process.logged('lost'), []);
}

export async function twoNats(cell: RrCell): Promise<void> {
  const [left, right] = [cell.silentNetwork(), cell.silentNetwork()];
  const [relay, tracker] = await Promise.all([
    cell.startRelay({ RELAY_LISTEN: `/ip4/${left.host}/tcp/0` }),
    cell.startTracker({ TRACKER_LISTEN: `${left.host}:0` }),
  ]);
  const serving = await cell.device('serving', { relay, tracker, under: left.under });
  await serving.record(cell.entries('serving', 1));
  await serving.reachable();
  const syncing = await cell.device('syncing', { relay, tracker, under: right.under });
  if (cell.isGen1) await syncing.reachable();
  cell.note(`a sync takes ${seconds(await syncOnce(syncing, serving))}`);
}

export async function full(cell: RrCell): Promise<void> {
  const relay = await cell.startRelay({ RELAY_MAX_RESERVATIONS: '1' });
  const holder = await cell.device('holder', { relay });
  const holding = await holder.reachable();
  const serving = await cell.device('serving', { relay });
  await serving.record(cell.entries('serving', 1));
  let process = serving.start('p2p-serve');
  await process.waitFor('lost');
  assert.ok((await relayMetric(relay, 'reservation_requests_total{outcome="reservations"}')) > 0);
  await until(
    () => [relay.stdout(), relay.stderr()].some((text) => text.includes(serving.peerId)),
    'the relay logs whom it refused',
  );
  holding.kill('SIGKILL');
  await holding.exited;
  await until(async () => (await relayMetric(relay, 'reservations')) === 0, 'the reservation is free');
  if (!cell.isGen1) {
    assert.equal(process.logged('lost').length, 1);
    await process.stop();
    process = serving.start('p2p-serve');
  }
  await process.waitFor('registered', ({ circuits }) => circuits === 1, RETRY_TIMEOUT_MS);
}

export async function restart(cell: RrCell, signal: NodeJS.Signals): Promise<void> {
  const folder = cell.folder();
  const relay = await cell.startRelay({}, folder);
  const { serving, process, asker } = await pair(cell, { relay });
  await syncOnce(asker, serving);
  relay.kill(signal);
  await relay.exited;
  const listen = relay.address.slice(0, relay.address.indexOf('/p2p/'));
  const again = await cell.startRelay({ RELAY_LISTEN: listen }, folder);
  const startMs = performance.now();
  assert.equal(again.address, relay.address);
  if (cell.isGen1) {
    await until(() => process.logged('reserved').length > 1, 'it has reserved again', RETRY_TIMEOUT_MS);
    cell.note(`reserved again ${seconds(performance.now() - startMs)} after the start of the relay`);
    await syncEventually(asker, serving);
    return;
  }
  await process.waitFor('lost');
  await isShownAsUnreachable(cell, again, asker);
  // What the runbook says.
  await process.stop();
  await serving.reachable();
  await syncEventually(asker, serving);
  await until(async () => (await relayMetric(again, 'unreachable_peers')) === 0, 'it is reachable again');
}

/** In a namespace, because a device with a public address registers this address. */
export async function lost(cell: RrCell): Promise<void> {
  const silent = cell.silentNetwork();
  const [relay, tracker] = await Promise.all([
    cell.startRelay({ RELAY_LISTEN: `/ip4/${silent.host}/tcp/0` }),
    cell.startTracker({ TRACKER_LISTEN: `${silent.host}:0` }),
  ]);
  const place = { relay, tracker };
  const { serving, process, asker } = await pair(cell, { ...place, under: silent.under }, place);
  await syncOnce(asker, serving);
  relay.kill('SIGKILL');
  await process.waitFor('registered', ({ addresses }) => addresses === 0);
  const { lines, code } = await asker.run('p2p-sync');
  assert.equal(code, 0, JSON.stringify(lines));
  const round = lines.find(({ msg }) => msg === 'round');
  assert.ok(Number(round?.['listed']) > Number(round?.['peers']), JSON.stringify(lines));
  assert.deepEqual(process.logged('register failed'), []);
}

async function isShownAsUnreachable(cell: RrCell, relay: Relay, asker: RrDevice): Promise<void> {
  const startMs = performance.now();
  assert.notEqual((await asker.run('p2p-sync')).code, 0);
  await until(
    async () => (await relayMetric(relay, 'unreachable_peers')) > 0,
    'the relay shows the device as unreachable',
    UNREACHABLE_TIMEOUT_MS,
  );
  cell.note(`shown as unreachable after ${seconds(performance.now() - startMs)}`);
}

export async function mesh(cell: RrCell): Promise<void> {
  const [relay, tracker] = await Promise.all([cell.startRelay(), cell.startTracker()]);
  const running: Running[] = [];
  try {
    const started = await startMesh({
      program: cell.program,
      folder: cell.folder(),
      swarmKey: cell.network.swarmKey,
      relay,
      tracker,
      devices: MESH_DEVICES,
      intervalSeconds: 15,
      onStart: (process) => running.push(process),
    });
    const result = await started.run(MESH_ROUNDS);
    assert.deepEqual([...started.failures()], []);
    assert.equal(result.failedRounds, 0);
    assert.equal(result.rounds, MESH_DEVICES * MESH_ROUNDS);
    assert.deepEqual(await started.wrongHistories(), []);
    cell.note(`${result.relayCpuMsPerSync.toFixed(1)} ms CPU of the relay per sync`);
  } finally {
    for (const process of running) process.kill('SIGKILL');
  }
}
