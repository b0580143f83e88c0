// Pulls from a responder that behaves like `rr` 1.x: closed pulls, probes, and cursors that are too high.
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { createTestPullDeps, startDevice, type TestDevice } from '../../../testing/peer.ts';
import { type RrRequest, type RrResponder, startRrResponder } from '../../../testing/rr-responder.ts';
import { until } from '../../../testing/wait.ts';
import { pull } from './pull.ts';

afterEach(cleanUp);

const HOUR_SECONDS = 3_600;
const PROBE: RrRequest = { cursor: 0, delete_cursor: 0, limit: 1 };
const request = (cursor: number, deleteCursor = 0): RrRequest => ({
  cursor,
  delete_cursor: deleteCursor,
  limit: 100,
});

async function startPair() {
  const client = await startDevice();
  const responder = await startRrResponder();
  responder.entries = 10;
  const clock = { unixSeconds: 1_800_000_000 };
  return { client, responder, clock };
}

interface PullSettings {
  readonly clock: { unixSeconds: number };
  readonly attempts?: number;
  readonly idleTimeoutMs?: number;
}

/** One pull, as of a new process: only the database is kept. Resolves to its report and the requests of it. */
async function pullOnce(client: TestDevice, responder: RrResponder, settings: PullSettings) {
  const { clock, attempts = 3, idleTimeoutMs } = settings;
  const sent = responder.requests.length;
  const deps = createTestPullDeps(client);
  const timeouts =
    idleTimeoutMs === undefined ? {} : { timeoutBaseMs: idleTimeoutMs, timeoutCapMs: idleTimeoutMs };
  const report = await pull(
    { peerId: responder.peerId, addresses: responder.addresses },
    { ...deps, retry: { ...deps.retry, attempts, ...timeouts }, nowUnixSeconds: () => clock.unixSeconds },
    { limit: 100 },
  );
  return { ...report, requests: responder.requests.slice(sent) };
}

/** The position after a pull that ended at these cursors. */
function setCursors({ store }: TestDevice, { peerId }: RrResponder, cursor: number, deleteCursor = 0): void {
  const entryId = cursor === 0 ? undefined : `laptop-${cursor - 1}`;
  store.insertPage({ entries: [], deletions: [] }, { peerId, cursor, deleteCursor, entryId });
}

/** Answers probes only. */
const isSilent = (_: unknown, { limit }: RrRequest) => (limit === 1 ? undefined : 'handled');

describe('a request', () => {
  test('has delete_cursor from the start, and each page continues at both cursors', async () => {
    const { client, responder, clock } = await startPair();
    responder.entries = 250;
    responder.deletions = 130;
    const { requests, error, entries } = await pullOnce(client, responder, { clock });
    expect(error).toBeUndefined();
    expect(entries).toBe(250);
    expect(requests).toEqual([
      request(0),
      request(0, 100),
      request(70, 130),
      request(170, 130),
      request(250, 130),
    ]);
  });
});

describe('a peer that does not know this device', () => {
  test('is asked once with a probe, and the report names the user and the tracker', async () => {
    const { client, responder, clock } = await startPair();
    responder.isMember = false;
    const { requests, error } = await pullOnce(client, responder, { clock });
    expect(requests).toEqual([request(0), PROBE]);
    expect(error).toContain('"ada"');
    expect(error).toContain('http://tracker.test');
  });

  test('is asked with a probe first in the next round, and is synced when it knows this device', async () => {
    const { client, responder, clock } = await startPair();
    setCursors(client, responder, 4);
    responder.isMember = false;
    await pullOnce(client, responder, { clock });
    expect((await pullOnce(client, responder, { clock })).requests).toEqual([PROBE]);
    responder.isMember = true;
    const later = await pullOnce(client, responder, { clock });
    expect(later).toMatchObject({ error: undefined, entries: 6, hasNewDatabase: false });
    expect(later.requests).toEqual([PROBE, request(3), request(10)]);
    expect((await pullOnce(client, responder, { clock })).requests).toEqual([request(9), request(10)]);
  });
});

describe.each([
  ['cursor', 50, 0],
  ['delete_cursor', 3, 7],
])('a peer whose database is new, so that %s is too high,', (_, cursor, deleteCursor) => {
  test('is probed after its restart, and is then synced from the start', async () => {
    const { client, responder, clock } = await startPair();
    setCursors(client, responder, cursor, deleteCursor);
    client.store.insert([]);
    expect(await pullOnce(client, responder, { clock, attempts: 1 })).toMatchObject({
      requests: [request(cursor - 1, deleteCursor)],
      error: expect.any(String),
    });
    await until(() => !responder.isRunning, 'the process has ended');
    // It cannot be dialed now: nothing changes.
    expect(await pullOnce(client, responder, { clock, attempts: 1 })).toMatchObject({
      address: undefined,
      requests: [],
    });
    await responder.restart();
    const second = await pullOnce(client, responder, { clock, attempts: 1 });
    expect(second.requests).toEqual([PROBE, request(cursor - 1, deleteCursor)]);
    expect(client.store.cursorsOf(responder.peerId)).toEqual({ cursor: 0, deleteCursor: 0 });
    await responder.restart();
    expect(await pullOnce(client, responder, { clock })).toMatchObject({
      requests: [request(0), request(10)],
      entries: 10,
      error: undefined,
    });
  });
});

describe('a peer whose database is new', () => {
  test('is synced within the same round when it is back at once', async () => {
    const { client, responder, clock } = await startPair();
    setCursors(client, responder, 50, 9);
    client.store.acknowledge(responder.peerId, { cursor: 0, deleteCursor: 0 });
    client.database.sqlite
      .prepare('INSERT INTO peer_push_state(peer_id, last_pushed_seq) VALUES (?, 33)')
      .run(responder.peerId);
    // Closes like a service manager that restarts the process immediately.
    responder.intercept = (stream, { cursor }) => {
      if (cursor <= responder.entries) return undefined;
      stream.abort(new Error('The process has ended.'));
      return 'handled';
    };
    const report = await pullOnce(client, responder, { clock });
    expect(report).toMatchObject({ error: undefined, entries: 10, hasNewDatabase: true });
    expect(report.requests).toEqual([request(49, 9), PROBE, request(49, 9), request(0), request(10)]);
    expect(
      client.database.sqlite.prepare('SELECT last_pushed_seq AS seq FROM peer_push_state').all(),
    ).toEqual([expect.objectContaining({ seq: 0 })]);
  });
});

describe('cursors that get no answer', () => {
  test('are sent at most twice an hour, by all processes together', async () => {
    const { client, responder, clock } = await startPair();
    setCursors(client, responder, 5);
    responder.intercept = isSilent;
    const settings = { clock, idleTimeoutMs: 300 };
    const sent: RrRequest[] = [];
    for (let round = 0; round < 5; round += 1) {
      const { requests, error } = await pullOnce(client, responder, settings);
      sent.push(...requests);
      expect(error).toBeDefined();
    }
    expect(sent.filter(({ cursor }) => cursor === 4)).toHaveLength(2);
    clock.unixSeconds += HOUR_SECONDS - 1;
    expect((await pullOnce(client, responder, settings)).error).toContain('again in 1 minute,');
    clock.unixSeconds += 1;
    responder.intercept = undefined;
    expect(await pullOnce(client, responder, settings)).toMatchObject({ error: undefined, entries: 5 });
  });

  test('are sent again after an hour when the clock was set back', async () => {
    const { client, responder, clock } = await startPair();
    setCursors(client, responder, 5);
    responder.intercept = isSilent;
    const settings = { clock, idleTimeoutMs: 300 };
    await pullOnce(client, responder, settings);
    responder.intercept = undefined;
    clock.unixSeconds -= 1_000 * HOUR_SECONDS;
    const held = await pullOnce(client, responder, settings);
    expect(held.error).toContain('again in 60 minutes');
    expect(held.requests).toEqual([PROBE]);
    clock.unixSeconds += HOUR_SECONDS;
    expect(await pullOnce(client, responder, settings)).toMatchObject({ error: undefined, entries: 5 });
  });

  test('count again from zero after an answer', async () => {
    const { client, responder, clock } = await startPair();
    const settings = { clock, idleTimeoutMs: 300, attempts: 1 };
    for (let round = 0; round < 3; round += 1) {
      responder.entries += 5;
      setCursors(client, responder, responder.entries - 5);
      responder.intercept = isSilent;
      expect((await pullOnce(client, responder, settings)).error).toBeDefined();
      responder.intercept = undefined;
      expect(await pullOnce(client, responder, settings)).toMatchObject({ error: undefined, entries: 5 });
    }
  });
});

test('a pull that is closed in the middle is probed and continues, and its cursors are kept', async () => {
  const { client, responder, clock } = await startPair();
  responder.entries = 250;
  let closed = 0;
  responder.intercept = (stream, { cursor, limit }) => {
    if (cursor !== 100 || limit === 1 || closed >= 2) return undefined;
    closed += 1;
    stream.abort(new Error('The circuit has ended.'));
    return 'handled';
  };
  const first = await pullOnce(client, responder, { clock });
  expect(first.requests.slice(0, 4)).toEqual([request(0), request(100), PROBE, request(100)]);
  expect(client.store.cursorsOf(responder.peerId).cursor).toBe(100);
  clock.unixSeconds += HOUR_SECONDS;
  expect(await pullOnce(client, responder, { clock })).toMatchObject({ error: undefined, entries: 150 });
});

test('an answer that is cut after its first byte is an ordinary failure', async () => {
  const { client, responder, clock } = await startPair();
  setCursors(client, responder, 5);
  let cuts = 0;
  responder.intercept = (stream) => {
    if (cuts >= 2) return undefined;
    cuts += 1;
    stream.send(Buffer.from('{"entries":['));
    void stream.close();
    return 'handled';
  };
  const { requests } = await pullOnce(client, responder, { clock });
  expect(requests.every(({ cursor }) => cursor >= 4)).toBe(true);
});

test('a probe whose circuit is cut is repeated: a relay that stops says nothing about membership', async () => {
  const { client, responder, clock } = await startPair();
  let cuts = 0;
  responder.intercept = (stream) => {
    if (cuts >= 2) return undefined;
    cuts += 1;
    stream.abort(new Error('The circuit has ended.'));
    return 'handled';
  };
  const { requests, error, entries } = await pullOnce(client, responder, { clock });
  expect({ error, entries }).toEqual({ error: undefined, entries: 10 });
  expect(requests).toEqual([request(0), PROBE, PROBE, request(0), request(10)]);
});
