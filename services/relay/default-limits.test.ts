import { describe, expect, test } from '@jest/globals';
import { RESOURCES } from '../../testing/relay-config.ts';
import { fileDescriptorWarning, readResources, withDefaultLimits } from './default-limits.ts';
import { memoryNeeds, type SizedLimits } from './memory.ts';

const MIB = 1024 ** 2;
const BUFFERED_BYTES = 32 * MIB;
const UNSET = {
  reservations: undefined,
  connections: undefined,
  pendingConnections: undefined,
  circuits: undefined,
};

function defaults(memoryMiB: number, fileDescriptors?: number): SizedLimits {
  const resources = { ...RESOURCES, memoryBytes: memoryMiB * MIB, fileDescriptors };
  return withDefaultLimits(UNSET, BUFFERED_BYTES, resources);
}

function neededBytes(limits: SizedLimits): number {
  const needs = memoryNeeds({ ...limits, bufferedBytes: BUFFERED_BYTES });
  return Object.values(needs).reduce((sum, bytes) => sum + bytes, 0);
}

describe('the default limits', () => {
  test.each([
    { memoryMiB: 256, reservations: 1408 },
    { memoryMiB: 512, reservations: 4544 },
    { memoryMiB: 1024, reservations: 10_944 },
    { memoryMiB: 1536, reservations: 16_384 },
  ])(
    'permit $reservations reservations with $memoryMiB MiB, and fit into it',
    ({ memoryMiB, reservations }) => {
      const limits = defaults(memoryMiB);
      expect(limits).toEqual({
        reservations,
        connections: 2 * reservations,
        pendingConnections: reservations,
        circuits: reservations / 4,
      });
      expect(neededBytes(limits)).toBeLessThan(memoryMiB * MIB);
    },
  );

  test('are small with too little memory, which causes a warning at start', () => {
    const limits = defaults(64);
    expect(limits).toEqual({ reservations: 64, connections: 128, pendingConnections: 64, circuits: 16 });
    expect(neededBytes(limits)).toBeGreaterThan(64 * MIB);
  });

  test('have a maximum', () => {
    expect(defaults(32 * 1024).reservations).toBe(16_384);
  });

  test('leave file descriptors for what the process opens besides connections', () => {
    const { connections, pendingConnections } = defaults(512, 4096);
    expect(connections + pendingConnections).toBeLessThanOrEqual(4096 - 256);
    expect(connections).toBeGreaterThan(2000);
  });

  test('share the memory that a limit leaves which is set', () => {
    const more = withDefaultLimits({ ...UNSET, circuits: 16 }, BUFFERED_BYTES, RESOURCES);
    const fewer = withDefaultLimits({ ...UNSET, circuits: 1024 }, BUFFERED_BYTES, RESOURCES);
    expect([more.circuits, fewer.circuits]).toEqual([16, 1024]);
    expect(more.reservations).toBeGreaterThan(fewer.reservations);
    expect(neededBytes(fewer)).toBeLessThan(RESOURCES.memoryBytes);
  });

  test('follow from the reservations if these are set', () => {
    expect(withDefaultLimits({ ...UNSET, reservations: 1000 }, BUFFERED_BYTES, RESOURCES)).toEqual({
      reservations: 1000,
      connections: 2000,
      pendingConnections: 1000,
      circuits: 250,
    });
  });
});

test('limits that need more file descriptors than the process may open cause a warning', () => {
  const limits = defaults(512);
  expect(fileDescriptorWarning(limits, { ...RESOURCES, fileDescriptors: 1024 })).toBe(
    'RELAY_MAX_CONNECTIONS=9088 and RELAY_MAX_PENDING_CONNECTIONS=4544 need 13888 file descriptors, and the process may open 1024; raise its limit of open files (ulimit -n, LimitNOFILE of systemd) or lower both.',
  );
  expect(fileDescriptorWarning(limits, { ...RESOURCES, fileDescriptors: 13_888 })).toBeUndefined();
  expect(fileDescriptorWarning(limits, RESOURCES)).toBeUndefined();
});

test('the resources of this process are known', () => {
  const { memoryBytes, memoryOf } = readResources();
  expect(memoryBytes).toBeGreaterThan(64 * MIB);
  expect(['container', 'machine', 'heap']).toContain(memoryOf);
});
