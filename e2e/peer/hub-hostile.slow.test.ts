// A hub against a hostile member of its network, which knows the swarm key and is registered for the user.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { startProgram } from '../../scripts/processes.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { connectAgain, readHistory, startHub, startMember, type TestHub } from '../../testing/hub.ts';
import { HOSTILE_PUSHES, isAcknowledged, ownEntries } from '../../testing/hostile-pushes.ts';
import { ROOT } from '../../testing/groups.ts';
import { startNetwork } from '../../testing/network.ts';
import { FIRST_PUSH_WAIT_MS, type PushClient, startPushClient } from '../../testing/push-client.ts';
import { until } from '../../testing/wait.ts';
import { wireEntries } from '../../testing/wire-entries.ts';
import type { PushRequest } from '../../testing/wire-messages.ts';

afterEach(cleanUp);

const TEST_TIMEOUT_MS = 300_000;

/** The memory limit of the hub of the chart, and the heap that its image sets then. */
const MAX_MEMORY_MIB = 256;
const HUB = { env: { NODE_OPTIONS: `--max-old-space-size=${MAX_MEMORY_MIB / 2}` } };

/** Interval at which the memory is read, in milliseconds. */
const SAMPLE_MS = 50;

/** Pushes of the honest device during the attack. */
const PUSHES = 4;

/** Tries of a client of `rr` for one push. Each waits twice as long as the one before. */
const TRIES = 3;

/**
 * Watches the memory that counts for the limit of a container and cannot be reclaimed, so without the pages of the program
 * itself. Returns the highest value so far, in MiB.
 */
function watchMemory({ running }: TestHub): () => number {
  let peak = 0;
  const sample = (): void => {
    const path = `/proc/${running.pid}/status`;
    // The hub ends before its clean-up.
    const status = existsSync(path) ? readFileSync(path, 'utf8') : 'RssAnon: 0 kB';
    peak = Math.max(peak, Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) / 1024);
  };
  const timer = setInterval(sample, SAMPLE_MS);
  onCleanup(() => clearInterval(timer));
  sample();
  return () => peak;
}

/** Pushes as a client of `rr`: three tries with a new connection each, of which the first waits five seconds. */
async function pushWithinTries(client: PushClient, hub: TestHub, message: PushRequest): Promise<void> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const signal = AbortSignal.timeout(FIRST_PUSH_WAIT_MS * 2 ** attempt);
    try {
      const connection = await client.connect(hub.circuit);
      const { ok } = await client.push(connection, message, { signal });
      await connection.close();
      if (ok) return;
    } catch (error) {
      if (attempt === TRIES - 1) throw error;
    }
  }
  throw new Error(`The hub refused ${TRIES} pushes.`);
}

describe('a hub refuses from a member', () => {
  test(
    'what is no push and what it may not push, and stores nothing of it',
    async () => {
      const network = await startNetwork();
      const hub = await startHub(network, HUB);
      await hub.registered();
      const mallory = await startMember(network, 'mallory');
      const honest = await startMember(network, 'honest');
      const acknowledged: string[] = [];
      const peakMiB = watchMemory(hub);
      const peaks: Array<[string, number]> = [];
      for (const [name, encoding, bytes] of HOSTILE_PUSHES) {
        const before = await hub.metric('rustory_hub_pushes_total');
        const connection = await connectAgain(mallory, hub);
        if (await isAcknowledged(mallory, connection, encoding, bytes())) acknowledged.push(name);
        await connection.close();
        peaks.push([name, Math.round(peakMiB())]);
        expect([name, await hub.metric('rustory_hub_pushes_total')]).toEqual([name, before + 1]);
      }
      expect(acknowledged).toEqual([]);
      // On a busy machine, a push may be refused because it could not be stored in time.
      const circuit = await honest.connect(hub.circuit);
      const message = { entries: wireEntries('honest', 100) };
      await until(
        async () => (await honest.push(circuit, message)).ok,
        'the push of another device is stored',
      );
      const { entries, deletions } = readHistory(hub.databasePath);
      expect([...entries.keys()].filter((id) => !id.startsWith('honest-'))).toEqual([]);
      expect([entries.size, deletions.size]).toEqual([100, 0]);
      expect(await hub.metric('rustory_hub_pushes_total', 'outcome="stored"')).toBe(1);
      expect(peaks.filter(([, mebibytes]) => mebibytes >= MAX_MEMORY_MIB)).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'nothing else: entries that no device could store are skipped and counted, and the good ones are stored',
    async () => {
      const network = await startNetwork();
      const hub = await startHub(network, HUB);
      const mallory = await startMember(network, 'mallory');
      const [first, second, third] = ownEntries(3);
      const connection = await connectAgain(mallory, hub);
      const bad = [
        { ...second, ts: 'yesterday' },
        { ...second, cmd: 5 },
        null,
        7,
        { ...second, entry_id: '' },
      ];
      const message = { entries: [first, ...bad, third] } as unknown as PushRequest;
      expect(await mallory.push(connection, message)).toMatchObject({ ok: true, inserted: 2 });
      expect([...readHistory(hub.databasePath).entries.keys()]).toEqual([first?.entry_id, third?.entry_id]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'nothing of a device that no tracker lists for the user',
    async () => {
      const network = await startNetwork();
      const hub = await startHub(network, HUB);
      const swarmKey = readSwarmKey(join(network.directory, 'swarm.key'));
      const [unlisted, other] = [await startPushClient({ swarmKey }), await startPushClient({ swarmKey })];
      await other.register(network.tracker.url, { user_id: 'eve', device_id: 'mallory' });
      for (const client of [unlisted, other]) {
        const connection = await connectAgain(client, hub);
        expect(await client.push(connection, { entries: ownEntries(5) })).toMatchObject({ ok: false });
        await expect(client.pull(connection, { cursor: 0, limit: 10 })).rejects.toThrow(/without an answer/);
      }
      expect(readHistory(hub.databasePath).entries.size).toBe(0);
    },
    TEST_TIMEOUT_MS,
  );
});

describe('a hub under attack', () => {
  test(
    'serves an honest device within its time-outs, with bounded memory, and refuses all of the attack',
    async () => {
      const network = await startNetwork();
      const hub = await startHub(network, HUB);
      await hub.registered();
      const honest = await startMember(network, 'honest');
      const peakMiB = watchMemory(hub);
      const attack = startProgram('attack', join(ROOT, 'testing/programs/hostile-pusher.ts'), {
        env: {
          SWARM_KEY: join(network.directory, 'swarm.key'),
          TRACKER: network.tracker.url,
          HUB: hub.address,
        },
      });
      onCleanup(async () => attack.stop());
      // Every kind of attack has begun.
      await attack.waitFor('round', ({ round }) => Number(round) >= 1);

      for (let push = 0; push < PUSHES; push += 1)
        await pushWithinTries(honest, hub, { entries: wireEntries('honest', 200, { first: push * 200 }) });
      const { entries } = await honest.pullAll(await honest.connect(hub.circuit));
      expect(entries).toHaveLength(PUSHES * 200);

      // It is still going on.
      const round = attack.logged('round').at(-1)?.['round'];
      await attack.waitFor('round', (line) => Number(line['round']) > Number(round));
      expect(attack.logged('round').map(({ acknowledged }) => acknowledged)).not.toContain(true);
      expect(peakMiB()).toBeLessThan(MAX_MEMORY_MIB);
      expect(await attack.stop()).toBe('SIGTERM');
      expect(readHistory(hub.databasePath).entries.size).toBe(PUSHES * 200);
      expect(await hub.stop()).toBe(0);
    },
    TEST_TIMEOUT_MS,
  );
});
