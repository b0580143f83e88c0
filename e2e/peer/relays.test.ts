import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { parseLines, type Relay, startRelay } from '../../scripts/local-network.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { type Device, makeEntries, startNetwork, type TestNetwork } from '../../testing/network.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

const TEST_TIMEOUT_MS = 300_000;

const DEAD_RELAY = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';

async function startSecondRelay({ directory }: TestNetwork, listen = '/ip4/127.0.0.1/tcp/0'): Promise<Relay> {
  const env = { RELAY_LISTEN: listen, RELAY_IDENTITY_KEY_FILE: join(directory, 'second-relay.key') };
  const relay = await startRelay(directory, { env });
  onCleanup(async () => relay.stop());
  return relay;
}

/** The relays through which the trackers list the only other device. */
async function listedRelays(device: Device, relays: readonly Relay[]): Promise<Relay[]> {
  const { stdout } = await device.run('peers', '--json');
  const [other] = parseLines<{ addrs: string[]; source: string }>(stdout);
  return relays.filter(({ address }) =>
    other?.addrs.some((addr) => addr.startsWith(`${address}/p2p-circuit`)),
  );
}

describe('a device with two relays', () => {
  test(
    'is listed with the relays on which it has a reservation, also while one restarts',
    async () => {
      const network = await startNetwork();
      const second = await startSecondRelay(network);
      const both = [network.relay, second];
      const relays = { RUSTORY_RELAY_ADDR: both.map(({ address }) => address).join(',') };
      const [server, laptop] = [network.device('server', relays), network.device('laptop')];
      const listsRelays = async (count: number): Promise<boolean> =>
        (await listedRelays(laptop, both)).length === count;
      server.insert(makeEntries('server', 100));
      await server.serve();
      await until(async () => listsRelays(2), 'both relays are listed');
      await second.stop();
      await until(async () => listsRelays(1), 'the stopped relay is not listed');
      expect(await listedRelays(laptop, both)).toEqual([network.relay]);
      expect((await laptop.run('sync')).code).toBe(0);
      await startSecondRelay(network, second.address.replace(/\/p2p\/.*$/, ''));
      await until(async () => listsRelays(2), 'the restarted relay is listed again');
    },
    TEST_TIMEOUT_MS,
  );
});

describe('a watch', () => {
  test(
    'tries a relay that failed in an earlier round last',
    async () => {
      const network = await startNetwork();
      const relays = {
        RUSTORY_RELAY_ADDR: `${DEAD_RELAY},${network.relay.address}`,
        RUSTORY_P2P_REQUEST_ATTEMPTS: '1',
      };
      const laptop = network.device('laptop', relays);
      const unknownPeer = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
      const watching = laptop.start(
        'sync',
        '--watch',
        '--json',
        '--interval-sec',
        '1',
        '--peers',
        unknownPeer,
      );
      const errors = (): string[] =>
        parseLines<{ reports: [{ error: string }] }>(watching.stdout()).map(
          ({ reports: [{ error }] }) => error,
        );
      await until(() => errors().length >= 2, 'two rounds are done');
      expect(errors()[0]).toMatch(/tcp: .*; .*reservation: /);
      expect(errors()[1]).toMatch(/reservation: .*; .*tcp: /);
    },
    TEST_TIMEOUT_MS,
  );
});
