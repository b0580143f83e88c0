// Scenario `outside`: devices outside the cluster register through the Ingress, reserve at the announced address of each
// relay, and sync.
import { join } from 'node:path';
import type { Checks } from '../../testing/checks.ts';
import { parseLines, type SyncResult } from '../../scripts/local-network.ts';
import { until } from '../../testing/wait.ts';
import { createDevice, haveEqualHistories } from './devices.ts';
import type { ClusterNetwork } from './network.ts';
import { register } from './registrar.ts';

const SAMPLE = join(import.meta.dirname, '../../scripts/sample/bash_history');
const SAMPLE_ENTRIES = 3000;

export async function checkOutside(checks: Checks, network: ClusterNetwork): Promise<void> {
  await checks.check(
    'a device outside registers through the Ingress host, and is refused without a valid token',
    async () => {
      // The Ingress controller applies the new route after a few seconds.
      await until(async () => (await register(network, 'outside')).ok, 'a device registers');
      const result = await register({ ...network, token: 'another' }, 'outside');
      if (result.ok) throw new Error('The tracker accepted a registration with an invalid token.');
      if (!result.reason.startsWith('401'))
        throw new Error(`The status for an invalid token is not 401: ${result.reason}.`);
      return network.tracker.url;
    },
  );
  for (const [ordinal, relay] of network.relays.entries()) {
    await checks.check(
      `two devices outside sync through relay ${ordinal}, at its announced address`,
      async () => syncThrough(network, relay, ordinal),
    );
  }
}

async function syncThrough(network: ClusterNetwork, relay: string, ordinal: number): Promise<string> {
  const [a, b] = ['a', 'b'].map((name) => createDevice(network, `outside-${ordinal}${name}`, [relay]));
  if (a === undefined || b === undefined) throw new Error('There are no devices.');
  const imported = await a.run('import', '--shell', 'bash', SAMPLE);
  if (imported.code !== 0) throw new Error(imported.stderr);
  const serving = a.start('serve');
  try {
    await serving.waitFor('registered', ({ addrs }) => String(addrs).includes(`${relay}/p2p-circuit`));
    const { stdout, stderr } = await b.run('sync', '--json');
    const [result] = parseLines<SyncResult>(stdout);
    if (result?.address?.startsWith(`${relay}/p2p-circuit`) !== true || result.error !== undefined)
      throw new Error(`${stdout}${stderr}`);
    if (!haveEqualHistories([a, b], SAMPLE_ENTRIES)) throw new Error('The histories of the devices differ.');
    return `${result.entries} entries through ${relay.slice(0, relay.indexOf('/p2p/'))}`;
  } finally {
    await serving.stop();
  }
}
