import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { createLibp2p } from 'libp2p';
import { describeError } from '../shared/errors.ts';
import { loadCipher } from './cipher.ts';
import { generateSwarmKey } from './key.ts';
import { startNode } from './listen.ts';
import { createTransportStack } from './transport-stack.ts';

test('a port that is in use is reported in one sentence with the setting and the address', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  const listen = [`/ip4/127.0.0.1/tcp/${port}`];
  const node = await createLibp2p({
    ...createTransportStack({
      identity: await generateKeyPair('Ed25519'),
      key: generateSwarmKey(),
      cipher: loadCipher(),
      limits: { maxConnections: 1, maxPendingInbound: 1, maxStreamsPerConnection: 1, maxParallelDials: 1 },
    }),
    addresses: { listen },
    start: false,
  });
  try {
    const error: unknown = await startNode(node, listen, 'RELAY_LISTEN').catch((thrown: unknown) => thrown);
    expect(describeError(error)).toBe(
      `RELAY_LISTEN: the node cannot listen on ${listen[0]}; set addresses of this machine with ports that are free`,
    );
  } finally {
    await node.stop();
    server.close();
  }
});

test('any other failure is passed on', async () => {
  const failure = new Error('The disk is full.');
  const node = {
    start: async () => {
      throw failure;
    },
  };
  await expect(startNode(node, [], 'RELAY_LISTEN')).rejects.toBe(failure);
});
