// Scenario `installs`: installs, tests and uninstalls the charts with each ci values file.
import type { Checks } from '../../testing/checks.ts';
import { type Case, CASES, missingRequirement, prepare, shortPath, UMBRELLA } from './cases.ts';
import { createNamespace, type Namespace } from './kubernetes.ts';
import { remainingObjects } from './leftovers.ts';
import type { Options } from './options.ts';

export async function checkInstalls(checks: Checks, { values, case: name = '' }: Options): Promise<void> {
  for (const installCase of CASES.filter((candidate) => candidate.name.includes(name))) {
    const requirement = await missingRequirement(installCase);
    if (requirement === undefined) await checkInstall(checks, installCase, values);
    else checks.report(`skipped ${installCase.name}: it requires ${requirement}`);
  }
}

async function checkInstall(checks: Checks, installCase: Case, values: readonly string[]): Promise<void> {
  const namespaces: Namespace[] = [];
  const file = shortPath(installCase.values);
  try {
    await checks.check(`${file} installs and becomes ready`, async () => {
      const namespace = await createNamespace(
        `rustory-${installCase.name.replace('/', '-').replace('rustory-p2p-', '')}`,
      );
      namespaces.push(namespace);
      namespaces.push(...(await prepare(installCase, namespace)));
      await namespace.install(installCase.chart, [installCase.values, ...values]);
      return countPods(await namespace.list('pods'));
    });
    const [namespace] = namespaces;
    if (namespace === undefined) return;
    if (installCase.chart === UMBRELLA && !installCase.name.endsWith('relays-only'))
      await checks.check(`${file} passes helm test`, async () => {
        const output = await namespace.test();
        return [...output.matchAll(/\d+ of \d+ relays work|\d+ hubs asked/g)].join(', ');
      });
    await checks.check(`${file} uninstalls and leaves only the objects that Helm keeps`, async () => {
      const output = await namespace.uninstall();
      const { kept, leaked } = await remainingObjects(namespace, output);
      if (leaked.length > 0)
        throw new Error(`These objects remain after the uninstall: ${leaked.join(', ')}.`);
      return kept.length === 0 ? 'none' : kept.join(', ');
    });
  } finally {
    for (const namespace of namespaces) await namespace.remove();
  }
}

/** The number of pods and of their restarts. */
function countPods(pods: Awaited<ReturnType<Namespace['list']>>): string {
  const restarts = pods.flatMap(({ status }) =>
    ((status?.['containerStatuses'] ?? []) as Array<{ restartCount: number }>).map(
      ({ restartCount }) => restartCount,
    ),
  );
  const sum = restarts.reduce((total, count) => total + count, 0);
  return `${pods.length} pods, ${sum} restarts`;
}
