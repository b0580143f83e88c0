// The import rule of ARCHITECTURE.md: who may import whom. It reads the import lines and nothing else.
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const SERVICES = join(import.meta.dirname, '..', 'services');

const imports = globSync(join(SERVICES, '**/*.ts')).flatMap((path) => {
  const file = relative(SERVICES, path);
  const lines = readFileSync(path, 'utf8').matchAll(/^(?:import|export)\b[^;]*?from '([^']+)'/gm);
  return [...lines].map(([, target = '']) => ({
    file,
    room: file.split('/')[0] ?? '',
    isTest: /\.(test|testing|suite)\.ts$/.test(file) || basename(file) === 'testing.ts',
    // One of our rooms, or the name of a package.
    target: target.startsWith('.') ? relative(SERVICES, join(dirname(path), target)) : target,
    isOurs: target.startsWith('.'),
  }));
});
const shipped = imports.filter(({ isTest }) => !isTest);

/** The import lines that break a rule, each as «file imports target». */
function breaches(breaks: (line: (typeof imports)[number]) => boolean): string[] {
  return shipped.filter(breaks).map(({ file, target }) => `${file} imports ${target}`);
}

describe('the import rule', () => {
  test.each([
    { room: 'shared', may: ['shared', '..'] },
    { room: 'swarm', may: ['swarm', 'shared'] },
    { room: 'tracker', may: ['tracker', 'shared'] },
    { room: 'relay', may: ['relay', 'swarm', 'shared'] },
    { room: 'peer', may: ['peer', 'swarm', 'shared'] },
  ])('$room imports of ours only $may', ({ room, may }) => {
    expect(shipped.some((line) => line.room === room)).toBe(true);
    expect(
      breaches((line) => line.room === room && line.isOurs && !may.includes(line.target.split('/')[0] ?? '')),
    ).toEqual([]);
  });

  test('nobody imports main', () => {
    expect(breaches(({ target }) => basename(target) === 'main.ts')).toEqual([]);
  });

  test('only swarm, relay and peer import libp2p', () => {
    const rooms = new Set(['swarm', 'relay', 'peer']);
    expect(breaches(({ room, target }) => /^(@libp2p\/|libp2p$)/.test(target) && !rooms.has(room))).toEqual(
      [],
    );
  });

  test.each([
    {
      what: 'hono',
      pattern: /^(hono|@hono\/)/,
      files: ['shared/ops.ts', 'tracker/app.ts', 'tracker/auth.ts'],
    },
    { what: 'ioredis', pattern: /^ioredis/, files: ['tracker/registry.redis.ts'] },
  ])('only $files import $what', ({ pattern, files }) => {
    expect(breaches(({ file, target }) => pattern.test(target) && !files.includes(file))).toEqual([]);
  });
});

test('only config.ts reads the environment, which main.ts may hand to it', () => {
  const allowed = new Set(['config.ts', 'main.ts']);
  const others = globSync(join(SERVICES, '**/*.ts')).filter(
    (path) => !allowed.has(basename(path)) && /process\.env\b/.test(readFileSync(path, 'utf8')),
  );
  expect(others).toEqual([]);
});

test('every main is a recipe of at most 50 lines', () => {
  for (const service of ['tracker', 'relay', 'peer']) {
    const lines = readFileSync(join(SERVICES, service, 'main.ts'), 'utf8')
      .trimEnd()
      .split('\n');
    expect([service, lines.length <= 50]).toEqual([service, true]);
  }
});
