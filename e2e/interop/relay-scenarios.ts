// The scenarios in which the relay is full, ends a circuit at a limit, drains, or restarts.
import assert from 'node:assert/strict';
import type { Relay } from '../../scripts/local-network.ts';
import type { LogLine } from '../../scripts/processes.ts';
import { until } from '../../testing/wait.ts';
import { makeEntries } from '../../testing/network.ts';
import { type Cell, STEP_TIMEOUT_MS, relayMetric } from './cell.ts';
import { find, reach } from './steps.ts';

const MIB = 1024 * 1024;

/** Matches the error of every implementation for a refused reservation. */
const REFUSED = /refused|RESERVATION_REFUSED/i;

/** Two hundred entries with this command make a response of 20 MB. */
const LONG_COMMAND = 'x'.repeat(100_000);

/** Stock js-libp2p reports the byte limit of a circuit minus the bytes of the handshake, which are fewer than this. */
const MAX_HANDSHAKE_BYTES = 4096;

export async function refused(cell: Cell): Promise<void> {
  const relay = await cell.startRelay({ RELAY_MAX_RESERVATIONS: '1' });
  const holder = await cell.serve(relay);
  const waiting = cell.start(relay, ['serve']);
  const lost = await waiting.waitFor('lost');
  assert.match(String(lost['reason']), REFUSED);
  // The js program creates a new node after each attempt, so the connection is not kept.
  if (cell.program.name !== 'js') assert.equal(lost['connected'], true);
  assert.ok((await relayMetric(relay, 'reservation_requests_total{outcome="reservations"}')) > 0);
  holder.kill('SIGKILL');
  await waiting.waitFor('reserved');
}

export async function limits(cell: Cell): Promise<void> {
  const limit = { seconds: 1234, bytes: 5 * MIB };
  const relay = await startLimited(cell, limit);
  const serving = await cell.serve(relay);
  if (cell.program.reportsReservationLimits) assertLimits(serving.reserved, limit);
  const { lines } = await cell.run(relay, ['dial', '--peer', serving.peerId]);
  assertLimits(find(lines, 'circuit'), limit);
  assertLimits(await serving.waitFor('circuit'), limit);
}

function assertLimits(line: LogLine | undefined, limit: { seconds: number; bytes: number }): void {
  assert.equal(line?.['seconds'], limit.seconds);
  const bytes = Number(line['bytes']);
  assert.ok(
    bytes <= limit.bytes && bytes > limit.bytes - MAX_HANDSHAKE_BYTES,
    `The limit is ${bytes} bytes instead of ${limit.bytes}.`,
  );
}

export async function byteLimit(cell: Cell): Promise<void> {
  const relay = await startLimited(cell, { seconds: 600, bytes: 4 * MIB });
  const entries = makeEntries('theirs', 200).map((entry) => Object.assign(entry, { cmd: LONG_COMMAND }));
  const serving = await cell.serve(relay, cell.entriesFile(entries));
  const below = await cell.run(relay, ['bulk', '--peer', serving.peerId, '--bytes', String(2 * MIB)]);
  assert.equal(below.code, 0, below.stderr);
  const above = await cell.run(relay, ['pull', '--peer', serving.peerId, '--version', '1.0.0']);
  assert.equal(above.code, 1);
  assert.equal(await relayMetric(relay, 'circuits_ended_total{reason="bytes"}'), 1);
  // Data in flight when the circuit ends must not end the reservation of the sender.
  await reach(cell, relay, serving);
  assert.deepEqual(serving.logged('lost'), []);
}

export async function timeLimit(cell: Cell): Promise<void> {
  const relay = await startLimited(cell, { seconds: 2, bytes: 64 * MIB });
  const serving = await cell.serve(relay);
  // The transfer pauses after the first half, so only the end of the circuit ends it.
  const { code } = await cell.run(relay, [
    'bulk',
    '--peer',
    serving.peerId,
    '--bytes',
    String(MIB),
    '--pause',
  ]);
  assert.equal(code, 1);
  assert.equal(await relayMetric(relay, 'circuits_ended_total{reason="duration"}'), 1);
}

async function startLimited(cell: Cell, limit: { seconds: number; bytes: number }): Promise<Relay> {
  return cell.startRelay({
    RELAY_CIRCUIT_SECONDS: String(limit.seconds),
    RELAY_CIRCUIT_BYTES: String(limit.bytes),
  });
}

export async function drain(cell: Cell): Promise<void> {
  const relay = await cell.startRelay({ RELAY_DRAIN_SECONDS: '120' });
  const serving = await cell.serve(relay);
  const args = ['bulk', '--peer', serving.peerId, '--bytes', String(8 * MIB), '--pause'];
  const sending = cell.start(relay, args);
  await sending.waitFor('half');
  relay.kill('SIGTERM');
  await until(async () => (await fetch(`http://${relay.ops}/readyz`)).status === 503, 'the relay drains');

  const late = await cell.run(relay, ['reserve']);
  assert.equal(late.code, 1);
  assert.match(late.stderr, REFUSED);
  assert.equal((await cell.run(relay, ['dial', '--peer', serving.peerId])).code, 1);
  assert.ok((await relayMetric(relay, 'reservation_requests_total{outcome="draining"}')) > 0);
  assert.ok((await relayMetric(relay, 'circuit_requests_total{outcome="draining"}')) > 0);

  sending.write('continue');
  const { sha256 } = await sending.waitFor('confirmed', undefined, STEP_TIMEOUT_MS);
  assert.equal((await serving.waitFor('received'))['sha256'], sha256);
  assert.equal(await sending.exited, 0);
  assert.equal(await relay.exited, 0);
}

export async function restart(cell: Cell): Promise<void> {
  const folder = cell.folder();
  const relay = await cell.startRelay({}, folder);
  const serving = await cell.serve(relay);
  relay.kill('SIGKILL');
  await relay.exited;
  await serving.waitFor('lost');
  const listen = relay.address.slice(0, relay.address.indexOf('/p2p/'));
  const again = await cell.startRelay({ RELAY_LISTEN: listen }, folder);
  assert.equal(again.address, relay.address);
  await until(() => serving.logged('reserved').length > 1, 'the program has reserved again', STEP_TIMEOUT_MS);
  await reach(cell, again, serving);
}
