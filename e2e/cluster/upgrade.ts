// Scenarios `upgrade` and `crash`: pods are replaced or killed while ten devices sync and another one registers in a loop.
import { createHash } from 'node:crypto';
import type { Checks } from '../../testing/checks.ts';
import { until } from '../../testing/wait.ts';
import type { Fleet } from './fleet.ts';
import type { ClusterNetwork } from './network.ts';
import { RELEASE } from './kubernetes.ts';
import { register, startRegistrar } from './registrar.ts';

/** Deadline for the end of the old pods, in milliseconds; longer than preStop and drain. */
const REPLACE_TIMEOUT_MS = 60_000;

export async function checkUpgrade(checks: Checks, network: ClusterNetwork, fleet: Fleet): Promise<void> {
  const before = { pods: await podsOf(network), secrets: await secretsOf(network) };
  await checks.check(
    'ten devices outside have equal histories',
    async () => `${await fleet.converge()} rows`,
  );
  fleet.roundsSinceLastCall();
  const registrar = startRegistrar(network);
  const stopAdding = fleet.addEntries();
  await checks.check('helm upgrade replaces every tracker and relay while devices sync', async () => {
    const startedMs = performance.now();
    await network.upgrade('second');
    // Helm does not wait until the last old pod is gone.
    let after: string[] = [];
    await until(
      async () => {
        after = await podsOf(network);
        return after.length === before.pods.length && !after.some((pod) => before.pods.includes(pod));
      },
      'every pod is new',
      REPLACE_TIMEOUT_MS,
    );
    return `${after.length} pods in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`;
  });
  await stopAdding();
  const registrations = await registrar.stop();
  await checks.check('no registration fails during the upgrade', () => {
    if (registrations.failed.length > 0)
      throw new Error(`The first errors:\n${registrations.failed.slice(0, 5).join('\n')}`);
    return `${registrations.registered} registrations, ${registrations.retried} with more than one attempt`;
  });
  await checks.check(
    'all devices have equal histories after the upgrade',
    async () => `${await fleet.converge()} rows`,
  );
  const { rounds, syncs, failures, problems } = fleet.roundsSinceLastCall();
  await checks.check('no sync fails during the upgrade', () => {
    if (failures.length + problems.length > 0)
      throw new Error(
        `${failures.length} of ${syncs} syncs failed. The first errors:\n${[...failures, ...problems].slice(0, 5).join('\n')}`,
      );
    return `${syncs} syncs in ${rounds} rounds`;
  });
  await checks.check('the upgrade keeps all Secrets', async () => {
    if ((await secretsOf(network)) !== before.secrets) throw new Error('A Secret has changed.');
  });
}

export async function checkCrash(checks: Checks, network: ClusterNetwork, fleet: Fleet): Promise<void> {
  await checks.check(
    'ten devices outside have equal histories before the crashes',
    async () => `${await fleet.converge()} rows`,
  );
  fleet.roundsSinceLastCall();
  for (const component of ['tracker', 'relay', 'redis']) {
    await checks.check(
      `the network recovers after a ${component} is killed without a grace period`,
      async () => {
        const stopAdding = fleet.addEntries();
        const selector = `app.kubernetes.io/name=${component}`;
        const [pod] = await network.namespace.list('pods', selector);
        if (pod === undefined) throw new Error(`There is no pod with the label ${selector}.`);
        const registrar = startRegistrar(network);
        await network.namespace.kubectl('delete', 'pod', pod.metadata.name, '--grace-period=0', '--force');
        await stopAdding();
        const rows = await fleet.converge();
        await network.namespace.kubectl(
          'wait',
          '--for=condition=Ready',
          'pod',
          `--selector=${selector}`,
          '--timeout=120s',
        );
        await until(async () => (await register(network, 'crash')).ok, 'a device registers again');
        const { registered, retried, failed } = await registrar.stop();
        return `${rows} rows; ${registered} registrations, ${retried} with more than one attempt, ${failed.length} failed`;
      },
    );
  }
  const { syncs, failures } = fleet.roundsSinceLastCall();
  checks.report(`${failures.length} of ${syncs} syncs failed during the crashes; later rounds succeeded`);
}

async function podsOf({ namespace }: ClusterNetwork): Promise<string[]> {
  const pods = await namespace.list('pods', 'app.kubernetes.io/name in (tracker, relay)');
  const uids = pods.map(({ metadata }) => (metadata as unknown as { uid: string }).uid);
  return uids.toSorted();
}

/** A hash of the Secrets of the release: of all, or of those that Helm keeps. */
export async function secretsOf(
  { namespace }: ClusterNetwork,
  which: 'all' | 'kept' = 'all',
): Promise<string> {
  const secrets = await namespace.list('secrets', `app.kubernetes.io/instance=${RELEASE}`);
  const chosen = secrets.filter(
    ({ metadata }) => which === 'all' || metadata.annotations?.['helm.sh/resource-policy'] === 'keep',
  );
  const data = chosen.map(({ metadata, data: values }) => JSON.stringify([metadata.name, values]));
  return createHash('sha256').update(data.toSorted().join('\n')).digest('hex');
}
