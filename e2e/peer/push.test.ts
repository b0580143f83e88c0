// Devices that are never on at the same time, and one that is always on: what they push reaches the others. The tests share
// one network, and commands that end by themselves run in this process, because a process needs more than a second of CPU
// time to start.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Running } from '../../scripts/processes.ts';
import { cleanUp } from '../../testing/cleanup.ts';
import { createTestHome } from '../../testing/cli.ts';
import { type Device, makeEntries, startNetwork } from '../../testing/network.ts';
import { until } from '../../testing/wait.ts';

const TEST_TIMEOUT_MS = 300_000;

/** The user of `makeEntries`. */
const ADA = { RUSTORY_USER_ID: 'ada' };

let desktop: Device;
let laptop: Device;
let phone: Device;
/** The desktop is always on. */
let serving: Running;

beforeAll(async () => {
  const network = await startNetwork();
  desktop = network.device('desktop', ADA);
  laptop = network.device('laptop', ADA);
  phone = network.device('phone', ADA);
  serving = await desktop.serve();
}, TEST_TIMEOUT_MS);

afterAll(cleanUp, TEST_TIMEOUT_MS);

const run = async ({ env }: Device, ...args: string[]) => createTestHome().run(args, { ...env });

const idsOf = (entries: ReadonlyArray<{ entry_id: string }>): string[] =>
  entries.map(({ entry_id: id }) => id);

test(
  'what a device pushed before it left reaches a device that comes later, deletions too',
  async () => {
    laptop.insert(makeEntries('laptop', 2_500));
    const pushed = await run(laptop, 'sync', '--push');
    expect(pushed.code).toBe(0);
    expect(pushed.stdout).toContain('pushed 2,500 entries to 1 device');
    expect(desktop.entries()).toEqual(laptop.entries());

    phone.insert(makeEntries('phone', 10));
    expect(await run(phone, 'sync', '--push', '--json')).toMatchObject({ code: 0 });
    expect(phone.entries()).toHaveLength(2_510);

    const [secret] = idsOf(laptop.entries());
    expect(await run(laptop, 'delete', String(secret))).toMatchObject({ code: 0 });
    const again = await run(laptop, 'sync', '--push');
    expect(again.stdout).toContain('pushed 1 deletion to 1 device');
    expect(idsOf(laptop.entries())).toContain('phone-0000009');
    expect(await run(phone, 'sync', '--push')).toMatchObject({ code: 0 });
    for (const device of [desktop, laptop, phone]) {
      expect(idsOf(device.entries())).not.toContain(secret);
      expect(device.entries()).toHaveLength(2_509);
    }
  },
  TEST_TIMEOUT_MS,
);

test(
  'a daemon pushes what is recorded while it runs, and everything to a device that lost its database',
  async () => {
    laptop.insert(makeEntries('laptop', 5, 10_000));
    laptop.start('daemon', '--push', '--interval-sec', '1');
    await until(() => desktop.entries().length === 2_514, 'the entries are pushed');
    expect(await run(laptop, 'record', '--cmd', 'make deploy')).toMatchObject({ code: 0 });
    await until(() => desktop.entries().some(({ cmd }) => cmd === 'make deploy'), 'the new entry is pushed');
    await serving.stop();
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${desktop.databasePath}${suffix}`, { force: true });
    await desktop.serve();
    // All that the laptop has made; what the phone has made is not pushed.
    await until(() => desktop.entries().length === 2_505, 'everything is pushed again');
  },
  TEST_TIMEOUT_MS,
);
