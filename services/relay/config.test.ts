import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { RESOURCES } from '../../testing/relay-config.ts';
import { createSwarmKeyFile } from '../private-network/key.ts';
import { readIdentityConfig, readRelayConfig } from './config.ts';

const folder = mkdtempSync(join(tmpdir(), 'relay-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const swarmKeyFile = join(folder, 'swarm.key');
const swarmKey = createSwarmKeyFile(swarmKeyFile);
const keyFile = join(folder, 'identity.key');
const seedFile = join(folder, 'seed');
writeFileSync(seedFile, '0123456789abcdef0123456789abcdef\n');

const MINIMAL = { RELAY_SWARM_KEY_FILE: swarmKeyFile, RELAY_IDENTITY_KEY_FILE: keyFile };

async function problems(environment: NodeJS.ProcessEnv): Promise<unknown> {
  return readRelayConfig(environment).then(
    () => [],
    (error: { problems: string[] }) => error.problems,
  );
}

describe('the configuration of a relay', () => {
  test('requires a swarm key and an identity, and has the limits that clients expect', async () => {
    const config = await readRelayConfig(MINIMAL, RESOURCES);
    expect(config.swarmKey.fingerprint).toBe(swarmKey.fingerprint);
    expect(config.limits).toMatchObject({
      reservations: 4544,
      connections: 9088,
      pendingConnections: 4544,
      circuits: 1136,
      circuitsPerPeer: 64,
      circuitsPerTarget: 852,
      circuitsPerMinute: 1136,
      circuitSeconds: 900,
      circuitBytes: 67_108_864,
    });
    expect(config.opsListen).toEqual({ host: '0.0.0.0', port: 9091 });
    expect(config.listen.map(String)).toEqual(['/ip4/0.0.0.0/tcp/4001']);
  });

  test.each([
    [{}, [64, 852, 1136]],
    [{ RELAY_MAX_CIRCUITS_PER_PEER: '8' }, [8, 8, 1136]],
    [{ RELAY_MAX_CIRCUITS_PER_TARGET: '5' }, [64, 5, 1136]],
    [{ RELAY_MAX_CIRCUITS: '100' }, [64, 75, 240]],
    [{ RELAY_MAX_CIRCUITS: '20', RELAY_CIRCUITS_PER_MINUTE: '10' }, [64, 64, 10]],
  ])('has limits of the circuits of one peer with %j', async (environment, expected) => {
    const { limits } = await readRelayConfig({ ...MINIMAL, ...environment }, RESOURCES);
    const { circuitsPerPeer, circuitsPerTarget, circuitsPerMinute } = limits;
    expect([circuitsPerPeer, circuitsPerTarget, circuitsPerMinute]).toEqual(expected);
  });

  test('has limits per address only when source addresses are those of the devices', async () => {
    const { limits } = await readRelayConfig(MINIMAL);
    expect([limits.connectionsPerAddress, limits.reservationsPerAddress]).toEqual([undefined, undefined]);
    const real = await readRelayConfig({ ...MINIMAL, RELAY_ADDRESSES_ARE_REAL: 'true' });
    expect(real.limits).toMatchObject({ connectionsPerAddress: 256, reservationsPerAddress: 128 });
  });

  test('creates a missing key file that only its owner can read, and keeps the peer id', async () => {
    const first = await readRelayConfig(MINIMAL);
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    expect((await readRelayConfig(MINIMAL)).identity.equals(first.identity)).toBe(true);
  });

  test('derives the peer id of each replica from a seed, without a file', async () => {
    const environment = { RELAY_IDENTITY_SEED_FILE: seedFile, RELAY_IDENTITY_ORDINAL: '3' };
    const identity = await readIdentityConfig(environment);
    const again = await readIdentityConfig(environment);
    const other = await readIdentityConfig({ ...environment, RELAY_IDENTITY_ORDINAL: '4' });
    expect([identity.equals(again), identity.equals(other)]).toEqual([true, false]);
    expect(existsSync(`${seedFile}.key`)).toBe(false);
  });

  test('takes the ordinal of the identity and of the addresses from the pod name', async () => {
    const seed = { RELAY_SWARM_KEY_FILE: swarmKeyFile, RELAY_IDENTITY_SEED_FILE: seedFile };
    const pod = {
      ...seed,
      RELAY_POD_NAME: 'my-relay-3',
      RELAY_ANNOUNCE: '/dns4/relay-{ordinal}.example.org/tcp/4001',
    };
    const config = await readRelayConfig(pod);
    expect(config.announce.map(String)).toEqual(['/dns4/relay-3.example.org/tcp/4001']);
    expect(config.identity.equals(await readIdentityConfig({ ...seed, RELAY_IDENTITY_ORDINAL: '3' }))).toBe(
      true,
    );
  });

  test('reports all problems at once, without secrets', async () => {
    const wrong = join(folder, 'wrong.key');
    writeFileSync(wrong, 'my secret\n');
    expect(
      await problems({
        RELAY_SWARM_KEY_FILE: wrong,
        RELAY_LISTEN: '4001',
        RELAY_MAX_CIRCUITS: '0',
        RELAY_LOCAL: 'yes',
      }),
    ).toEqual([
      expect.stringContaining('RELAY_LISTEN: "4001" is not a multiaddr'),
      'RELAY_LOCAL: "yes" is neither true nor false.',
      expect.stringMatching(/^RELAY_SWARM_KEY_FILE: .*wrong\.key.* swarm key.*\/key\/swarm\/psk\/1\.0\.0\//),
      'RELAY_MAX_CIRCUITS: "0" is not a whole number from 1 to 100000.',
      expect.stringMatching(/^RELAY_IDENTITY_KEY_FILE, RELAY_IDENTITY_SEED_FILE: set exactly one of them/),
    ]);
  });

  test('must listen on an address', async () => {
    expect(await problems({ ...MINIMAL, RELAY_LISTEN: ',' })).toEqual([
      expect.stringMatching(/^RELAY_LISTEN: there is no multiaddr in it/),
    ]);
  });

  test('reports two identities together with the problem of one of them', async () => {
    const missing = join(folder, 'missing');
    expect(await problems({ ...MINIMAL, RELAY_IDENTITY_SEED_FILE: missing })).toEqual([
      expect.stringMatching(/^RELAY_IDENTITY_SEED_FILE: .*missing/),
      expect.stringContaining('set exactly one of them'),
    ]);
  });

  test('must have exactly one identity', async () => {
    const exactlyOne = expect.stringContaining('set exactly one of them');
    expect(await problems({ ...MINIMAL, RELAY_IDENTITY_SEED_FILE: seedFile })).toEqual([exactlyOne]);
    expect(await problems({ RELAY_SWARM_KEY_FILE: swarmKeyFile })).toEqual([exactlyOne]);
  });

  test('reports an unreadable seed once', async () => {
    const missing = join(folder, 'missing');
    expect(await problems({ RELAY_SWARM_KEY_FILE: swarmKeyFile, RELAY_IDENTITY_SEED_FILE: missing })).toEqual(
      [expect.stringMatching(/^RELAY_IDENTITY_SEED_FILE: .*missing/)],
    );
  });

  test('must not announce an address with another peer id', async () => {
    const { identity } = await readRelayConfig(MINIMAL);
    const own = peerIdFromPrivateKey(identity).toString();
    const other = peerIdFromPrivateKey(
      await readIdentityConfig({ RELAY_IDENTITY_SEED_FILE: seedFile }),
    ).toString();
    const announce = `/dns4/a.example/tcp/1/p2p/${own},/dns4/b.example/tcp/1/p2p/${other}`;
    expect(await problems({ ...MINIMAL, RELAY_ANNOUNCE: announce })).toEqual([
      `RELAY_ANNOUNCE: /dns4/b.example/tcp/1/p2p/${other} names another peer; the peer id of this relay is ${own}.`,
    ]);
  });

  test('must not announce more addresses than fit into a reservation', async () => {
    const name = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.example`;
    const announced = (count: number): string =>
      Array.from({ length: count }, (_, index) => `/dns4/${name}/tcp/${4001 + index}`).join(',');
    expect(await problems({ ...MINIMAL, RELAY_ANNOUNCE: announced(11) })).toEqual([]);
    expect(await problems({ ...MINIMAL, RELAY_ANNOUNCE: announced(13) })).toEqual([
      expect.stringMatching(/^RELAY_ANNOUNCE: the addresses have \d+ bytes, .* at most 3072/),
    ]);
  });
});
