import { createHash, randomBytes } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { collect, GREETING, logger, protectedPair, send } from '../../testing/protected-connections.ts';
import { until } from '../../testing/wait.ts';
import { createSodiumCipher } from '../wire/cipher.ts';
import { generateSwarmKey } from './key.ts';
import { createProtector } from './psk.ts';

/** Deadline of the test, in milliseconds. On two idle cores it takes ten seconds. */
const TEST_TIMEOUT_MS = 300_000;

const protector = createProtector({ key: generateSwarmKey(), cipher: createSodiumCipher() })({ logger });

afterEach(cleanUp);

test(
  'a protected connection carries 1 GiB with bounded memory',
  async () => {
    const [a, b] = await protectedPair(protector, protector);
    const received = collect(b);
    const chunk = randomBytes(64 * 1024);
    const hash = createHash('sha256').update(GREETING);
    await send(a, GREETING);
    const beforeBytes = process.memoryUsage.rss();
    let peakBytes = beforeBytes;
    for (let index = 0; index < 16 * 1024; index += 1) {
      hash.update(chunk);
      await send(a, chunk);
      if (index % 256 === 0) peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    }
    await until(() => received.bytes() === 16 * 1024 * chunk.length + GREETING.length, 'all arrived');
    expect(received.digest()).toBe(hash.digest('hex'));
    // Much less than the 1,024 MiB that were sent. It includes garbage that has not been collected yet.
    expect((peakBytes - beforeBytes) / 1024 / 1024).toBeLessThan(256);
  },
  TEST_TIMEOUT_MS,
);
