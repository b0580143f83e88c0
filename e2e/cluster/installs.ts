// Every way to install that has a file of ci values: it comes up, works, and goes without leaving anything behind.
import type { Checks } from '../../testing/checks.ts';
import { type Case, CASES, prepare, reasonAgainst, shortPath, UMBRELLA } from './cases.ts';
import { createNamespace, type Namespace } from './kubernetes.ts';
import { leftOver } from './leftovers.ts';
import type { Options } from './options.ts';

export async function checkInstalls(checks: Checks, { values, case: name = '' }: Options): Promise<void> {
  for (const one of CASES.filter((candidate) => candidate.name.includes(name))) {
    const reason = await reasonAgainst(one);
    if (reason === undefined) await checkInstall(checks, one, values);
    else checks.say(`${one.name} cannot run here: ${reason}`);
  }
}

async function checkInstall(checks: Checks, one: Case, values: readonly string[]): Promise<void> {
  const made: Namespace[] = [];
  try {
    await checks.check(`${shortPath(one.values)} installs and becomes ready`, async () => {
      const namespace = await createNamespace(
        `rustory-${one.name.replace('/', '-').replace('rustory-p2p-', '')}`,
      );
      made.push(namespace);
      made.push(...(await prepare(one, namespace)));
      await namespace.install(one.chart, [one.values, ...values]);
      return podsOf(await namespace.list('pods'));
    });
    const [namespace] = made;
    if (namespace === undefined) return;
    if (one.chart === UMBRELLA && !one.name.endsWith('relays-only'))
      await checks.check('… and passes helm test', async () => {
        const said = await namespace.test();
        return /\d+ of \d+ relays work/.exec(said)?.[0];
      });
    await checks.check('… and leaves nothing but what it says', async () => {
      const said = await namespace.uninstall();
      const { kept, forgotten } = await leftOver(namespace, said);
      if (forgotten.length > 0) throw new Error(`left behind: ${forgotten.join(', ')}`);
      return kept.length === 0 ? 'nothing' : kept.join(', ');
    });
  } finally {
    for (const namespace of made) await namespace.remove();
  }
}

/** Each pod with how often it has restarted. */
function podsOf(pods: Awaited<ReturnType<Namespace['list']>>): string {
  const restarts = pods.flatMap(({ status }) =>
    ((status?.['containerStatuses'] ?? []) as Array<{ restartCount: number }>).map(
      ({ restartCount }) => restartCount,
    ),
  );
  const sum = restarts.reduce((total, count) => total + count, 0);
  return `${pods.length} pods, ${sum} restarts`;
}
