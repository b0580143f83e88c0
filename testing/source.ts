// The import lines of this repository's TypeScript, for the tests of its structure.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { posix } from 'node:path';
import { ROOT } from './groups.ts';

/** The directories with code. */
export const AREAS = ['services', 'testing', 'scripts', 'e2e', 'bench'] as const;

export interface Import {
  /** The importing file, relative to the root of the repository. */
  readonly file: string;
  /** A file of this repository, relative to its root, or the specifier of a package. */
  readonly target: string;
  /** Whether the target is a file of this repository. */
  readonly isOurs: boolean;
  /** Whether the line is erased with the types. */
  readonly isTypeOnly: boolean;
}

const STATEMENT = /^(?:import|export) (?<type>type )?(?:[^;'"]*? from )?'(?<target>[^']+)'/gm;
const DYNAMIC = /\bimport\('(?<target>[^']+)'\)/g;

/** All TypeScript files below these directories, relative to the root of the repository. */
export function sourceFiles(areas: readonly string[] = AREAS): string[] {
  return globSync(
    areas.map((area) => `${area}/**/*.ts`),
    { cwd: ROOT },
  ).toSorted();
}

export function readSource(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

export function importsOf(file: string): Import[] {
  const text = readSource(file);
  return [...text.matchAll(STATEMENT), ...text.matchAll(DYNAMIC)].map(({ groups = {} }) => {
    const specifier = groups['target'] ?? '';
    const isOurs = specifier.startsWith('.') && !specifier.includes('/node_modules/');
    return {
      file,
      target: isOurs ? posix.join(posix.dirname(file), specifier) : specifier,
      isOurs,
      isTypeOnly: groups['type'] !== undefined,
    };
  });
}

/** The file and all files of this repository that it loads, directly or not. Imports of types load nothing. */
export function loadedBy(file: string, loaded = new Set<string>()): Set<string> {
  if (loaded.has(file) || !file.endsWith('.ts')) return loaded;
  loaded.add(file);
  for (const { target, isOurs, isTypeOnly } of importsOf(file))
    if (isOurs && !isTypeOnly) loadedBy(target, loaded);
  return loaded;
}

/** Whether the file is part of a test: a test file, or a suite that test files share. */
export function isTest(file: string): boolean {
  return /\.(?:test|suite)\.ts$/.test(file);
}
