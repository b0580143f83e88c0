import { expect, test } from '@jest/globals';
import { createLibp2p } from 'libp2p';
import manifest from '../../../package.json' with { type: 'json' };
import { missingMembers } from '../../../testing/private-members.ts';
import { prunerOf } from './internals.ts';

test('the installed version of libp2p is pinned, and has the private members that the relay uses', async () => {
  expect(manifest.dependencies.libp2p).toMatch(/^\d/);
  const object = prunerOf(await createLibp2p({ start: false })) ?? {};
  expect(
    missingMembers({
      packageName: 'libp2p',
      file: 'services/relay/libp2p/internals.ts',
      owner: 'ConnectionPruner',
      object,
      functions: ['stop'],
    }),
  ).toEqual([]);
});
