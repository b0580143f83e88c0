// Slow, because 32 MiB are sent.
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { createTestPullDeps, startDevice } from '../../../testing/peer.ts';
import { startPullServer } from '../../../testing/pull-server.ts';
import { pull } from './pull.ts';
import { writeAndClose } from './stream-io.ts';
import { MAX_RESPONSE_BYTES } from './sync-protocol.ts';
import { WAIT_TIMEOUT_MS } from '../../../testing/wait.ts';

afterEach(cleanUp);

test('a pull rejects a response that is larger than the maximum of the protocol', async () => {
  const { target } = await startPullServer(async (stream) =>
    writeAndClose(stream, Buffer.alloc(MAX_RESPONSE_BYTES + 1, ' '), { idleTimeoutMs: WAIT_TIMEOUT_MS }),
  );
  const deps = createTestPullDeps(await startDevice());
  const retry = { ...deps.retry, timeoutBaseMs: WAIT_TIMEOUT_MS, timeoutCapMs: WAIT_TIMEOUT_MS };
  const report = await pull(target, { ...deps, retry }, { limit: 1 });
  expect(report.error).toMatch(/message is too large: \d+ > 33554432 bytes/);
});
