// Checks the text of the Dockerfiles. `npm run e2e:images` builds them and runs the images.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import manifest from '../../package.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '../..');
const DOCKERFILES = globSync('Dockerfile.*', { cwd: ROOT }).toSorted();

interface Instruction {
  readonly name: string;
  readonly value: string;
}

/** The instructions of a Dockerfile, with continued lines joined. */
function parse(file: string): Instruction[] {
  const text = readFileSync(join(ROOT, file), 'utf8').replaceAll(/\\\n\s*/g, '');
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', value = ''] = /^([A-Z]+) (.+)$/.exec(line) ?? [];
      return { name, value };
    });
}

/** Whether `.dockerignore` sends a path to the build. */
function isSent(path: string): boolean {
  const rules = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  let sent = true;
  for (const rule of rules) {
    const pattern = rule.replace(/^!/, '');
    if (matchesGlob(path, pattern) || path.startsWith(`${pattern}/`) || pattern === '*')
      sent = rule.startsWith('!');
  }
  return sent;
}

test('tracker, relay and hub have a Dockerfile', () => {
  expect(DOCKERFILES).toEqual(['Dockerfile.hub', 'Dockerfile.relay', 'Dockerfile.tracker']);
});

describe.each(DOCKERFILES)('%s', (file) => {
  const service = file.replace('Dockerfile.', '');
  const instructions = parse(file);
  const values = (name: string): string[] =>
    instructions.filter((instruction) => instruction.name === name).map(({ value }) => value);

  test('uses only known instructions and no health check', () => {
    const known = new Set([
      'ARG',
      'FROM',
      'WORKDIR',
      'COPY',
      'RUN',
      'LABEL',
      'ENV',
      'USER',
      'EXPOSE',
      'ENTRYPOINT',
    ]);
    expect(instructions.filter(({ name }) => !known.has(name))).toEqual([]);
  });

  test('takes its base image as an argument whose default is the Node version of the tests', () => {
    expect(instructions[0]).toEqual({ name: 'ARG', value: 'BASE=node:26-slim' });
    expect(values('FROM')).toEqual(['--platform=$BUILDPLATFORM ${BASE} AS build', '${BASE}']);
    for (const version of Object.values(manifest.optionalDependencies)) expect(version).toMatch(/^\^26\./);
  });

  test('installs exactly the versions of the lock file', () => {
    expect(values('RUN')[0]).toBe('npm ci --no-audit --no-fund');
  });

  test('runs as an unprivileged user, with Node as the process that gets the signals', () => {
    expect(values('USER')).toEqual(['65532:65532']);
    const command = service === 'hub' ? '"/app/peer.js", "hub"' : `"/app/${service}.js"`;
    expect(values('ENTRYPOINT')).toEqual([`["node", ${command}]`]);
  });

  test('has the version of the package', () => {
    expect(values('ARG')).toContain(`VERSION=${manifest.version}`);
  });

  test('copies only files that exist and that are sent to the build', () => {
    const sources = values('COPY')
      .filter((value) => !value.startsWith('--from=build'))
      .flatMap((value) => value.split(' ').slice(0, -1));
    expect(sources.length).toBeGreaterThan(3);
    for (const source of sources) {
      expect([source, existsSync(join(ROOT, source))]).toEqual([source, true]);
      expect([source, isSent(source)]).toEqual([source, true]);
    }
  });

  test('exposes the ports of the service and of its ops server', () => {
    const files =
      service === 'hub'
        ? ['peer/config/hub-settings.ts', 'peer/hub/configuration.ts']
        : [`${service}/config.ts`];
    const text = files.map((path) => readFileSync(join(ROOT, 'services', path), 'utf8')).join('\n');
    const [exposed = ''] = values('EXPOSE');
    for (const port of exposed.split(' ')) expect(text).toMatch(new RegExp(`[:/']${port}'`));
  });
});

test('only source files are sent to a build', () => {
  expect(isSent('services/relay/main.ts')).toBe(true);
  for (const path of ['.git/config', 'node_modules/zod/package.json', '.rustory/swarm.key', 'README.md'])
    expect([path, isSent(path)]).toEqual([path, false]);
  expect(isSent('services/relay/hop.test.ts')).toBe(false);
});
