// Every pod is replaced, or killed, while ten devices sync and another one registers all the time.
import { createHash } from 'node:crypto';
import type { Checks } from '../../testing/checks.ts';
import { until } from '../../testing/wait.ts';
import type { Fleet } from './fleet.ts';
import type { ClusterGrid } from './network.ts';
import { RELEASE } from './kubernetes.ts';
import { register, startRegistrar } from './registrar.ts';

/** How long a pod may take to end: preStop, drain and what comes after, in milliseconds. */
const ENDING_MS = 60_000;

/** Every pod of trackers and relays is replaced while the fleet works. */
export async function checkUpgrade(checks: Checks, grid: ClusterGrid, fleet: Fleet): Promise<void> {
  const before = { pods: await podsOf(grid), secrets: await secretsOf(grid) };
  await checks.check(
    'ten devices outside have all of each other',
    async () => `${await fleet.converge()} rows`,
  );
  fleet.rounds();
  const registrar = startRegistrar(grid);
  const stopAdding = fleet.addEntries();
  await checks.check('helm upgrade replaces every tracker and relay while they work', async () => {
    const started = performance.now();
    await grid.upgrade('second');
    // The last of the old pods may still be about to end.
    let after: string[] = [];
    await until(
      async () => {
        after = await podsOf(grid);
        return after.length === before.pods.length && !after.some((pod) => before.pods.includes(pod));
      },
      'every pod is a new one',
      ENDING_MS,
    );
    return `${after.length} pods in ${((performance.now() - started) / 1000).toFixed(0)} s`;
  });
  await stopAdding();
  const registrations = await registrar.stop();
  await checks.check('… no registration is refused', () => {
    if (registrations.refused.length > 0) throw new Error(registrations.refused.slice(0, 5).join('\n'));
    return `${registrations.registered} registrations, ${registrations.retried} at a second attempt`;
  });
  await checks.check('… all devices have the right rows', async () => `${await fleet.converge()} rows`);
  const { rounds, syncs, failures, problems } = fleet.rounds();
  await checks.check('… no sync fails', () => {
    if (failures.length + problems.length > 0)
      throw new Error(
        `${failures.length} of ${syncs} syncs failed:\n${[...failures, ...problems].slice(0, 5).join('\n')}`,
      );
    return `${syncs} syncs in ${rounds} rounds`;
  });
  await checks.check('… the secrets are what they were', async () => {
    if ((await secretsOf(grid)) !== before.secrets) throw new Error('a secret has changed');
  });
}

/** A tracker, a relay and the Redis end at once, as with their node. */
export async function checkCrash(checks: Checks, grid: ClusterGrid, fleet: Fleet): Promise<void> {
  await checks.check(
    'ten devices outside have all of each other before',
    async () => `${await fleet.converge()} rows`,
  );
  fleet.rounds();
  for (const component of ['tracker', 'relay', 'redis']) {
    await checks.check(
      `killed without grace, a ${component} comes back, and so does everything else`,
      async () => {
        const stopAdding = fleet.addEntries();
        const selector = `app.kubernetes.io/name=${component}`;
        const [pod] = await grid.namespace.list('pods', selector);
        if (pod === undefined) throw new Error('no such pod');
        const registrar = startRegistrar(grid);
        await grid.namespace.kubectl('delete', 'pod', pod.metadata.name, '--grace-period=0', '--force');
        await stopAdding();
        const rows = await fleet.converge();
        await grid.namespace.kubectl(
          'wait',
          '--for=condition=Ready',
          'pod',
          `--selector=${selector}`,
          '--timeout=120s',
        );
        await until(async () => (await register(grid, 'crash')) === undefined, 'a device registers again');
        const { registered, retried, refused } = await registrar.stop();
        return `${rows} rows everywhere; ${registered} registrations, ${retried} at a second attempt, ${refused.length} refused meanwhile`;
      },
    );
  }
  const { syncs, failures } = fleet.rounds();
  checks.say(`${failures.length} of ${syncs} syncs failed meanwhile, and were made up for`);
}

async function podsOf({ namespace }: ClusterGrid): Promise<string[]> {
  const pods = await namespace.list('pods', 'app.kubernetes.io/name in (tracker, relay)');
  const uids = pods.map(({ metadata }) => (metadata as unknown as { uid: string }).uid);
  return uids.toSorted();
}

/** A fingerprint of the secrets of the release: of all, or of those that outlive it. */
export async function secretsOf({ namespace }: ClusterGrid, which: 'all' | 'kept' = 'all'): Promise<string> {
  const secrets = await namespace.list('secrets', `app.kubernetes.io/instance=${RELEASE}`);
  const chosen = secrets.filter(
    ({ metadata }) => which === 'all' || metadata.annotations?.['helm.sh/resource-policy'] === 'keep',
  );
  const data = chosen.map(({ metadata, data: values }) => JSON.stringify([metadata.name, values]));
  return createHash('sha256').update(data.toSorted().join('\n')).digest('hex');
}
