import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { attempt } from '../../testing/command.ts';

const MAIN = join(import.meta.dirname, 'main.ts');

test.each<[name: string, args: string[], missing: string[]]>([
  ['kubectl and helm', [], ['kubectl', 'helm']],
  [
    'the builder and the loader',
    ['--load', 'kind load image-archive'],
    ['kubectl', 'helm', 'buildah', 'kind'],
  ],
  [
    'a loader by its path',
    ['--load', '/nonexistent/load --now'],
    ['kubectl', 'helm', 'buildah', '/nonexistent/load'],
  ],
  ['only the builder when it only builds', ['--build'], ['buildah']],
])('a run without tools names %s, and starts nothing', async (_, args, missing) => {
  const { code, stdout, stderr } = await attempt(process.execPath, [MAIN, ...args], {
    env: { PATH: '/nonexistent' },
  });
  const named = [...stderr.matchAll(/^ {2}(\S+) is not installed: .+\.$/gm)].map(([, tool]) => tool);
  expect([code, stdout, named]).toEqual([2, '', missing]);
});
