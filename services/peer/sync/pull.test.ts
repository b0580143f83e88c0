import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { createTestPullDeps, makeEntries, readEntries, startDevice } from '../../../testing/peer.ts';
import { type PullHandler, startPullServer, writeJson } from '../../../testing/pull-server.ts';
import { type Entry, toWire } from '../history/entry.ts';
import { pull } from './pull.ts';
import { writeAndClose } from './stream-io.ts';
import { WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';

afterEach(cleanUp);

const MAX_RESPONSE_BYTES = 64 * 1024;
const TOO_LARGE = Buffer.alloc(MAX_RESPONSE_BYTES + 1, ' ');

/** Pulls from a peer with this handler. */
async function pullFrom(handle: PullHandler, { limit = 100, idleTimeoutMs = WAIT_TIMEOUT_MS } = {}) {
  const { target, limits } = await startPullServer(handle);
  const client = await startDevice();
  const retry = {
    attempts: 3,
    timeoutBaseMs: idleTimeoutMs / 2,
    timeoutCapMs: idleTimeoutMs,
    backoffBaseMs: 1,
  };
  const deps = { ...createTestPullDeps(client), retry, maxResponseBytes: MAX_RESPONSE_BYTES };
  return { report: await pull(target, deps, { limit }), client, limits };
}

const history = makeEntries(300);

const page: PullHandler = async (stream, { cursor, limit }) => {
  const entries = history.slice(cursor, cursor + limit).map(toWire);
  await writeJson(stream, { entries, next_cursor: entries.length === 0 ? null : cursor + entries.length });
};

const tooLarge: PullHandler = async (stream) =>
  writeAndClose(stream, TOO_LARGE, { idleTimeoutMs: WAIT_TIMEOUT_MS });

describe('a pull', () => {
  test('uses version 1.0.0 of the protocol when the peer has no other', async () => {
    const { report, client } = await pullFrom(page);
    expect(report).toMatchObject({ entries: 300, error: undefined });
    expect(readEntries(client.store)).toEqual(history);
  });

  test('skips and counts entries that are not valid, and continues after them', async () => {
    const bad: object = { ...toWire(makeEntries(1)[0] as Entry), exit_code: 'x' };
    const { report, client } = await pullFrom(async (stream, { cursor, limit }) => {
      // The second page has only invalid entries, and the third one starts and ends with one.
      const [before, after] = [history.slice(0, 100).map(toWire), history.slice(100, 198).map(toWire)];
      const entries = [...before, ...Array.from({ length: 101 }, () => bad), ...after, null];
      const sent = entries.slice(cursor, cursor + limit);
      return writeJson(stream, {
        entries: sent,
        next_cursor: sent.length === 0 ? null : cursor + sent.length,
      });
    });
    expect(report).toMatchObject({
      error: undefined,
      entries: 198,
      nextCursor: 300,
      invalid: { entries: 102, deletions: 0, text: expect.stringContaining('exit_code must be an integer') },
    });
    expect(readEntries(client.store)).toEqual(history.slice(0, 198));
  });

  test('halves its limit until the response is small enough', async () => {
    const { report, limits } = await pullFrom(async (stream, request) =>
      request.limit <= 25 ? page(stream, request) : tooLarge(stream, request),
    );
    expect(report).toMatchObject({ entries: 300, error: undefined });
    expect(limits.slice(0, 4)).toEqual([100, 50, 25, 25]);
  });

  test('fails when a single entry is too large', async () => {
    const { report, limits } = await pullFrom(tooLarge, { limit: 2 });
    expect(report.error).toMatch(/message is too large: \d+ > 65536 bytes/);
    expect(limits).toEqual([2, 1]);
  });

  test('continues from its cursor after a cut, and fails after three attempts without progress', async () => {
    const { report, limits } = await pullFrom(async (stream, request) => {
      if (request.cursor < 200) return page(stream, request);
      stream.send(Buffer.from('{"entries":['));
      return stream.abort(new Error('The stream is aborted by the test.'));
    });
    expect(report).toMatchObject({ entries: 200, nextCursor: 200, error: expect.stringContaining('closed') });
    expect(limits).toEqual([100, 100, 100, 100, 50]);
  });

  test('fails when the peer is idle for longer than the timeout', async () => {
    const { report } = await pullFrom(async () => new Promise(() => {}), { idleTimeoutMs: 1_000 });
    expect(report.error).toContain('idle for 1000 ms');
  });
});
