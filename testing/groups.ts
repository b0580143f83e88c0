// The groups of tests, by file name. The runner, the Jest configuration and groups.test.ts derive from this table.
import { globSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');

/** Test files of `e2e` that belong to `slow` although their name does not end in `.slow.test.ts`. */
const SLOW_E2E = ['e2e/{charts,alerts,images}/**/*.test.ts', 'e2e/docs*.test.ts'];

interface Group {
  /** For `npm test -- --help`. */
  readonly summary: string;
  /** Globs relative to the root of the repository. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/** In the order in which they run. The interop matrix is a program (`e2e/interop/run.ts`) and has no test files. */
export const GROUPS = {
  unit: {
    summary: 'tests that start no other process (services, testing, bench)',
    include: ['{services,testing,bench}/**/*.test.ts'],
    exclude: ['**/*.{redis,slow}.test.ts'],
  },
  redis: {
    summary: 'tests against real Redis servers (*.redis.test.ts)',
    include: ['**/*.redis.test.ts'],
    exclude: [],
  },
  e2e: {
    summary: 'real processes: README commands, register and list, sync, failures (e2e)',
    include: ['e2e/**/*.test.ts'],
    exclude: ['**/*.{redis,slow}.test.ts', ...SLOW_E2E],
  },
  slow: {
    summary: 'large, long and hostile cases, charts, alerts, images, docs (*.slow.test.ts)',
    include: ['**/*.slow.test.ts', ...SLOW_E2E],
    exclude: [],
  },
} as const satisfies Record<string, Group>;

export type GroupName = keyof typeof GROUPS;

export const GROUP_NAMES = Object.keys(GROUPS) as GroupName[];

/** Every test file of the repository, sorted, relative to its root. */
export function testFiles(): string[] {
  return find(['**/*.test.ts'], []);
}

/** The test files of a group, sorted, relative to the root of the repository. */
export function filesOf(group: GroupName): string[] {
  return find(GROUPS[group].include, GROUPS[group].exclude);
}

function find(include: readonly string[], exclude: readonly string[]): string[] {
  const options = { cwd: ROOT, exclude: ['{node_modules,dist}/**', ...exclude] };
  return globSync([...include], options).toSorted();
}
