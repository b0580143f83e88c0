import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { createPeerNode, type PeerLibp2p } from '../../services/peer/network/node.ts';
import { readToEnd, writeAndClose } from '../../services/peer/sync/stream-io.ts';
import { MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, PULL_PROTOCOLS } from '../../services/peer/sync/sync-protocol.ts';
import { until } from '../../testing/wait.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import type { Running } from '../../scripts/processes.ts';
import { cleanUp, type Device, type Grid, makeEntries, onCleanup, startGrid } from '../../testing/network.ts';

afterEach(cleanUp);

const [ZSTD = '', PLAIN = ''] = PULL_PROTOCOLS;
const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];
const PATIENCE = { silenceMs: 10_000 };
const MEGABYTE = 1024 * 1024;

/** What a process of ours may grow by while it is attacked: garbage that is not yet collected. */
const SLACK_BYTES = 96 * MEGABYTE;

/** All answers that are under way at once: sixteen of 4 MiB. */
const ANSWERS_BYTES = 64 * MEGABYTE;

/** A member of the grid that does as the test says. */
async function startMember({ directory }: Grid): Promise<PeerLibp2p> {
  const [identity, swarmKey] = [await generateKeyPair('Ed25519'), readSwarmKey(join(directory, 'swarm.key'))];
  const node = await createPeerNode({ identity, swarmKey, listen: LOOPBACK, version: '0.0.0' });
  await node.start();
  onCleanup(async () => node.libp2p.stop());
  return node.libp2p;
}

/** Resident memory of a process, in bytes; 0 when it has ended. */
function memoryOf({ pid }: Running): number {
  return Number(spawnSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }).stdout) * 1024;
}

/** A device that serves, and how a member opens a stream to it through the relay. */
async function startVictim(grid: Grid) {
  const victim = grid.device('victim');
  victim.insert(makeEntries('victim', 40_000));
  const serving = await victim.serve();
  const address = multiaddr(`${grid.relay.address}/p2p-circuit/p2p/${peerIdOf(serving)}`);
  const open = async (member: PeerLibp2p, protocol: string): Promise<Stream> =>
    member.dialProtocol(address, protocol, { runOnLimitedConnection: true });
  return { victim, serving, open };
}

function peerIdOf(serving: Running): string {
  return String(serving.logged('node started')[0]?.['peerId']);
}

/** Asks for as much as there is. A stream that is refused meanwhile is none of ours. */
async function askAndNeverRead(stream: Stream): Promise<void> {
  try {
    stream.pause();
    stream.send(Buffer.from('{"cursor":0,"limit":10000}'));
    await stream.close();
  } catch {
    expect(stream.status).not.toBe('open');
  }
}

async function pullAll(grid: Grid): Promise<Device> {
  const honest = grid.device('honest');
  const { code, stdout } = await honest.run('sync', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).not.toHaveProperty('error');
  return honest;
}

describe('a device that serves', () => {
  test('refuses requests that decompress to more than agreed, at no cost in memory, and serves others', async () => {
    const grid = await startGrid();
    const { serving, open } = await startVictim(grid);
    const member = await startMember(grid);
    const bomb = zstdCompressSync(Buffer.alloc(256 * MEGABYTE, ' '));
    expect(bomb.length).toBeLessThan(MAX_REQUEST_BYTES);
    const before = memoryOf(serving);
    for (let bombs = 1; bombs <= 30; bombs += 1) {
      const stream = await open(member, ZSTD);
      await writeAndClose(stream, bomb, PATIENCE).catch(() => {});
      await until(() => stream.status !== 'open', 'the stream has ended');
      expect(memoryOf(serving) - before).toBeLessThan(SLACK_BYTES);
    }
    expect(serving.logged('pull failed').at(-1)?.['error']).toMatch(
      /decompressed request too large: \d+ > 262144/,
    );
    expect((await pullAll(grid)).entries()).toHaveLength(40_000);
  }, 90_000);

  test('holds a bounded number of answers for requesters that do not read, and can be written to meanwhile', async () => {
    const grid = await startGrid();
    const { victim, serving, open } = await startVictim(grid);
    const before = memoryOf(serving);
    const members = [];
    for (let count = 1; count <= 5; count += 1) {
      const member = await startMember(grid);
      members.push(member);
      for (let asked = 1; asked <= 8; asked += 1) await askAndNeverRead(await open(member, PLAIN));
    }
    // libp2p itself ends the fifth stream of each; of the twenty that are left, sixteen are answered.
    await until(() => serving.logged('pull refused').length >= 4, 'what is too much is refused');
    expect((await victim.run('record', '--cmd', 'echo meanwhile')).code).toBe(0);
    expect(memoryOf(serving) - before).toBeLessThan(ANSWERS_BYTES + SLACK_BYTES);
    for (const member of members) await member.stop();
    expect((await pullAll(grid)).entries()).toHaveLength(40_001);
  }, 90_000);
});

describe('a device that syncs', () => {
  test('gives up an answer that decompresses to more than agreed, and says both numbers', async () => {
    const grid = await startGrid();
    const bomb = zstdCompressSync(Buffer.alloc(1024 * MEGABYTE, ' '));
    expect(bomb.length).toBeLessThan(MEGABYTE);
    const member = await startMember(grid);
    await member.handle(ZSTD, async (stream) => {
      await readToEnd(stream, MAX_REQUEST_BYTES, PATIENCE);
      await writeAndClose(stream, bomb, PATIENCE);
    });
    const address = member.getMultiaddrs().map(String)[0] ?? '';
    const device = grid.device('laptop', { RUSTORY_DIAL_STRATEGY: 'direct-first' });
    const syncing = device.start('sync', '--json', '--peers', address);
    let peak = 0;
    const sampling = setInterval(() => void (peak = Math.max(peak, memoryOf(syncing))), 20);
    expect(await syncing.exited).toBe(3);
    clearInterval(sampling);
    const bound = MAX_RESPONSE_BYTES * 4;
    expect(JSON.parse(syncing.stdout())).toMatchObject({
      entries: 0,
      next_cursor: 0,
      error: expect.stringContaining(`decompressed response too large: ${bound + 1} > ${bound} bytes`),
    });
    expect(peak).toBeGreaterThan(0);
    // The program itself, what may be decompressed, and as much again that is not yet collected.
    expect(peak).toBeLessThan(2 * bound + 256 * MEGABYTE);
    expect(device.entries()).toHaveLength(0);
  }, 90_000);
});
