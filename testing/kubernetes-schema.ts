// Validates rendered objects against Kubernetes 1.36, as strictly as an API server with `--validate=strict`: the
// TypeScript compiler finds unknown fields, wrong types and missing fields, validators check quantities and patterns.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { KubernetesObject } from './charts.ts';

const ROOT = join(import.meta.dirname, '..');

/** Deadline of the compiler in milliseconds. It takes about one second. */
const COMPILER_TIMEOUT_MS = 120_000;

const COMPILER_OPTIONS = [
  '--ignoreConfig',
  '--noEmit',
  '--allowImportingTsExtensions',
  '--strict',
  '--module',
  'nodenext',
  '--target',
  'esnext',
  '--types',
  'node',
];

interface Model {
  new (object: KubernetesObject): { validate(): void };
}

/** One line for each problem that Kubernetes would report about these objects. */
export async function problemsOf(objects: readonly KubernetesObject[]): Promise<string[]> {
  const found = await Promise.all([typeProblems(objects), ...objects.map(valueProblems)]);
  return found.flat();
}

function moduleOf({ apiVersion, kind }: KubernetesObject): string {
  if (apiVersion.startsWith('cert-manager.io/')) return join(ROOT, 'testing/cert-manager.ts');
  const isOperator = apiVersion.startsWith('monitoring.coreos.com/');
  return `${isOperator ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models'}/${apiVersion}/${kind}`;
}

/** The compiler rejects unknown fields in object literals. */
async function typeProblems(objects: readonly KubernetesObject[]): Promise<string[]> {
  const cache = join(ROOT, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  // Below node_modules, so that the compiler finds the types and git ignores the file.
  const folder = mkdtempSync(join(cache, 'rustory-objects-'));
  try {
    const lines = objects.map(
      (object) =>
        `(${JSON.stringify(object)}) satisfies import(${JSON.stringify(moduleOf(object))}).I${object.kind};`,
    );
    writeFileSync(join(folder, 'objects.ts'), `${lines.join('\n')}\nexport {};\n`);
    return await compile(join(folder, 'objects.ts'), objects);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function compile(path: string, objects: readonly KubernetesObject[]): Promise<string[]> {
  try {
    const tsc = join(ROOT, 'node_modules/.bin/tsc');
    await promisify(execFile)(tsc, [...COMPILER_OPTIONS, '--pretty', 'false', path], {
      timeout: COMPILER_TIMEOUT_MS,
    });
    return [];
  } catch (error) {
    const { stdout = '' } = error as { stdout?: string };
    const lines = stdout.split('\n').filter((line) => /\(\d+,\d+\): error/.test(line));
    if (lines.length === 0) throw error;
    return lines.map((line) => {
      const [, number = '0', reason = line] = /\((\d+),\d+\): error \w+: (.*)/.exec(line) ?? [];
      const object = objects[Number(number) - 1];
      return `${object?.kind} ${object?.metadata.name}: ${reason}`;
    });
  }
}

async function valueProblems(object: KubernetesObject): Promise<string[]> {
  // The types of cert-manager have no validators.
  if (object.apiVersion.startsWith('cert-manager.io/')) return [];
  const models = (await import(moduleOf(object))) as Record<string, Model>;
  const ModelOfKind = models[object.kind];
  if (ModelOfKind === undefined) return [`${object.kind} of ${object.apiVersion} is an unknown kind.`];
  try {
    new ModelOfKind(object).validate();
    return [];
  } catch (error) {
    return [
      `${object.kind} ${object.metadata.name}: ${error instanceof Error ? error.message : String(error)}`,
    ];
  }
}
