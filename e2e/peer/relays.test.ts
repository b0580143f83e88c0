import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { parseLines, type Relay, startRelay } from '../../scripts/local-network.ts';
import { until } from '../../testing/wait.ts';
import { cleanUp, type Device, type Grid, makeEntries, onCleanup, startGrid } from '../../testing/network.ts';

afterEach(cleanUp);

const DEAD_RELAY = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';

async function startSecondRelay({ directory }: Grid, listen = '/ip4/127.0.0.1/tcp/0'): Promise<Relay> {
  const env = { RELAY_LISTEN: listen, RELAY_IDENTITY_KEY_FILE: join(directory, 'second-relay.key') };
  const relay = await startRelay(directory, { env });
  onCleanup(async () => relay.stop());
  return relay;
}

/** The relays through which the trackers say that the only other device can be reached. */
async function advertised(device: Device, relays: readonly Relay[]): Promise<Relay[]> {
  const { stdout } = await device.run('peers', '--json');
  const [other] = parseLines<{ addrs: string[]; source: string }>(stdout);
  return relays.filter(({ address }) =>
    other?.addrs.some((addr) => addr.startsWith(`${address}/p2p-circuit`)),
  );
}

describe('a device with two relays', () => {
  test('is listed with those it holds a reservation on at that moment, through a restart of one', async () => {
    const grid = await startGrid();
    const second = await startSecondRelay(grid);
    const both = [grid.relay, second];
    const relays = { RUSTORY_RELAY_ADDR: both.map(({ address }) => address).join(',') };
    const [server, laptop] = [grid.device('server', relays), grid.device('laptop')];
    server.insert(makeEntries('server', 100));
    await server.serve();
    await until(async () => (await advertised(laptop, both)).length === 2, 'both are listed');
    await second.stop();
    await until(async () => (await advertised(laptop, both)).length === 1, 'the stopped one is left out');
    expect(await advertised(laptop, both)).toEqual([grid.relay]);
    expect((await laptop.run('sync')).code).toBe(0);
    await startSecondRelay(grid, second.address.replace(/\/p2p\/.*$/, ''));
    await until(async () => (await advertised(laptop, both)).length === 2, 'it is listed again');
  }, 90_000);
});

describe('a watch', () => {
  test('tries the relay that failed in the round before last', async () => {
    const grid = await startGrid();
    const relays = {
      RUSTORY_RELAY_ADDR: `${DEAD_RELAY},${grid.relay.address}`,
      RUSTORY_P2P_REQUEST_ATTEMPTS: '1',
    };
    const laptop = grid.device('laptop', relays);
    const nobody = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
    const watching = laptop.start('sync', '--watch', '--json', '--interval-sec', '1', '--peers', nobody);
    const rounds = (): string[] =>
      parseLines<{ reports: [{ error: string }] }>(watching.stdout()).map(
        ({ reports: [{ error }] }) => error,
      );
    await until(() => rounds().length >= 2, 'two rounds are over');
    expect(rounds()[0]).toMatch(/tcp: .*; .*reservation: /);
    expect(rounds()[1]).toMatch(/reservation: .*; .*tcp: /);
  }, 60_000);
});
