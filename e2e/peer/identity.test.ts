import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { makeEntries, startNetwork } from '../../testing/network.ts';

afterEach(cleanUp);

/** Number of pulls while the other process of the device has the newest connection to the relay. */
const PULLS = 5;

describe('a device that serves in one process and syncs in another, with one identity', () => {
  test('stays reachable because the relay offers no circuit to the process that only syncs', async () => {
    const network = await startNetwork();
    const [laptop, desktop] = [network.device('laptop'), network.device('desktop')];
    laptop.insert(makeEntries('laptop', 100));
    await laptop.serve();
    desktop.insert(makeEntries('desktop', 100));
    await desktop.serve();
    const watching = laptop.start('sync', '--watch', '--interval-sec', '1', '--json');
    await watching.waitFor('started');
    for (let pulls = 1; pulls <= PULLS; pulls += 1) {
      const { code, stdout, stderr } = await desktop.run('sync', '--json');
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(JSON.parse(stdout)).not.toHaveProperty('error');
    }
    expect(desktop.entries()).toHaveLength(200);
    expect(await watching.stop()).toBe(0);
    expect(watching.stdout()).toContain('"failed":0');
    expect(watching.stdout()).not.toContain('"error"');
  });
});
