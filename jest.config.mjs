// One Jest project for each group of testing/groups.ts.
import { GROUPS, ROOT } from './testing/groups.ts';

const common = {
  testEnvironment: '<rootDir>/testing/jest/environment.mjs',
  extensionsToTreatAsEsm: ['.ts'],
  setupFilesAfterEnv: ['<rootDir>/testing/jest/setup.ts'],
  transform: { '\\.ts$': './testing/jest/typescript.mjs' },
  modulePathIgnorePatterns: ['<rootDir>/dist'],
};

function projectOf(displayName, { include, exclude }) {
  const testMatch = [
    ...include.map((glob) => `<rootDir>/${glob}`),
    // Jest replaces `<rootDir>` only at the start of a pattern, so an exclusion needs the path itself.
    ...exclude.map((glob) => `!${ROOT}/${glob}`),
  ];
  return { ...common, displayName, testMatch };
}

/**
 * Maximum heap of a worker between two files; above it the worker is replaced. Jest keeps about 8 MB of each file, so that
 * the heap of a worker would grow to gigabytes. To free it at the end takes longer than the half second that Jest waits, after
 * which it reports a worker that has failed to exit.
 */
const WORKER_HEAP = '512MB';

export default {
  projects: Object.entries(GROUPS).map(([name, group]) => projectOf(name, group)),
  workerIdleMemoryLimit: WORKER_HEAP,
};
