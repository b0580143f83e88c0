import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { openDatabase } from '../../services/peer/history/database.ts';
import { createStore } from '../../services/peer/history/store.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { startHub } from '../../testing/hub.ts';
import { makeEntries, startNetwork, type TestNetwork } from '../../testing/network.ts';

afterEach(cleanUp);

/** A token that is not bound to a user. */
const TOKEN = 'a-token-of-the-network';

/** A network whose tracker requires a token, and the address of its relay without the peer id. */
async function startClosedNetwork(tokens: string): Promise<{ network: TestNetwork; relay: string }> {
  const network = await startNetwork({ tokens });
  return { network, relay: network.relay.address.replace(/\/p2p\/.*/, '') };
}

describe('network-test', () => {
  test('succeeds in a working network, with only the host and port of the relay', async () => {
    const { network, relay } = await startClosedNetwork(`# A comment\na-token-of-one user=demo\n${TOKEN}\n`);
    const tokens = join(network.directory, 'tokens');
    const { code, stdout } = await network
      .device('tester')
      .run('network-test', `--relays=${relay}`, `--token-file=${tokens}`);
    expect(stdout.split('\n').map((line) => line.replace(/\/p2p\/[^\s,]+| in \d+ ms/g, ''))).toEqual([
      `ok   reserved on ${relay}, which announces ${relay}`,
      `ok   registered with ${network.tracker.url}, which lists it`,
      `ok   synced 1000 entries through ${relay}`,
      `ok   unregistered from ${network.tracker.url}`,
      '1 of 1 relays work',
    ]);
    expect(code).toBe(0);
  });

  test('pushes and pulls through a temporary hub, and asks a real hub for one entry without a trace', async () => {
    const tokens = `${TOKEN}\na-token-of-the-hub-of-ada user=ada hub\n`;
    const { network, relay } = await startClosedNetwork(tokens);
    const hub = await startHub(network, { env: { RUSTORY_TRACKER_TOKEN: 'a-token-of-the-hub-of-ada' } });
    await hub.registered();
    const database = openDatabase(hub.databasePath);
    createStore(database).insert(makeEntries('laptop', 5));
    database.close();
    const file = join(network.directory, 'tokens');
    const tester = network.device('tester');
    const { code, stdout } = await tester.run(
      'network-test',
      `--relays=${relay}`,
      `--token-file=${file}`,
      '--hub',
      '--hubs=ada',
    );
    expect([stdout, code]).toEqual([expect.stringContaining(`the hub ${hub.peerId} answered a pull`), 0]);
    expect(await hub.metric('rustory_hub_sent_entries_total')).toBe(1);
    expect(stdout).toContain('pushed 1000 entries to a temporary hub, and left');
    expect(stdout).toContain('pulled 1000 entries from it on another device');
    const listing = await fetch(`${network.tracker.url}/api/v1/peers`, {
      headers: { Authorization: `Bearer ${TOKEN}` },
    });
    expect(await listing.json()).toMatchObject({ peers: [{ peer_id: hub.peerId }] });
    const missing = await tester.run(
      'network-test',
      `--relays=${relay}`,
      `--token-file=${file}`,
      '--hubs=bob%20b',
    );
    expect([missing.code, missing.stdout]).toEqual([4, expect.stringContaining('FAIL hub of bob b: ')]);
  }, 180_000);

  test('names the relay that does not work and exits with 4 when others work', async () => {
    const { network, relay } = await startClosedNetwork(`${TOKEN}\n`);
    const dead = '/ip4/127.0.0.1/tcp/1';
    const { code, stdout } = await network
      .device('tester')
      .run('network-test', `--relays=${dead},${relay}`, `--token-file=${join(network.directory, 'tokens')}`);
    expect(stdout).toMatch(new RegExp(`^FAIL ${dead}: .*ECONNREFUSED`, 'm'));
    expect(stdout).toContain('1 of 2 relays work');
    expect(code).toBe(4);
  });

  test('with --retry-sec repeats a test until the tracker works', async () => {
    const network = await startNetwork();
    let isWorking = false;
    const proxy = createServer((request, response) => {
      if (!isWorking) {
        response.writeHead(503).end();
        return;
      }
      const { method, url, headers } = request;
      const forwarded = httpRequest(
        new URL(url ?? '/', network.tracker.url),
        { method, headers },
        (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(response);
        },
      );
      forwarded.on('error', () => response.destroy());
      request.pipe(forwarded);
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    onCleanup(() => {
      proxy.closeAllConnections();
      proxy.close();
    });
    const trackers = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const device = network.device('tester', { RUSTORY_TRACKERS: trackers, LOG_LEVEL: 'info' });
    const once503 = await device.run('network-test');
    expect([once503.code, once503.stdout]).toEqual([3, expect.stringContaining('0 of 1 relays work')]);
    const running = device.start('network-test', '--retry-sec=3600');
    await running.waitFor('the test of a relay failed');
    isWorking = true;
    expect([await running.exited, running.stdout()]).toEqual([
      0,
      expect.stringContaining('1 of 1 relays work'),
    ]);
    expect(running.stdout()).not.toContain('FAIL');
  });

  test('reports a token that the tracker refuses and exits with 3', async () => {
    const { network, relay } = await startClosedNetwork(`${TOKEN}\n`);
    const tokens = join(network.directory, 'wrong');
    writeFileSync(tokens, 'another-token-altogether\n');
    const { code, stdout } = await network
      .device('tester')
      .run('network-test', `--relays=${relay}`, `--token-file=${tokens}`);
    expect(stdout).toMatch(/^FAIL .*tracker.*token/m);
    expect(stdout).not.toContain('another-token');
    expect(code).toBe(3);
  });

  // With the former name of the command, which the charts of earlier releases use.
  test('rejects a file whose tokens are all bound to users, because its user is a new one', async () => {
    const { network, relay } = await startClosedNetwork('a-token-of-one user=demo\n');
    const tokens = join(network.directory, 'tokens');
    const { code, stderr } = await network
      .device('tester')
      .run('grid-test', `--relays=${relay}`, `--token-file=${tokens}`);
    expect(stderr).toContain('has no token without user= and read-only');
    expect(stderr).not.toContain('a-token-of-one');
    expect(code).toBe(78);
  });
});
