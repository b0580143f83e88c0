import { afterEach, expect, test } from '@jest/globals';
import type { IdentifyResult } from '@libp2p/interface';
import { cleanUp } from '../../testing/cleanup.ts';
import { startPeer, startRelay } from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';
import { HOP_PROTOCOL } from './messages.ts';
import { PING_PROTOCOL } from './ping.ts';

afterEach(cleanUp);

test('a peer learns the protocols, the certified addresses and the key of the relay, and its own address', async () => {
  const relay = await startRelay();
  const results: IdentifyResult[] = [];
  const peer = await startPeer();
  peer.addEventListener('peer:identify', ({ detail }) => results.push(detail));
  const connection = await peer.dial(relay.address);
  await until(() => results.length > 0, 'the relay is identified');
  const [address] = relay.address.toString().split('/p2p/');
  const [result] = results as [IdentifyResult];
  expect(result).toMatchObject({ protocolVersion: 'ipfs/0.1.0', agentVersion: expect.stringMatching(/./) });
  expect([...result.protocols].toSorted()).toEqual(
    ['/ipfs/id/1.0.0', PING_PROTOCOL, HOP_PROTOCOL].toSorted(),
  );
  expect(result.listenAddrs.map(String)).toEqual([address]);
  // The stock client has verified the signature of the record, and that the key is that of the connection.
  expect(result.signedPeerRecord?.addresses.map(String)).toEqual([address]);
  expect(result.signedPeerRecord?.seq).toBeGreaterThan(1_700_000_000_000n);
  const [, port] = /^\/ip4\/127\.0\.0\.1\/tcp\/(\d+)(\/p2p\/.*)?$/.exec(String(result.observedAddr)) ?? [];
  expect(Number(port)).toBeGreaterThan(0);
  expect(`/tcp/${port}`).not.toBe(`/tcp/${relay.address.getComponents()[1]?.value}`);
  expect(connection.status).toBe('open');
});
