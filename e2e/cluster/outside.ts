// Devices outside the cluster: they register through the Ingress, reserve at what each relay announces, and sync.
import { join } from 'node:path';
import type { Checks } from '../../testing/checks.ts';
import { parseLines, type SyncResult } from '../../scripts/local-network.ts';
import { until } from '../../testing/wait.ts';
import { areEqual, createDevice } from './devices.ts';
import type { ClusterGrid } from './network.ts';
import { register } from './registrar.ts';

const SAMPLE = join(import.meta.dirname, '../../scripts/sample/bash_history');
const SAMPLE_ENTRIES = 3000;

export async function checkOutside(checks: Checks, grid: ClusterGrid): Promise<void> {
  await checks.check(
    'a device outside registers through the Ingress host, and not without a token',
    async () => {
      // The Ingress controller takes it up within some seconds.
      await until(async () => (await register(grid, 'outside')) === undefined, 'a device registers');
      const refused = await register({ ...grid, token: 'another' }, 'outside');
      if (refused?.startsWith('401') !== true)
        throw new Error(`without a valid token: ${refused ?? 'registered'}`);
      return grid.tracker.url;
    },
  );
  for (const [ordinal, relay] of grid.relays.entries()) {
    await checks.check(
      `two devices outside sync through relay ${ordinal}, at the address it announces`,
      async () => syncThrough(grid, relay, ordinal),
    );
  }
}

async function syncThrough(grid: ClusterGrid, relay: string, ordinal: number): Promise<string> {
  const [a, b] = ['a', 'b'].map((name) => createDevice(grid, `outside-${ordinal}${name}`, [relay]));
  if (a === undefined || b === undefined) throw new Error('no devices');
  const imported = await a.run('import', '--shell', 'bash', SAMPLE);
  if (imported.code !== 0) throw new Error(imported.stderr);
  const serving = a.start('serve');
  try {
    await serving.waitFor('registered', ({ addrs }) => String(addrs).includes(`${relay}/p2p-circuit`));
    const { stdout, stderr } = await b.run('sync', '--json');
    const [result] = parseLines<SyncResult>(stdout);
    if (result?.address?.startsWith(`${relay}/p2p-circuit`) !== true || result.error !== undefined)
      throw new Error(`${stdout}${stderr}`);
    if (!areEqual([a, b], SAMPLE_ENTRIES)) throw new Error('the histories differ');
    return `${result.entries} entries by ${relay.slice(0, relay.indexOf('/p2p/'))}`;
  } finally {
    await serving.stop();
  }
}
