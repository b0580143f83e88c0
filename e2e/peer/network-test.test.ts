import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, startGrid } from '../../testing/network.ts';

afterEach(cleanUp);

/** A grid whose tracker wants a token, the address of its relay without the peer id, and a device's files. */
async function startClosedGrid(tokens: string) {
  const grid = await startGrid({}, { tokens });
  return { grid, relay: grid.relay.address.replace(/\/p2p\/.*/, '') };
}

describe('grid-test', () => {
  test('proves a grid that works, knowing its relay by nothing but a host and a port', async () => {
    const { grid, relay } = await startClosedGrid(
      '# Of this grid\na-token-of-one user=demo\na-token-of-the-grid\n',
    );
    const tokens = join(grid.directory, 'tokens');
    const { code, stdout } = await grid
      .device('tester')
      .run('grid-test', `--relays=${relay}`, `--token-file=${tokens}`);
    expect(stdout.split('\n').map((line) => line.replace(/\/p2p\/[^\s,]+| in \d+ ms/g, ''))).toEqual([
      `ok   reserved on ${relay}, which announces ${relay}`,
      `ok   registered with ${grid.tracker.url}, which lists it`,
      `ok   synced 1000 entries through ${relay}`,
      `ok   unregistered from ${grid.tracker.url}`,
      '1 of 1 relays work',
    ]);
    expect(code).toBe(0);
  }, 60_000);

  test('tells which relay does not work, and ends with 4 when others do', async () => {
    const { grid, relay } = await startClosedGrid('a-token-of-the-grid\n');
    const dead = '/ip4/127.0.0.1/tcp/1';
    const { code, stdout } = await grid
      .device('tester')
      .run('grid-test', `--relays=${dead},${relay}`, `--token-file=${join(grid.directory, 'tokens')}`);
    expect(stdout).toMatch(new RegExp(`^FAIL ${dead}: .*ECONNREFUSED`, 'm'));
    expect(stdout).toContain('1 of 2 relays work');
    expect(code).toBe(4);
  }, 60_000);

  test('tells that the tracker refused its token, and ends with 3', async () => {
    const { grid, relay } = await startClosedGrid('a-token-of-the-grid\n');
    const tokens = join(grid.directory, 'wrong');
    writeFileSync(tokens, 'another-token-altogether\n');
    const { code, stdout } = await grid
      .device('tester')
      .run('grid-test', `--relays=${relay}`, `--token-file=${tokens}`);
    expect(stdout).toMatch(/^FAIL .*tracker .*token/m);
    expect(stdout).not.toContain('another-token');
    expect(code).toBe(3);
  }, 60_000);

  test('refuses tokens that are all bound, because a made-up user could not register with them', async () => {
    const { grid, relay } = await startClosedGrid('a-token-of-one user=demo\n');
    const tokens = join(grid.directory, 'tokens');
    const { code, stderr } = await grid
      .device('tester')
      .run('grid-test', `--relays=${relay}`, `--token-file=${tokens}`);
    expect(stderr).toContain('holds no token without user= and read-only');
    expect(stderr).not.toContain('a-token-of-one');
    expect(code).toBe(78);
  }, 60_000);
});
