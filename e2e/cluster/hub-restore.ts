// Restores of a hub as docs/hub.md describes them: a backup while the hub runs and without a running hub, a lost volume,
// and a new identity. The devices then have everything again, and the hub too.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { run } from '../../testing/command.ts';
import type { Checks } from '../../testing/checks.ts';
import { until } from '../../testing/wait.ts';
import { createDevice, type Device } from './devices.ts';
import type { HubScenario } from './hub.ts';
import { ADA, REPLACE_TIMEOUT_MS, uidOf, waitReady } from './hub-release.ts';
import { pushesTo } from './pushes.ts';

const DOCS = join(import.meta.dirname, '../../docs/hub.md');
/** Entries that the device records between two steps. */
const FURTHER_ENTRIES = 500;
/** Timeout of the commands of the docs, in milliseconds. */
const COMMANDS_TIMEOUT_MS = 240_000;

export async function checkRestore(checks: Checks, scenario: HubScenario): Promise<void> {
  const { network, hub } = scenario;
  const { namespace } = network;
  const file = join(network.folder, 'history.db');
  const device = createDevice(network, 'recording', undefined, ADA.userId);
  const record = (): void => {
    device.record(FURTHER_ENTRIES);
    scenario.rows += FURTHER_ENTRIES;
  };
  /** Syncs the device with the hub, and compares their histories. */
  const syncAll = async (peerId: string): Promise<void> => {
    await push(device, peerId);
    await hub.hasAllOf(device, scenario.rows);
  };
  await checks.check('a backup that is restored while the hub runs gives it a new peer id', async () => {
    const before = await hub.peerId();
    await hub.backup(file);
    record();
    await push(device, before);
    await hub.restore(file);
    const after = await hub.renewed(before);
    await syncAll(after);
    return `${scenario.rows} entries`;
  });
  await checks.check('hub new-identity in the pod gives the hub a new peer id', async () => {
    const before = await hub.peerId();
    await hub.peer('hub', 'new-identity');
    const after = await hub.renewed(before);
    record();
    await syncAll(after);
  });
  await checks.check('a hub whose volume is lost gets from its devices what it had', async () => {
    const before = await hub.peerId();
    const claim = await uidOf(namespace, 'pvc', `data-${hub.pod}`);
    await namespace.kubectl('delete', 'pvc', `data-${hub.pod}`, '--wait=false');
    await namespace.kubectl('delete', 'pod', hub.pod);
    const after = await hub.renewed(before);
    if ((await uidOf(namespace, 'pvc', `data-${hub.pod}`)) === claim)
      throw new Error('The volume is the same.');
    await push(device, after);
    // The entries of devices that have left are only in the backup: no other device may push them.
    await hub.restore(file);
    const restored = await hub.renewed(after);
    await syncAll(restored);
  });
  await checks.check(
    'a backup that is restored without a running hub, with the commands of the docs',
    async () => {
      const before = await hub.peerId();
      await run('sh', ['-e', '-c', restoreCommands(hub.name, file)], {
        env: { KUBECONFIG: process.env['KUBECONFIG'] },
        cwd: network.folder,
        timeoutMs: COMMANDS_TIMEOUT_MS,
      });
      await waitReady(namespace, hub.name);
      await syncAll(await hub.renewed(before));
    },
  );

  /** The commands of docs/hub.md for a hub that does not run, in the namespace of the network. */
  function restoreCommands(name: string, backup: string): string {
    const text = /```\n(kubectl scale statefulset HUB --replicas=0\n[^`]+)```/.exec(
      readFileSync(DOCS, 'utf8'),
    )?.[1];
    if (text === undefined) throw new Error(`${DOCS} has no commands for a hub that does not run.`);
    return text
      .replaceAll('HUB', name)
      .replaceAll('VERSION', manifest.version)
      .replace('< history.db', `< ${backup}`)
      .replaceAll(/^kubectl/gm, `kubectl --namespace ${namespace.name}`);
  }
}

/** Syncs the device with the hub until the hub has acknowledged all that the device recorded. */
async function push(device: Device, peerId: string): Promise<void> {
  let output = '';
  await until(
    async () => {
      const { code, stdout, stderr } = await device.run('sync', '--push', '--json');
      output = `${stdout}${stderr}`;
      const { acknowledged, recorded } = pushesTo(device, peerId);
      return code === 0 && acknowledged === recorded;
    },
    `${device.name} pushes everything to the hub ${peerId}`,
    REPLACE_TIMEOUT_MS,
  ).catch((error: unknown) => {
    throw new Error(`The device could not push: ${output}`, { cause: error });
  });
}
