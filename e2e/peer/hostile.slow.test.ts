import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import type { Entry } from '../../services/peer/history/entry.ts';
import { createPeerNode, type PeerLibp2p } from '../../services/peer/network/node.ts';
import { readToEnd, writeAndClose } from '../../services/peer/sync/stream-io.ts';
import { MAX_REQUEST_BYTES, PULL_PROTOCOLS } from '../../services/peer/sync/sync-protocol.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import type { Running } from '../../scripts/processes.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { type Device, makeEntries, startNetwork, type TestNetwork } from '../../testing/network.ts';
import { until } from '../../testing/wait.ts';
import { testWireIo } from '../../testing/wire-io.ts';

afterEach(cleanUp);

const [ZSTD = '', PLAIN = ''] = PULL_PROTOCOLS;
const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];
const TIMEOUTS = { idleTimeoutMs: 60_000 };
const TEST_TIMEOUT_MS = 300_000;
const MEGABYTE = 1024 * 1024;

/** What an attack would make a process without limits hold, in bytes. */
const ATTACK_BYTES = 1024 * MEGABYTE;

/**
 * Maximum memory growth of a process during an attack, in bytes. The limits of the process are below a tenth of the attack;
 * the rest is garbage that is not collected yet, of which a busy machine has more.
 */
const MAX_GROWTH_BYTES = ATTACK_BYTES / 2;

/** Memory of the program before an attack, in bytes, rounded up. */
const PROGRAM_BYTES = 256 * MEGABYTE;

/** A node in the private network that the test controls. */
async function startAttacker({ directory }: TestNetwork): Promise<PeerLibp2p> {
  const [identity, swarmKey] = [await generateKeyPair('Ed25519'), readSwarmKey(join(directory, 'swarm.key'))];
  const node = await createPeerNode({
    io: testWireIo,
    identity,
    swarmKey,
    listen: LOOPBACK,
    version: '0.0.0',
  });
  await node.start();
  onCleanup(async () => node.libp2p.stop());
  return node.libp2p;
}

/** Resident memory of a process, in bytes; 0 when it has ended. */
function memoryOf({ pid }: Running): number {
  return Number(spawnSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }).stdout) * 1024;
}

/** A device that serves, and a function that opens a stream to it through the relay. */
async function startVictim(network: TestNetwork, entries: readonly Entry[]) {
  // Attackers with the identity of a member are the worse case: others get no answer.
  const victim = network.device('victim', { RUSTORY_SERVE_TO: 'anyone' });
  victim.insert(entries);
  const serving = await victim.serve();
  const address = multiaddr(`${network.relay.address}/p2p-circuit/p2p/${peerIdOf(serving)}`);
  const open = async (attacker: PeerLibp2p, protocol: string): Promise<Stream> =>
    attacker.dialProtocol(address, protocol, { runOnLimitedConnection: true });
  return { victim, serving, open };
}

function peerIdOf(serving: Running): string {
  return String(serving.logged('node started')[0]?.['peerId']);
}

/** Requests the whole history and never reads the response. The device may refuse the stream meanwhile. */
async function requestAndNeverRead(stream: Stream): Promise<void> {
  try {
    stream.pause();
    stream.send(Buffer.from('{"cursor":0,"limit":10000}'));
    await stream.close();
  } catch {
    expect(stream.status).not.toBe('open');
  }
}

async function pullAll(network: TestNetwork): Promise<Device> {
  const honest = network.device('honest');
  const { code, stdout } = await honest.run('sync', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).not.toHaveProperty('error');
  return honest;
}

describe('a device that serves', () => {
  test(
    'rejects requests that decompress to more than the limit, without using memory, and serves others',
    async () => {
      const network = await startNetwork();
      const { serving, open } = await startVictim(network, makeEntries('victim', 40_000));
      const attacker = await startAttacker(network);
      const bomb = zstdCompressSync(Buffer.alloc(ATTACK_BYTES, ' '));
      expect(bomb.length).toBeLessThan(MAX_REQUEST_BYTES);
      const before = memoryOf(serving);
      for (let bombs = 1; bombs <= 30; bombs += 1) {
        const stream = await open(attacker, ZSTD);
        await writeAndClose(stream, bomb, TIMEOUTS).catch(() => {});
        await until(() => stream.status !== 'open', 'the stream has ended');
        expect(memoryOf(serving) - before).toBeLessThan(MAX_GROWTH_BYTES);
      }
      expect(serving.logged('pull failed').at(-1)?.['error']).toMatch(
        /decompressed request is too large: \d+ > 262144/,
      );
      expect((await pullAll(network)).entries()).toHaveLength(40_000);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'holds a bounded number of responses for requesters that do not read, and its database can be written',
    async () => {
      const network = await startNetwork();
      // Sixteen of the requests are answered. With the whole history, the answers would have the size of the attack.
      const large: Entry[] = [];
      for (const entry of makeEntries('victim', ATTACK_BYTES / 16 / MEGABYTE))
        large.push({ ...entry, cmd: entry.cmd.padEnd(MEGABYTE, 'x') });
      const { victim, serving, open } = await startVictim(network, large);
      const before = memoryOf(serving);
      const attackers = [];
      for (let count = 1; count <= 5; count += 1) {
        const attacker = await startAttacker(network);
        attackers.push(attacker);
        for (let requests = 1; requests <= 8; requests += 1)
          await requestAndNeverRead(await open(attacker, PLAIN));
      }
      // libp2p resets the fifth stream of each attacker; of the remaining twenty, sixteen get a response.
      await until(() => serving.logged('pull refused').length >= 4, 'the excess pulls are refused');
      expect((await victim.run('record', '--cmd', 'echo meanwhile')).code).toBe(0);
      expect(memoryOf(serving) - before).toBeLessThan(MAX_GROWTH_BYTES);
      for (const attacker of attackers) await attacker.stop();
      expect((await pullAll(network)).entries()).toHaveLength(large.length + 1);
    },
    TEST_TIMEOUT_MS,
  );
});

describe('a device that syncs', () => {
  test(
    'rejects a response that decompresses to more than the limit, and reports both numbers',
    async () => {
      const network = await startNetwork();
      const bomb = zstdCompressSync(Buffer.alloc(ATTACK_BYTES, ' '));
      expect(bomb.length).toBeLessThan(MEGABYTE);
      const attacker = await startAttacker(network);
      await attacker.handle(ZSTD, async (stream) => {
        await readToEnd(stream, MAX_REQUEST_BYTES, TIMEOUTS);
        await writeAndClose(stream, bomb, TIMEOUTS);
      });
      const address = attacker.getMultiaddrs().map(String)[0] ?? '';
      const device = network.device('laptop', { RUSTORY_DIAL_STRATEGY: 'direct-first' });
      const syncing = device.start('sync', '--json', '--peers', address);
      let peak = 0;
      const sampling = setInterval(() => void (peak = Math.max(peak, memoryOf(syncing))), 20);
      expect(await syncing.exited).toBe(3);
      clearInterval(sampling);
      expect(JSON.parse(syncing.stdout())).toMatchObject({
        entries: 0,
        next_cursor: 0,
        error: expect.stringMatching(/The response has more than \d+ bytes outside its lists/),
      });
      expect(peak).toBeGreaterThan(0);
      // The program itself, too.
      expect(peak).toBeLessThan(MAX_GROWTH_BYTES + PROGRAM_BYTES);
      expect(device.entries()).toHaveLength(0);
    },
    TEST_TIMEOUT_MS,
  );
});
