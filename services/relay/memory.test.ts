import { expect, test } from '@jest/globals';
import { relayLimits } from '../../testing/relay-config.ts';
import type { Logger } from '../shared/log.ts';
import { logMemoryNeeds } from '../shared/memory.ts';
import { memoryNeeds } from './memory.ts';

const MIB = 1024 ** 2;
const limits = relayLimits();

/** The level at which the needs of the default limits are logged. */
function levelFor(limitBytes: number | undefined): string | undefined {
  const levels: string[] = [];
  const log = { info: () => levels.push('info'), warn: () => levels.push('warn') } as unknown as Logger;
  logMemoryNeeds(log, memoryNeeds(limits), limitBytes);
  return levels.join();
}

test('the default limits cause no warning with the memory limit of the chart', () => {
  expect(levelFor(512 * MIB)).toBe('info');
});

test('the default limits cause a warning when their needs exceed the memory limit of the container', () => {
  expect(levelFor(128 * MIB)).toBe('warn');
});

test('the needs are logged without a warning when the process has no memory limit', () => {
  expect(levelFor(undefined)).toBe('info');
});

test.each([
  ['connections', 'connections'],
  ['reservations', 'reservations'],
  ['pendingConnections', 'pendingConnections'],
  ['circuits', 'circuits'],
  ['bufferedBytes', 'bufferedBytes'],
] as const)('a higher limit of %s needs more memory', (limit, need) => {
  const higher = memoryNeeds({ ...limits, [limit]: limits[limit] * 2 });
  expect(higher[need]).toBe((memoryNeeds(limits)[need] ?? 0) * 2);
});
