import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { formatSwarmKey, generateSwarmKey } from '../../../private-network/key.ts';
import { unixSeconds } from '../../../shared/clock.ts';
import { createStore } from '../../history/store.ts';
import { openDatabase } from '../../history/database.ts';
import { createTestHome, type TestHome } from '../../../../testing/cli.ts';
import { cleanUp } from '../../../../testing/cleanup.ts';
import { startTestRelay, testSwarmKey } from '../../../../testing/peer.ts';

let device: TestHome;

beforeEach(() => {
  device = createTestHome();
});

afterEach(cleanUp);

const run: TestHome['run'] = async (...args) => device.run(...args);
const inConfig = (name: string): string => device.inConfig(name);

describe('doctor', () => {
  test('finds no problem in a working network', async () => {
    const { address } = await startTestRelay();
    await run(['init', '--relay-addr', address]);
    writeFileSync(inConfig('swarm.key'), formatSwarmKey(testSwarmKey));
    const { stdout } = await run(['doctor', '--json']);
    const { findings } = JSON.parse(stdout) as { findings: Array<{ subject: string; state: string }> };
    expect(findings.map(({ subject, state }) => `${subject} ${state}`)).toEqual([
      'config ok',
      'swarm key ok',
      'identity ok',
      'database ok',
      'trackers warning',
      'relay ok',
    ]);
  });

  test('reports the swarm key when the relay has a different one', async () => {
    const { address } = await startTestRelay({ swarmKey: generateSwarmKey() });
    await run(['init', '--relay-addr', address]);
    const { code, stdout } = await run(['doctor']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^FAIL {2}relay .*swarm key/ms);
    const fingerprint = (await run(['swarm-key', '--json'])).stdout;
    expect(stdout).toContain((JSON.parse(fingerprint) as { fingerprint: string }).fingerprint);
  });

  test('reports a peer that is not a relay', async () => {
    const { address } = await startTestRelay({ hasHop: false });
    await run(['init', '--relay-addr', address]);
    writeFileSync(inConfig('swarm.key'), formatSwarmKey(testSwarmKey));
    expect((await run(['doctor'])).stdout).toMatch(/but not to a\s+relay/);
  });

  test('shows allowed_peers, and rejects an id that is not one', async () => {
    await run(['init']);
    const id = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
    const { stdout } = await run(['doctor', '--json'], { RUSTORY_ALLOWED_PEERS: id });
    const { findings, settings } = JSON.parse(stdout) as Record<'findings' | 'settings', unknown[]>;
    expect(findings).toContainEqual({
      subject: 'allowed_peers',
      state: 'ok',
      detail: expect.stringContaining('only 1 device may pull'),
    });
    expect(settings).toContainEqual({ key: 'allowed_peers', value: id, origin: 'environment' });
    expect(await run(['doctor'], { RUSTORY_ALLOWED_PEERS: 'laptop' })).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('RUSTORY_ALLOWED_PEERS: "laptop" is not a peer id'),
    });
  });

  test('names the entries that no other device can get', async () => {
    await run(['init']);
    await run(['record', '--cmd', 'ls']);
    const database = openDatabase(join(device.home, '.rustory', 'history.db'));
    database.sqlite.exec("UPDATE entries SET entry_id = 'odd', ts = 253402300800");
    database.close();
    const { findings } = JSON.parse((await run(['doctor', '--json'])).stdout) as { findings: object[] };
    expect(findings).toContainEqual({
      subject: 'entries',
      state: 'warning',
      detail: expect.stringMatching(/^1 entry cannot be sent to other devices\. odd: The field ts must be/),
      advice: expect.stringContaining('delete ID'),
    });
  });

  test('names the devices that pulled more than the database ever stored, until it has stored more', async () => {
    await run(['init']);
    await run(['record', '--cmd', 'ls']);
    const database = openDatabase(join(device.home, '.rustory', 'history.db'));
    const store = createStore(database);
    const [peerId, seenUnixSeconds] = ['12D3KooWTest', unixSeconds()];
    const { cursor } = store.highestStored();
    store.noteHighRequest({ peerId, cursor: cursor + 1, deleteCursor: 0, seenUnixSeconds });
    store.noteHighRequest({ peerId: 'old', cursor: cursor + 1, deleteCursor: 0, seenUnixSeconds: 1 });
    const read = async () =>
      (JSON.parse((await run(['doctor', '--json'])).stdout) as { findings: object[] }).findings;
    expect(await read()).toContainEqual({
      subject: 'database',
      state: 'warning',
      detail: '1 device has pulled more than this database ever stored: 12D3KooWTest.',
      advice: expect.stringContaining('an older copy'),
    });
    await run(['record', '--cmd', 'pwd']);
    expect(JSON.stringify(await read())).not.toContain('ever stored');
    database.close();
  });

  test('counts the deletions that no other device can get', async () => {
    await run(['init']);
    await run(['record', '--cmd', 'ls']);
    const database = openDatabase(join(device.home, '.rustory', 'history.db'));
    for (const [seq, id] of ["''", "x'00ff'", `'${'x'.repeat(5_000)}'`, "x'01'", "'fine'"].entries())
      database.sqlite.exec(`INSERT INTO entry_deletions VALUES (${seq + 1}, ${id}, 'ada', 'laptop', 1)`);
    database.close();
    const { findings } = JSON.parse((await run(['doctor', '--json'])).stdout) as { findings: object[] };
    expect(findings).toContainEqual({
      subject: 'deletions',
      state: 'warning',
      detail: expect.stringMatching(
        /^4 deletions cannot be sent to other devices, .*: delete_seq 1, 2, 3 and others in /,
      ),
      advice: expect.stringContaining('not affected'),
    });
  });

  test('warns of keys that other users can read, and of unknown variables', async () => {
    await run(['init']);
    chmodSync(inConfig('swarm.key'), 0o644);
    const { code, stdout } = await run(['doctor'], { RUSTORY_TRACKER: 'http://tracker.lan' });
    expect(code).toBe(0);
    expect(stdout).toContain('chmod 600');
    expect(stdout).toContain('RUSTORY_TRACKER');
  });
});
