// Tests the import rules of ARCHITECTURE.md with the import lines of all files, including tests.
import { basename } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import manifest from '../package.json' with { type: 'json' };
import { AREAS, type Import, importsOf, isTest, loadedBy, readSource, sourceFiles } from './source.ts';

const files = sourceFiles();
const imports = files.flatMap(importsOf);

/** The directories of this repository that code of a directory may import. */
const AREA_RULES = {
  services: ['services'],
  scripts: ['scripts', 'services'],
  testing: ['testing', 'scripts', 'services'],
  e2e: ['e2e', 'testing', 'scripts', 'services'],
  bench: ['bench', 'e2e', 'testing', 'scripts', 'services'],
} as const satisfies Record<(typeof AREAS)[number], readonly string[]>;

/** The modules of `services` that a module may import in addition to itself. */
const SERVICE_RULES: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  wire: ['shared'],
  'private-network': ['shared', 'wire'],
  tracker: ['shared'],
  relay: ['private-network', 'shared', 'wire'],
  peer: ['private-network', 'shared', 'wire'],
};

/**
 * The modules of `services/peer` that a module may import in addition to itself; `main.ts` is the entry point. Tests of
 * the core (all modules except `cli`) may import all its modules.
 */
const PEER_RULES: Readonly<Record<string, readonly string[]>> = {
  network: [],
  history: [],
  config: ['network'],
  discovery: ['history', 'network'],
  sync: ['discovery', 'history', 'network'],
  hub: ['config', 'discovery', 'history', 'network', 'sync'],
  cli: ['config', 'discovery', 'history', 'hub', 'network', 'sync'],
  'main.ts': ['cli', 'config'],
};

/** The import lines that break a rule, as `FILE imports TARGET`. */
function violations(isAllowed: (line: Import) => boolean, lines: readonly Import[] = imports): string[] {
  return lines.filter((line) => !isAllowed(line)).map(({ file, target }) => `${file} imports ${target}`);
}

/** The import lines of files below a directory whose target is in a directory of this repository. */
function importsIn(directory: string): Import[] {
  return imports.filter(
    ({ file, target, isOurs }) => isOurs && target.includes('/') && file.startsWith(`${directory}/`),
  );
}

/** The name below a directory: `relay` for `services/relay/hop.ts` below `services`; `undefined` outside of it. */
function moduleIn(directory: string, file: string): string | undefined {
  return file.startsWith(`${directory}/`) ? file.slice(directory.length + 1).split('/')[0] : undefined;
}

/** Returns the imports between the modules of a directory that the rules do not allow. */
function checkModules(
  directory: string,
  rules: Readonly<Record<string, readonly string[]>>,
  isExempt: (file: string, to: string) => boolean = () => false,
): string[] {
  return violations(({ file, target }) => {
    const [from, to] = [moduleIn(directory, file) ?? '', moduleIn(directory, target)];
    return to === undefined || from === to || rules[from]?.includes(to) === true || isExempt(file, to);
  }, importsIn(directory));
}

describe('the import rules', () => {
  test.each(AREAS)('%s imports only the directories that it may', (area) => {
    const allowed: readonly string[] = AREA_RULES[area];
    expect(
      violations(({ file, target }) => {
        const to = target.split('/')[0] ?? '';
        return allowed.includes(to) || (to === 'testing' && area === 'services' && isTest(file));
      }, importsIn(area)),
    ).toEqual([]);
  });

  test('source and scripts never import a test', () => {
    expect(violations(({ file, target }) => isTest(file) || !isTest(target))).toEqual([]);
  });

  test('services import only the services below them', () => {
    expect(checkModules('services', SERVICE_RULES)).toEqual([]);
  });

  test('the modules of the peer import only the modules below them', () => {
    expect(checkModules('services/peer', PEER_RULES, (file, to) => isTest(file) && to !== 'cli')).toEqual([]);
  });

  test.each([
    ['services', SERVICE_RULES],
    ['services/peer', PEER_RULES],
  ])('every module of %s has a rule', (directory, rules) => {
    const modules = new Set(files.flatMap((file) => moduleIn(directory, file) ?? []));
    expect([...modules].toSorted()).toEqual(Object.keys(rules).toSorted());
  });

  test('nothing imports a main', () => {
    expect(violations(({ target, isOurs }) => !isOurs || basename(target) !== 'main.ts')).toEqual([]);
  });

  test.each([
    {
      packages: /^(?:hono|@hono\/)/,
      importers:
        /^services\/(?:shared\/(?:app-server|http-server)|tracker\/(?:app|hot-calls|auth|handlers(?:\/[\w-]+)?))(?:\.test)?\.ts$/,
    },
    {
      packages: /^ioredis/,
      importers: /^(?:services\/tracker\/registry\/redis-[\w.-]+|testing\/redis[\w-]*|e2e\/.*)\.ts$/,
    },
    {
      packages: /^(?:@libp2p\/|libp2p$)/,
      // The layers of `services/wire` are tested against the stock ones.
      importers:
        /^(?:(?:services\/(?:private-network|relay|peer)|testing|e2e|bench)\/|services\/wire\/.*\.test\.ts$)/,
    },
  ])('$packages is imported only by $importers', ({ packages, importers }) => {
    expect(violations(({ file, target }) => !packages.test(target) || importers.test(file))).toEqual([]);
  });
});

test('the endpoints of the benchmarks share no code with what is measured, nor with libp2p', () => {
  expect(
    violations(
      ({ target, isOurs }) =>
        isOurs
          ? target.startsWith('bench/endpoints/')
          : !/^(?:@|libp2p)/.test(target) || target === '@jest/globals',
      importsIn('bench/endpoints').concat(
        imports.filter(({ file, isOurs }) => !isOurs && file.startsWith('bench/endpoints/')),
      ),
    ),
  ).toEqual([]);
});

test('services load only packages that are dependencies; tests may load others', () => {
  const packages = Object.keys(manifest.dependencies);
  expect(
    violations(
      ({ file, target, isOurs, isTypeOnly }) =>
        isOurs ||
        isTypeOnly ||
        isTest(file) ||
        target.startsWith('node:') ||
        packages.some((name) => target === name || target.startsWith(`${name}/`)),
      imports.filter(({ file }) => file.startsWith('services/')),
    ),
  ).toEqual([]);
});

/** What reference devices, attacks, and programs with them consist of. */
const REFERENCES =
  /^(?:testing\/(?:stock-[\w-]+|load-devices|push-client|rr-device|attacks|hostile-pushes|hub-pusher|programs\/(?!restoring)[\w-]+)|e2e\/(?:interop\/js|load)\/[\w-]+)\.ts$/;

test('the reference devices load no code of the layers that are tested against them', () => {
  const loaded = files
    .filter((file) => REFERENCES.test(file))
    .flatMap((file) => [...loadedBy(file)].map((target) => ({ file, target })));
  expect(loaded.length).toBeGreaterThan(0);
  expect(
    loaded
      .filter(({ target }) => /^services\/(?:wire|private-network\/adapters|relay)\//.test(target))
      .map(({ file, target }) => `${file} loads ${target}`),
  ).toEqual([]);
});

describe('every file of services', () => {
  const services = sourceFiles(['services']);

  test('reads process.env only in config.ts, or in main.ts, which passes it to config.ts', () => {
    const readers = services.filter((file) => !isTest(file) && /\bprocess\.env\b/.test(readSource(file)));
    expect(readers.filter((file) => !['main.ts', 'config.ts'].includes(basename(file)))).toEqual([]);
  });

  test.each([
    { what: 'main.ts', isMeant: (file: string) => basename(file) === 'main.ts', max: 50 },
    { what: 'file', isMeant: () => true, max: 300 },
  ])('has at most $max lines: $what', ({ isMeant, max }) => {
    const long = services
      .filter(isMeant)
      .map((file) => ({ file, lines: readSource(file).trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > max);
    expect(long).toEqual([]);
  });
});
