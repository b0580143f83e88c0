import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Libp2p, Stream } from '@libp2p/interface';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { createSwarmKeyFile, readSwarmKey } from '../../services/private-network/key.ts';
import { type Relay, startRelay } from '../../scripts/local-network.ts';
import { type Finished, finished, startService } from '../../scripts/processes.ts';
import { dialThrough, reserve, startDevice } from '../../testing/load-devices.ts';

const ECHO = '/test/echo/1.0.0';
const SEED = '0123456789abcdef0123456789abcdef';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rustory-relay-'));
  onCleanup(() => rmSync(folder, { recursive: true, force: true }));
});

afterEach(cleanUp);

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

async function run(env: Record<string, string>, ...args: string[]): Promise<Finished> {
  return finished(startService('relay', { env, args }));
}

describe('rustory-relay peer-id', () => {
  test('prints the peer id of a replica by its pod name, without a swarm key', async () => {
    const seed = write('seed', SEED);
    const ids: string[] = [];
    for (const pod of ['my-relay-0', 'my-relay-1', 'my-relay-0']) {
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

  test('prints the peer id of the relay and of its announced addresses', async () => {
    const seed = write('seed', SEED);
    const identity = { RELAY_IDENTITY_SEED_FILE: seed, RELAY_POD_NAME: 'my-relay-7' };
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
    onCleanup(relay.stop);
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
  test('without an address that devices can dial exits with 78 and names the variables to set', async () => {
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

  test('is unready during its drain, refuses reservations, lets a running circuit finish and exits with 0', async () => {
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
  });

  test('resets running circuits at the drain deadline and exits with 0', async () => {
    const relay = await start({ RELAY_DRAIN_SECONDS: '1' });
    const { stream } = await open(relay);
    relay.kill('SIGTERM');
    await until(() => stream.status !== 'open', 'the circuit is reset');
    expect(await relay.exited).toBe(0);
    expect(relay.logged('stopped')).toMatchObject([{ failures: 0 }]);
  });
});

test('reads sockets without a copy, and in tests overwrites what it has read', async () => {
  const relay = await start();
  expect(await relay.waitFor('how sockets are read')).toMatchObject({ path: 'onread', isPoisoned: true });
});

async function start(env: Record<string, string> = {}): Promise<Relay> {
  const relay = await startRelay(folder, { env });
  onCleanup(relay.stop);
  return relay;
}

/** Opens a circuit between two devices; the target echoes all bytes. */
async function open(relay: Relay): Promise<{ source: Libp2p; stream: Stream }> {
  const key = readSwarmKey(join(folder, 'swarm.key'));
  const [source, target] = [await startDevice(key), await startDevice(key, relay)];
  onCleanup(async () => source.stop());
  onCleanup(async () => target.stop());
  await target.handle(ECHO, (stream) => stream.addEventListener('message', ({ data }) => stream.send(data)), {
    runOnLimitedConnection: true,
  });
  return { source, stream: await dialThrough(relay, source, target, ECHO) };
}

/** Sends bytes and returns how many were echoed. */
async function echo(stream: Stream, bytes: number): Promise<number> {
  let received = 0;
  stream.addEventListener('message', ({ data }) => (received += data.byteLength));
  stream.send(Buffer.alloc(bytes));
  await until(() => received === bytes, 'all bytes are echoed');
  return received;
}

function listenOn(listen: string): Record<string, string> {
  return {
    RELAY_LISTEN: listen,
    RELAY_LOCAL: 'true',
    RELAY_SWARM_KEY_FILE: join(folder, 'swarm.key'),
    RELAY_IDENTITY_KEY_FILE: join(folder, 'relay.key'),
    RELAY_OPS_LISTEN: '127.0.0.1:0',
  };
}

describe('RELAY_LISTEN', () => {
  test.each(['/ip6/2001:db8::9/tcp/0', '/ip4/192.0.2.9/tcp/0'])(
    'with the address %s, which is not of this machine, is an error that names only this address',
    async (address) => {
      createSwarmKeyFile(join(folder, 'swarm.key'));
      const { code, stdout, stderr } = await run(listenOn(`/ip4/127.0.0.1/tcp/0,${address}`));
      expect(code).toBe(1);
      expect(stderr).toContain(
        `RELAY_LISTEN: the node cannot listen on ${address}: this machine does not have the address.`,
      );
      expect(`${stdout}\n${stderr}`).not.toMatch(/faultTolerance|"listening"/);
    },
  );

  test('with one address twice listens on it once', async () => {
    const listen = '/ip6/::1/tcp/0,/ip6/0:0:0:0:0:0:0:1/tcp/0';
    const relay = await startRelay(folder, { env: { RELAY_LISTEN: listen } });
    onCleanup(relay.stop);
    const { addresses } = await relay.waitFor('listening');
    expect(addresses).toHaveLength(1);
  });
});
