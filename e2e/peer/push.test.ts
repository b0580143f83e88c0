// Devices that are never on at the same time, and one that is always on: what they push reaches the others.
import { rmSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { makeEntries, startNetwork } from '../../testing/network.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

/** The user of `makeEntries`. */
const ADA = { RUSTORY_USER_ID: 'ada' };

const idsOf = (entries: ReadonlyArray<{ entry_id: string }>): string[] =>
  entries.map(({ entry_id: id }) => id);

test('what a device pushed before it left reaches a device that comes later, deletions too', async () => {
  const network = await startNetwork();
  const [desktop, laptop, phone] = [
    network.device('desktop', ADA),
    network.device('laptop', ADA),
    network.device('phone', ADA),
  ];
  await desktop.serve();
  laptop.insert(makeEntries('laptop', 2_500));
  const pushed = await laptop.run('sync', '--push');
  expect(pushed.code).toBe(0);
  expect(pushed.stdout).toContain('pushed 2,500 entries to 1 device');
  expect(desktop.entries()).toEqual(laptop.entries());

  phone.insert(makeEntries('phone', 10));
  expect(await phone.run('sync', '--push', '--json')).toMatchObject({ code: 0 });
  expect(phone.entries()).toHaveLength(2_510);

  const [secret] = idsOf(laptop.entries());
  expect(await laptop.run('delete', String(secret))).toMatchObject({ code: 0 });
  const again = await laptop.run('sync', '--push');
  expect(again.stdout).toContain('pushed 1 deletion to 1 device');
  expect(idsOf(laptop.entries())).toContain('phone-0000009');
  expect(await phone.run('sync', '--push')).toMatchObject({ code: 0 });
  for (const device of [desktop, laptop, phone]) {
    expect(idsOf(device.entries())).not.toContain(secret);
    expect(device.entries()).toHaveLength(2_509);
  }
});

test('a daemon pushes what is recorded while it runs, and everything to a device that lost its database', async () => {
  const network = await startNetwork();
  const [desktop, laptop] = [network.device('desktop', ADA), network.device('laptop', ADA)];
  const serving = await desktop.serve();
  laptop.insert(makeEntries('laptop', 5));
  laptop.start('daemon', '--push', '--interval-sec', '1');
  await until(() => desktop.entries().length === 5, 'the entries are pushed');
  expect(await laptop.run('record', '--cmd', 'make deploy')).toMatchObject({ code: 0 });
  await until(() => desktop.entries().some(({ cmd }) => cmd === 'make deploy'), 'the new entry is pushed');
  await serving.stop();
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${desktop.databasePath}${suffix}`, { force: true });
  await desktop.serve();
  await until(() => desktop.entries().length === 6, 'everything is pushed again');
});
