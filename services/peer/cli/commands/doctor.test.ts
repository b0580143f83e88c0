import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { formatSwarmKey, generateSwarmKey } from '../../../private-network/key.ts';
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

  test('warns of keys that other users can read, and of unknown variables', async () => {
    await run(['init']);
    chmodSync(inConfig('swarm.key'), 0o644);
    const { code, stdout } = await run(['doctor'], { RUSTORY_TRACKER: 'http://tracker.lan' });
    expect(code).toBe(0);
    expect(stdout).toContain('chmod 600');
    expect(stdout).toContain('RUSTORY_TRACKER');
  });
});
