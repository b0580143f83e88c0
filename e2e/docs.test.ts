import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

test('the documents that are made from the code are what the code makes', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/docs.ts', '--check'], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});
