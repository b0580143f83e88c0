import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Libp2p, Stream } from '@libp2p/interface';
import { until } from '../../testing/wait.ts';
import { createSwarmKeyFile, readSwarmKey } from '../../services/private-network/key.ts';
import { type Relay, startRelay } from '../../scripts/local-network.ts';
import { type Finished, finished, startService } from '../../scripts/processes.ts';
import { dialThrough, reserve, startDevice } from '../../testing/load-devices.ts';

const ECHO = '/test/echo/1.0.0';
const SEED = '0123456789abcdef0123456789abcdef';

let folder: string;
const closers: Array<() => Promise<unknown>> = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rustory-relay-'));
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

async function run(env: Record<string, string>, ...args: string[]): Promise<Finished> {
  return finished(startService('relay', { env, args }));
}

describe('rustory-relay peer-id', () => {
  test('prints the peer id of each replica, from its pod name, without a swarm key and without starting', async () => {
    const seed = write('seed', SEED);
    const ids: string[] = [];
    for (const pod of ['grid-relay-0', 'grid-relay-1', 'grid-relay-0']) {
      const { code, stdout, stderr } = await run(
        { RELAY_IDENTITY_SEED_FILE: seed, RELAY_POD_NAME: pod },
        'peer-id',
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      ids.push(stdout);
    }
    expect(ids[0]).toMatch(/^12D3KooW\w{44}$/);
    expect(ids[1]).not.toBe(ids[0]);
    expect(ids[2]).toBe(ids[0]);
  });

  test('is the peer id of the relay that starts, and of the address it announces', async () => {
    const seed = write('seed', SEED);
    const identity = { RELAY_IDENTITY_SEED_FILE: seed, RELAY_POD_NAME: 'grid-relay-7' };
    const { stdout } = await run(identity, 'peer-id');
    const relay = startService('relay', {
      env: {
        ...identity,
        RELAY_SWARM_KEY_FILE: swarmKeyFile(),
        RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
        RELAY_OPS_LISTEN: '127.0.0.1:0',
        RELAY_ANNOUNCE:
          '/dns4/relay-{ordinal}.example.org/tcp/4001,/ip6/{podIP}/tcp/4001,/ip4/{hostIP}/tcp/30001',
        RELAY_POD_IP: 'fd00::7',
        RELAY_HOST_IP: '203.0.113.7',
      },
    });
    closers.push(relay.stop);
    const { peerId, addresses } = await relay.waitFor('listening');
    expect(peerId).toBe(stdout);
    expect(addresses).toEqual([
      `/dns4/relay-7.example.org/tcp/4001/p2p/${stdout}`,
      `/ip6/fd00::7/tcp/4001/p2p/${stdout}`,
      `/ip4/203.0.113.7/tcp/30001/p2p/${stdout}`,
    ]);
  });
});

function swarmKeyFile(): string {
  const path = join(folder, 'swarm.key');
  createSwarmKeyFile(path);
  return path;
}

describe('a relay process', () => {
  test('that nobody could dial does not start, and says what to set', async () => {
    const { code, stderr } = await run({
      RELAY_SWARM_KEY_FILE: swarmKeyFile(),
      RELAY_IDENTITY_KEY_FILE: join(folder, 'relay.key'),
      RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
      RELAY_OPS_LISTEN: '127.0.0.1:0',
    });
    expect(code).toBe(78);
    expect(stderr).toContain('set it to the address of this relay, such as /dns4/relay.example.org/tcp/4001');
    expect(stderr).toContain('RELAY_LOCAL=true');
  });

  test('that stops is unready, refuses what is new, lets a running circuit finish, and ends with 0', async () => {
    const relay = await start({ RELAY_DRAIN_SECONDS: '60' });
    const { source, stream } = await open(relay);
    expect((await fetch(`http://${relay.ops}/readyz`)).status).toBe(200);
    relay.kill('SIGTERM');
    await relay.waitFor('stopping');
    expect((await fetch(`http://${relay.ops}/readyz`)).status).toBe(503);
    expect((await fetch(`http://${relay.ops}/livez`)).status).toBe(200);
    expect(await reserve(source, relay)).toBe('RESERVATION_REFUSED');
    expect(await echo(stream, 1_000_000)).toBe(1_000_000);
    await stream.close();
    await source.stop();
    expect(await relay.exited).toBe(0);
    expect(relay.stderr()).toBe('');
  }, 60_000);

  test('whose circuits do not finish cuts them off when its time is up, and ends with 0', async () => {
    const relay = await start({ RELAY_DRAIN_SECONDS: '1' });
    const { stream } = await open(relay);
    relay.kill('SIGTERM');
    await until(() => stream.status !== 'open', 'the circuit is cut off');
    expect(await relay.exited).toBe(0);
    expect(relay.logged('stopped')).toMatchObject([{ failures: 0 }]);
  }, 60_000);
});

async function start(env: Record<string, string> = {}): Promise<Relay> {
  const relay = await startRelay(folder, { env });
  closers.push(relay.stop);
  return relay;
}

/** A circuit of two devices that is open, to a device that sends back what comes. */
async function open(relay: Relay): Promise<{ source: Libp2p; stream: Stream }> {
  const key = readSwarmKey(join(folder, 'swarm.key'));
  const [source, target] = [await startDevice(key), await startDevice(key, relay)];
  closers.push(
    async () => source.stop(),
    async () => target.stop(),
  );
  await target.handle(ECHO, (stream) => stream.addEventListener('message', ({ data }) => stream.send(data)), {
    runOnLimitedConnection: true,
  });
  return { source, stream: await dialThrough(relay, source, target, ECHO) };
}

/** Sends bytes and answers how many came back. */
async function echo(stream: Stream, bytes: number): Promise<number> {
  let received = 0;
  stream.addEventListener('message', ({ data }) => (received += data.byteLength));
  stream.send(Buffer.alloc(bytes));
  await until(() => received === bytes, 'all came back');
  return received;
}
