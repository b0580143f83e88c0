import { expect, test } from '@jest/globals';
import { finished, startProgram } from '../scripts/processes.ts';

test('the generated files are up to date', async () => {
  const { code, stderr } = await finished(startProgram('docs', 'scripts/docs.ts', { args: ['--check'] }));
  expect(stderr).toBe('');
  expect(code).toBe(0);
});
