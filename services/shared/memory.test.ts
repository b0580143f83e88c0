import { describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import type { Logger } from './log.ts';
import { collectMemoryLimit, logMemoryNeeds } from './memory.ts';

describe('collectMemoryLimit', () => {
  test('exposes the limit in bytes', async () => {
    const registry = new Registry();
    collectMemoryLimit(registry, 268_435_456);
    expect(await registry.metrics()).toContain('process_memory_limit_bytes 268435456\n');
  });

  test('exposes nothing without a limit', () => {
    const registry = new Registry();
    collectMemoryLimit(registry, undefined);
    expect(registry.getMetricsAsArray()).toEqual([]);
  });
});

describe('logMemoryNeeds', () => {
  const needs = { connections: 100, buffers: 50 };

  function logged(limitBytes: number | undefined): Array<[level: string, fields: unknown]> {
    const entries: Array<[string, unknown]> = [];
    const log = {
      info: (fields: unknown) => entries.push(['info', fields]),
      warn: (fields: unknown) => entries.push(['warn', fields]),
    } as unknown as Logger;
    logMemoryNeeds(log, needs, limitBytes);
    return entries;
  }

  test.each([undefined, 151, 150])('logs the sum when the limit is %s bytes', (limitBytes) => {
    expect(logged(limitBytes)).toEqual([['info', { needs, totalBytes: 150, limitBytes }]]);
  });

  test('warns when the sum is above the limit', () => {
    expect(logged(149)).toEqual([['warn', { needs, totalBytes: 150, limitBytes: 149 }]]);
  });
});
