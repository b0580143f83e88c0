import { afterEach, expect, test } from '@jest/globals';
import { multiaddr } from '@multiformats/multiaddr';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { startTestRelay, testSwarmKey } from '../../../testing/peer.ts';
import { deadlineSignal } from '../../../testing/wait.ts';
import { testWireIo } from '../../../testing/wire-io.ts';
import { createPeerNode } from './node.ts';
import type { Family, Lookup } from '../../shared/tcp-connect.ts';

afterEach(cleanUp);

/** A node for which each name has these addresses, and the families that it looked up. */
async function startNode(records: Readonly<Record<Family, readonly string[]>>) {
  const families: Family[] = [];
  const lookup: Lookup = async (_, family) => {
    families.push(family);
    return records[family];
  };
  const identity = await generateKeyPair('Ed25519');
  const node = await createPeerNode({
    io: testWireIo,
    identity,
    swarmKey: testSwarmKey,
    listen: [],
    version: '0.0.0',
    lookup,
  });
  await node.start();
  onCleanup(async () => node.libp2p.stop());
  return { node, families };
}

test.each([
  ['dns4', [4]],
  ['dns6', [6]],
  ['dns', [6, 4]],
] as const)('/%s/ stands for the families %j', async (protocol, expected) => {
  const relay = await startTestRelay({
    listen: [protocol === 'dns6' ? '/ip6/::1/tcp/0' : '/ip4/127.0.0.1/tcp/0'],
  });
  const { node, families } = await startNode({ 4: ['127.0.0.1'], 6: ['::1'] });
  const address = relay.address.replace(/^\/ip[46]\/[^/]+/, `/${protocol}/relay.test`);
  const connection = await node.dial(multiaddr(address), { signal: deadlineSignal(), onProgress: () => {} });
  expect(connection.remotePeer.toString()).toBe(relay.libp2p.peerId.toString());
  expect(families).toEqual(expected);
});
