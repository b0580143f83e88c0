import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { createSwarmKeyFile } from '../../private-network/key.ts';
import { identityFromSeed } from '../../private-network/identity.ts';
import { hubIdentity, isSeedOf, readHubSecret } from './identity.ts';

afterEach(cleanUp);

const secret = Buffer.from('0123456789abcdef0123456789abcdef');
const ID = '00112233445566778899aabbccddeeff';

async function peerIdOf(userId: string, databaseId: string, own: Uint8Array = secret): Promise<string> {
  return peerIdFromPrivateKey(await hubIdentity(own, userId, databaseId)).toString();
}

describe('the identity of the hub', () => {
  test('is the same at each start', async () => {
    // With another derivation every hub would have a new peer id after an update, and every device would sync again.
    expect(await peerIdOf('ada', ID)).toMatchInlineSnapshot(
      `"12D3KooWBzjjMbq42eNYcsYyEBR92Je6EHxqccbzcEsPae11RZrr"`,
    );
  });

  test.each([
    ['another database', 'ada', ID.replace('0', '1'), secret],
    ['another user', 'bob', ID, secret],
    ['a user whose id ends in a part of another one', 'ada/', ID, secret],
    ['another secret', 'ada', ID, Buffer.from('0123456789abcdef0123456789abcdeg')],
  ])('is another one with %s', async (_, userId, databaseId, own) => {
    expect(await peerIdOf(userId, databaseId, own)).not.toBe(await peerIdOf('ada', ID));
  });
});

describe('the secret of the hub', () => {
  test('is read without surrounding white space', () => {
    const path = join(makeDirectory(), 'secret');
    writeFileSync(path, ` ${secret.toString()}\r\n`);
    expect(Buffer.from(readHubSecret(path))).toEqual(secret);
  });

  test.each([
    ['', 'the secret of the hub has 0 bytes; the minimum is 16'],
    ['fifteen bytes ..', undefined],
    ['fifteen bytes .', 'the secret of the hub has 15 bytes; the minimum is 16'],
    ['   fifteen bytes .   ', 'the secret of the hub has 15 bytes'],
    ['x'.repeat(2_000), 'The file is larger than 1024 bytes'],
  ])('of %j is checked', (content, problem) => {
    const path = join(makeDirectory(), 'secret');
    writeFileSync(path, content);
    if (problem === undefined) expect(readHubSecret(path)).toHaveLength(16);
    else expect(() => readHubSecret(path)).toThrow(`${path}: ${problem}`);
  });

  test('is not the swarm key, which all devices have', () => {
    const path = join(makeDirectory(), 'swarm.key');
    createSwarmKeyFile(path);
    expect(() => readHubSecret(path)).toThrow('this is the swarm key, which every device has');
  });

  test('is recognized as the seed of a configured relay', async () => {
    const relay = peerIdFromPrivateKey(await identityFromSeed(secret, 3)).toString();
    const address = `/dns4/relay.lan/tcp/4001/p2p/${relay}`;
    expect(await isSeedOf(secret, [address])).toBe(true);
    expect(await isSeedOf(secret, [])).toBe(false);
    expect(await isSeedOf(Buffer.from('another secret, with 32 bytes ...'), [address])).toBe(false);
    expect(await isSeedOf(secret.subarray(0, 16), [address])).toBe(false);
  });
});
