// Measures, by hand, how long an honest device waits behind fake ones, and what the fake ones store:
//   node e2e/peer/fake-peers.ts silent [COUNT]    each lists 16 addresses of servers that never respond
//   node e2e/peer/fake-peers.ts endless [COUNT]   members that always have one more page
//   node e2e/peer/fake-peers.ts mute [COUNT]      members that accept a pull and never answer it
// With HONEST=direct the honest device lists no circuit.
// Prints one JSON line for a one-shot sync, and one for a watch. docs/decisions/rounds.md has the figures.
import { statSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Stream } from '@libp2p/interface';
import { createPeerNode } from '../../services/peer/network/node.ts';
import { toWire } from '../../services/peer/history/entry.ts';
import { readToEnd, writeAndClose } from '../../services/peer/sync/stream-io.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { type Device, makeEntries, startNetwork, type TestNetwork } from '../../testing/network.ts';
import { peerIds } from '../../testing/peer-ids.ts';
import { until } from '../../testing/wait.ts';
import { testWireIo } from '../../testing/wire-io.ts';

const HONEST_ENTRIES = 3;
const ADDRESSES = 16;
const HEARTBEAT_MS = 30_000;
const WAIT_MS = 900_000;
const PAGE = 1_000;

interface Fake {
  readonly peerId: string;
  readonly addrs: readonly string[];
}

async function startSilent(count: number): Promise<Fake[]> {
  const server = createServer((socket) => void socket.on('error', () => {}));
  await new Promise<void>((resolve) => {
    server.listen(0, '0.0.0.0', 4_096, resolve);
  });
  onCleanup(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return peerIds(count).map((peerId, fake) => ({
    peerId,
    addrs: Array.from(
      { length: ADDRESSES },
      (_, n) => `/ip4/127.${1 + (fake >> 8)}.${fake & 255}.${n + 1}/tcp/${port}`,
    ),
  }));
}

/** Members of the network with this answer to a pull. */
async function startMembers(
  { directory }: TestNetwork,
  count: number,
  answer: (stream: Stream, cursor: number, name: string) => Promise<void>,
): Promise<Fake[]> {
  const swarmKey = readSwarmKey(join(directory, 'swarm.key'));
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const identity = await generateKeyPair('Ed25519');
      const listen = ['/ip4/127.0.0.1/tcp/0'];
      const { libp2p, start } = await createPeerNode({
        io: testWireIo,
        identity,
        swarmKey,
        listen,
        version: '0.0.0',
      });
      await start();
      onCleanup(async () => libp2p.stop());
      await libp2p.handle('/rustory/sync-pull/1.0.0', async (stream) => {
        try {
          const request = await readToEnd(stream, 65_536, { idleTimeoutMs: 60_000 });
          const { cursor } = JSON.parse(request.toString()) as { cursor: number };
          await answer(stream, cursor, `fake-${index}`);
        } catch {
          // The requester has ended the stream.
        }
      });
      return { peerId: libp2p.peerId.toString(), addrs: libp2p.getMultiaddrs().map(String) };
    }),
  );
}

async function answerEndlessly(stream: Stream, cursor: number, name: string): Promise<void> {
  const entries = makeEntries(name, PAGE, cursor).map(toWire);
  const page = Buffer.from(JSON.stringify({ entries, next_cursor: cursor + PAGE }));
  await writeAndClose(stream, page, { idleTimeoutMs: 60_000 });
}

async function register({ tracker }: TestNetwork, fakes: readonly Fake[]): Promise<void> {
  for (const { peerId, addrs } of fakes) {
    const { ok, status } = await fetch(`${tracker.url}/api/v1/peers/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ peer_id: peerId, addrs, meta: { user_id: 'demo', device_id: peerId } }),
    });
    if (!ok) throw new Error(`The tracker refused a registration with status ${status}.`);
  }
}

const hasHonest = (device: Device): boolean =>
  device.entries().filter(({ device_id: id }) => id === 'honest').length === HONEST_ENTRIES;
const megabytes = ({ databasePath }: Device): number => Math.round(statSync(databasePath).size / 1e6);
const seconds = (startedMs: number): number => Math.round((performance.now() - startedMs) / 100) / 10;

async function measureOnce(device: Device): Promise<object> {
  const startedMs = performance.now();
  const running = device.run('sync');
  const honest = until(() => hasHonest(device), 'the honest device is synced', WAIT_MS).then(
    () => seconds(startedMs),
    () => undefined,
  );
  const { code, stderr } = await running;
  const left = stderr.split('\n').filter((line) => line.includes('not synced completely'));
  return {
    honest: await honest,
    ended: seconds(startedMs),
    code,
    left,
    megabytes: megabytes(device),
  };
}

async function measureWatch(device: Device): Promise<object> {
  const startedMs = performance.now();
  const running = device.start('sync', '--watch');
  await until(() => hasHonest(device), 'the honest device is synced', WAIT_MS);
  const honest = seconds(startedMs);
  await running.stop();
  return { honest, megabytes: megabytes(device) };
}

async function main([mode = 'silent', text = '']: readonly string[]): Promise<void> {
  const count = Number(text) || (mode === 'silent' ? 1_200 : 24);
  const network = await startNetwork();
  const isDirect = process.env['HONEST'] === 'direct';
  const honest = network.device(
    'honest',
    isDirect ? { RUSTORY_LISTEN: '/ip4/127.0.0.1/tcp/0', RUSTORY_RELAY_ADDR: '' } : {},
  );
  honest.insert(makeEntries('honest', HONEST_ENTRIES));
  if (isDirect)
    await honest.start('serve').waitFor('registered', ({ addrs }) => JSON.stringify(addrs) !== '[]');
  else await honest.serve();
  const answer = mode === 'endless' ? answerEndlessly : async () => {};
  const fakes = mode === 'silent' ? await startSilent(count) : await startMembers(network, count, answer);
  await register(network, fakes);
  const heartbeat = setInterval(() => void register(network, fakes), HEARTBEAT_MS);
  onCleanup(() => clearInterval(heartbeat));
  process.stdout.write(
    `${JSON.stringify({ mode, count, watch: await measureWatch(network.device('watch')) })}\n`,
  );
  process.stdout.write(
    `${JSON.stringify({ mode, count, once: await measureOnce(network.device('once')) })}\n`,
  );
}

try {
  await main(process.argv.slice(2));
} finally {
  await cleanUp();
}
process.exit();
