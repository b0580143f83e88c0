// What a run of the tests consists of, from its arguments.
import { isAbsolute, normalize, relative } from 'node:path';
import { filesOf, GROUP_NAMES, type GroupName, GROUPS, ROOT } from '../groups.ts';

export interface Plan {
  /** Tests of real processes also run the bundles, so these are built before. */
  readonly checks: ReadonlyArray<'types' | 'lint' | 'format' | 'bundles'>;
  /** The test files to run by group, in the order of the groups. */
  readonly files: ReadonlyMap<GroupName, readonly string[]>;
  readonly hasInterop: boolean;
}

const STEPS = ['checks', ...GROUP_NAMES, 'interop'] as const;
const DEFAULT_STEPS = ['checks', 'unit', 'redis', 'e2e'];

const SUMMARIES: Readonly<Record<(typeof STEPS)[number], string>> = {
  checks: 'types, lint, format, bundles',
  unit: GROUPS.unit.summary,
  redis: GROUPS.redis.summary,
  e2e: GROUPS.e2e.summary,
  slow: GROUPS.slow.summary,
  interop:
    'the services with rust-libp2p, go-libp2p, js-libp2p and stand-ins for rr (cells without compiler are skipped)',
};

export const HELP = `Usage: npm test [-- STEP|PATH...]

Runs the checks and the tests. The last line counts what passed, failed and was skipped.

  npm test                           ${DEFAULT_STEPS.join(', ')}: before each commit
  npm run test:unit                  unit: while you edit
  npm run test:all                   everything, as in CI
  npm test -- slow                   one step
  npm test -- services/relay         the test files whose path contains this text, of any group
  npm run jest -- FILE --watch       Jest itself, with its options

Steps:
${STEPS.map((step) => `  ${step.padEnd(9)}${SUMMARIES[step]}`).join('\n')}
  all      all of them

The redis and e2e steps need redis-server, redis-sentinel and redis-cli, which are installed with apt-get when the
tests run as root on Debian. The slow step downloads Helm and promtool to ~/.cache/rustory-p2p on Linux.
`;

/** @throws Error for an unknown option and for a path that no test file contains. */
export function planOf(args: readonly string[]): Plan {
  const option = args.find((argument) => argument.startsWith('-'));
  if (option !== undefined)
    throw new Error(
      `Unknown option ${option}. See "npm test -- --help"; "npm run jest --" takes those of Jest.`,
    );
  const given = args.length === 0 ? DEFAULT_STEPS : args;
  const known = new Set<string>([...STEPS, 'all']);
  const paths = given.filter((argument) => !known.has(argument)).map(toRelative);
  const has = (step: string): boolean => given.includes(step) || given.includes('all');

  const all = GROUP_NAMES.map((group) => [group, filesOf(group)] as const);
  for (const path of paths)
    if (!all.some(([, files]) => files.some((file) => file.includes(path))))
      throw new Error(`No test file has "${path}" in its path. See "npm test -- --help".`);
  const chosen = all.map(
    ([group, files]) =>
      [
        group,
        has(group) ? files : files.filter((file) => paths.some((path) => file.includes(path))),
      ] as const,
  );
  const files = new Map(chosen.filter(([, ofGroup]) => ofGroup.length > 0));
  const needsBundles = files.has('e2e') || files.has('slow');
  return {
    checks: has('checks') ? ['types', 'lint', 'format', 'bundles'] : needsBundles ? ['bundles'] : [],
    files,
    hasInterop: has('interop'),
  };
}

/** A path relative to the root of the repository, as test files are listed. */
function toRelative(argument: string): string {
  return isAbsolute(argument) ? relative(ROOT, argument) : normalize(argument);
}
