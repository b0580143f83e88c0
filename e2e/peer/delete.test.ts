import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { type Device, makeEntries, startNetwork } from '../../testing/network.ts';

afterEach(cleanUp);

const TEST_TIMEOUT_MS = 120_000;

const ids = (device: Device): string[] => device.entries().map(({ entry_id: id }) => id);

async function sync(device: Device): Promise<Array<Record<string, unknown>>> {
  const { code, stdout, stderr } = await device.run('sync', '--json');
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('a command that is deleted on one device', () => {
  test(
    'disappears from a device that reaches only a third one, and stays deleted',
    async () => {
      const network = await startNetwork();
      const [first, middle, last] = ['first', 'middle', 'last'].map((name) => network.device(name));
      if (first === undefined || middle === undefined || last === undefined) throw new Error('No device.');
      const [keep, secret] = ['first-0000000', 'first-0000001'];
      first.insert(makeEntries('first', 2));
      last.insert(makeEntries('first', 2));
      middle.insert([]);

      let serving = await first.serve();
      await sync(middle);
      expect(ids(middle)).toEqual([keep, secret]);
      expect(await first.run('delete', secret)).toMatchObject({ code: 0, stdout: 'deleted 1 entry' });
      expect(await sync(middle)).toMatchObject([{ entries: 0, deleted: 1 }]);
      await serving.stop();

      serving = await middle.serve();
      expect(await sync(last)).toMatchObject([{ deleted: 1 }]);
      await serving.stop();
      for (const device of [first, middle, last]) expect(ids(device)).toEqual([keep]);

      // A device that was switched off in the meantime still has the entry, and cannot restore it.
      const old = network.device('old');
      old.insert(makeEntries('first', 2));
      await old.serve();
      for (const device of [first, middle, last]) {
        await sync(device);
        expect(ids(device)).toEqual([keep]);
      }
    },
    TEST_TIMEOUT_MS,
  );
});
