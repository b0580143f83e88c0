import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { collectMemoryLimit } from './memory.ts';

test('the memory limit of the process is shown in bytes, and nothing where there is none', async () => {
  const limited = new Registry();
  collectMemoryLimit(limited, 268_435_456);
  expect(await limited.metrics()).toContain('process_memory_limit_bytes 268435456\n');
  const free = new Registry();
  collectMemoryLimit(free, undefined);
  expect(free.getMetricsAsArray()).toEqual([]);
});
