import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Stream } from '@libp2p/interface';
import { monotonicMs } from '../../shared/clock.ts';
import { createDialer } from '../network/dial.ts';
import { toWire } from '../history/entry.ts';
import { pull, type PullReport } from './pull.ts';
import { readToEnd, writeAndClose } from './stream-io.ts';
import { MAX_RESPONSE_BYTES, PULL_PROTOCOLS } from './sync-protocol.ts';
import { cleanUp } from '../../../testing/cleanup.ts';
import { makeEntries, readEntries, startDevice, type TestDevice } from '../../../testing/peer.ts';

afterEach(cleanUp);

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0'];
const PLAIN = PULL_PROTOCOLS[1] ?? '';
const timeouts = { idleTimeoutMs: 5_000 };

async function write(stream: Stream, value: unknown): Promise<void> {
  await writeAndClose(stream, Buffer.from(JSON.stringify(value)), timeouts);
}

describe('a pull', () => {
  type Answer = (stream: Stream, request: { cursor: number; limit: number }) => Promise<void>;

  /** Pulls from a peer that answers in this way. */
  async function pullFrom(
    answer: Answer,
    limit = 100,
    idleTimeoutMs = 20_000,
  ): Promise<{ report: PullReport; client: TestDevice; limits: number[] }> {
    const server = await startDevice(LOOPBACK);
    const limits: number[] = [];
    await server.node.libp2p.handle(PLAIN, async (stream) => {
      try {
        const request = JSON.parse((await readToEnd(stream, 1000, timeouts)).toString()) as {
          cursor: number;
          limit: number;
        };
        limits.push(request.limit);
        await answer(stream, request);
      } catch (error) {
        stream.abort(error as Error);
      }
    });
    const client = await startDevice();
    const dialer = createDialer({
      libp2p: client.node.libp2p,
      relays: [],
      strategy: 'relay-first',
      nowMs: monotonicMs,
    });
    const retry = {
      attempts: 3,
      timeoutBaseMs: idleTimeoutMs / 2,
      timeoutCapMs: idleTimeoutMs,
      backoffBaseMs: 1,
    };
    const target = { peerId: server.peerId, addresses: server.node.libp2p.getMultiaddrs().map(String) };
    const deps = {
      dialer,
      store: client.store,
      retry,
      nowMs: monotonicMs,
      sleep: async (ms: number) => sleep(ms),
    };
    return { report: await pull(target, deps, { limit }), client, limits };
  }

  const history = makeEntries(300);
  const page: Answer = async (stream, { cursor, limit }) => {
    const entries = history.slice(cursor, cursor + limit).map(toWire);
    await write(stream, { entries, next_cursor: entries.length === 0 ? null : cursor + entries.length });
  };

  test('uses version 1.0.0 of the protocol when the peer has no other', async () => {
    const { report, client } = await pullFrom(page);
    expect(report).toMatchObject({ entries: 300, error: undefined });
    expect(readEntries(client.store)).toEqual(history);
  });

  test('fails at an invalid entry, and stores neither the cursor nor the entries of its page', async () => {
    const { report, client, limits } = await pullFrom(async (stream, request) => {
      if (request.cursor < 200) return page(stream, request);
      const entries = history.slice(200).map(toWire);
      return write(stream, {
        entries: [...entries.slice(0, 7), { ...entries[7], exit_code: 'x' }],
        next_cursor: 208,
      });
    });
    expect(report.error).toMatch(
      /^Entry 7 of the batch is not valid: The field exit_code must be an integer/,
    );
    expect(report).toMatchObject({ entries: 200, nextCursor: 200 });
    expect(client.store.summary().entries).toBe(200);
    expect(limits).toHaveLength(3);
  });

  test('halves its limit until the answer is small enough', async () => {
    const { report, limits } = await pullFrom(async (stream, request) => {
      if (request.limit <= 25) return page(stream, request);
      return writeAndClose(stream, Buffer.alloc(MAX_RESPONSE_BYTES + 1, 32), timeouts);
    });
    expect(report).toMatchObject({ entries: 300, error: undefined });
    expect(limits.slice(0, 4)).toEqual([100, 50, 25, 25]);
  }, 60_000);

  test('fails when a single entry is too large', async () => {
    const { report } = await pullFrom(
      async (stream) => writeAndClose(stream, Buffer.alloc(MAX_RESPONSE_BYTES + 1, 32), timeouts),
      2,
    );
    expect(report.error).toMatch(/message is too large: \d+ > 33554432 bytes/);
  }, 60_000);

  test('continues from its cursor after a cut, and fails after three attempts without progress', async () => {
    const { report, limits } = await pullFrom(async (stream, request) => {
      if (request.cursor < 200) return page(stream, request);
      stream.send(Buffer.from('{"entries":['));
      return stream.abort(new Error('gone'));
    });
    expect(report).toMatchObject({ entries: 200, nextCursor: 200, error: expect.stringContaining('closed') });
    expect(limits).toEqual([100, 100, 100, 100, 50]);
  });

  test('fails when the peer is idle for longer than the timeout', async () => {
    const { report } = await pullFrom(async () => new Promise(() => {}), 100, 1_000);
    expect(report.error).toContain('idle for 1000 ms');
  });
});
