// Slow, because a copied identity is reported only after two sightings that are 30 seconds apart.
import { copyFileSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { startNetwork } from '../../testing/network.ts';
import { until, WAIT_TIMEOUT_MS } from '../../testing/wait.ts';

afterEach(cleanUp);

test('two devices with a copied identity report it', async () => {
  const network = await startNetwork();
  const [laptop, copy] = [network.device('laptop'), network.device('copy')];
  const serving = await laptop.serve();
  copyFileSync(
    laptop.env['RUSTORY_P2P_IDENTITY_KEY_PATH'] ?? '',
    copy.env['RUSTORY_P2P_IDENTITY_KEY_PATH'] ?? '',
  );
  const copied = await copy.serve();
  for (const running of [serving, copied])
    await until(
      () => running.stderr().includes('this identity is used twice'),
      'it is reported',
      2 * WAIT_TIMEOUT_MS,
    );
  expect(serving.stderr()).toContain('as device \\"copy\\"');
  const { code, stdout } = await copy.run('doctor', '--json');
  expect(code).toBe(1);
  expect(stdout).toContain('This identity is used twice');
});
