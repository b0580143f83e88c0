import { describe, expect, test } from '@jest/globals';
import { filesOf, GROUP_NAMES, testFiles } from './groups.ts';
import { planOf } from './runner/plan.ts';
import { importsOf, loadedBy } from './source.ts';

const PROCESS_MODULES = new Set(['node:child_process', 'node:cluster']);

/**
 * Parts of the command line that start a process when a hub starts and when one is tested. Every test of a command loads
 * them; the tests that run them are in other groups.
 */
const ONLY_LOADED = new Set(['services/peer/history/integrity.ts', 'services/peer/cli/temporary-hub.ts']);

/** The groups of a run with these arguments. */
function groups(...args: string[]): string[] {
  return [...planOf(args).files.keys()];
}

describe('the groups of tests', () => {
  test('contain each test file exactly once', () => {
    const grouped = GROUP_NAMES.flatMap((group) => filesOf(group));
    expect(grouped.toSorted()).toEqual(testFiles());
  });

  test('are not empty', () => {
    for (const group of GROUP_NAMES) expect([group, filesOf(group).length > 0]).toEqual([group, true]);
  });

  test('start no other process in unit', () => {
    const starting = filesOf('unit').flatMap((file) =>
      [...loadedBy(file)]
        .filter((loaded) => !ONLY_LOADED.has(loaded))
        .filter((loaded) => importsOf(loaded).some(({ target }) => PROCESS_MODULES.has(target)))
        .map((loaded) => `${file} loads ${loaded}`),
    );
    expect(starting).toEqual([]);
  });
});

describe('a test run', () => {
  test('has the checks and the fast groups by default', () => {
    expect(planOf([])).toMatchObject({ checks: ['types', 'lint', 'format', 'bundles'], hasInterop: false });
    expect(groups()).toEqual(['unit', 'redis', 'e2e']);
  });

  test('has everything, each file once, with "all"', () => {
    const plan = planOf(['all']);
    expect(plan).toMatchObject({ checks: ['types', 'lint', 'format', 'bundles'], hasInterop: true });
    expect([...plan.files.values()].flat().toSorted()).toEqual(testFiles());
  });

  test('has the files of all groups whose path contains an argument', () => {
    expect(planOf(['./testing/groups'])).toEqual({
      checks: [],
      files: new Map([['unit', ['testing/groups.test.ts']]]),
      hasInterop: false,
    });
    expect(groups('services/tracker/registry')).toEqual(['unit', 'redis']);
  });

  test('builds the bundles for the tests that run them', () => {
    expect(planOf(['e2e']).checks).toEqual(['bundles']);
    expect(planOf(['slow']).checks).toEqual(['bundles']);
    expect(planOf(['unit']).checks).toEqual([]);
  });

  test.each(['--watch', 'services/nothing'])('refuses %s', (argument) => {
    expect(() => planOf([argument])).toThrow(argument);
  });
});
