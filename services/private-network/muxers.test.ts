import { afterEach, describe, expect, test } from '@jest/globals';
import type { StreamMuxerFactory } from '@libp2p/interface';
import { mplex } from '@libp2p/mplex';
import { type AbstractStreamMuxer, multiaddrConnectionPair } from '@libp2p/utils';
import { yamux } from '@libp2p/yamux';
import manifest from '../../package.json' with { type: 'json' };
import { missingMembers } from '../../testing/private-members.ts';

const FILE = 'services/private-network/muxers.ts';

const muxers: AbstractStreamMuxer[] = [];
afterEach(() => {
  for (const muxer of muxers.splice(0)) muxer.abort(new Error('The test has ended.'));
});

function start(factory: StreamMuxerFactory): AbstractStreamMuxer {
  const [connection] = multiaddrConnectionPair();
  const muxer = factory.createStreamMuxer(connection) as AbstractStreamMuxer;
  muxers.push(muxer);
  return muxer;
}

describe.each([
  { packageName: '@libp2p/yamux' as const, factory: yamux()(), owner: 'Yamux' },
  { packageName: '@libp2p/mplex' as const, factory: mplex()(), owner: 'Mplex' },
])('$packageName', ({ packageName, factory, owner }) => {
  test('is pinned to one version', () => {
    expect(manifest.dependencies[packageName]).toMatch(/^\d/);
  });

  test('has the private members that muxers.ts replaces', async () => {
    const muxer = start(factory);
    const stream = await muxer.createStream();
    expect([
      ...missingMembers({
        packageName,
        file: FILE,
        owner: `${owner}Muxer`,
        object: muxer,
        functions: ['onCreateStream', 'onRemoteStream', 'abort'],
        fields: ['streams'],
      }),
      ...missingMembers({
        packageName,
        file: FILE,
        owner: `${owner}Stream`,
        object: stream,
        functions: ['sendData', 'sendPause', 'sendResume'],
      }),
    ]).toEqual([]);
  });
});

describe('@libp2p/utils', () => {
  test('is pinned to one version', () => {
    expect(manifest.dependencies['@libp2p/utils']).toMatch(/^\d/);
  });

  test('has the private members of a connection that muxers.ts sets', () => {
    const [connection] = multiaddrConnectionPair();
    expect(
      missingMembers({
        packageName: '@libp2p/utils',
        file: FILE,
        owner: 'AbstractMessageStream',
        object: connection,
        functions: ['pause', 'resume', 'abort'],
        fields: ['maxWriteBufferLength'],
      }),
    ).toEqual([]);
  });
});

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
