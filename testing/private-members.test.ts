import { expect, test } from '@jest/globals';
import { missingMembers } from './private-members.ts';

test('an error about a missing member names its package and the file that depends on it', () => {
  const object = { status: 'open' };
  expect(
    missingMembers({
      packageName: 'p',
      file: 'f.ts',
      owner: 'Muxer',
      object,
      functions: ['abort'],
      fields: ['status'],
    }),
  ).toEqual(['p has no Muxer.abort, which f.ts depends on.']);
});
