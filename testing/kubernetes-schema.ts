// Holds rendered objects against Kubernetes 1.36, as strictly as an API server with `--validate=strict`: the
// compiler finds unknown fields, wrong types and missing fields, the validators quantities and patterns.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { KubernetesObject } from './charts.ts';

const ROOT = join(import.meta.dirname, '..');

/** How long the compiler may take, in milliseconds; it takes about one second. */
const COMPILER_TIMEOUT_MS = 60_000;

const COMPILER_OPTIONS = [
  '--ignoreConfig',
  '--noEmit',
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

/** One line for everything that Kubernetes would refuse in these objects. */
export async function problemsOf(objects: readonly KubernetesObject[]): Promise<string[]> {
  const found = await Promise.all([typeProblems(objects), ...objects.map(valueProblems)]);
  return found.flat();
}

function moduleOf({ apiVersion, kind }: KubernetesObject): string {
  const isOperator = apiVersion.startsWith('monitoring.coreos.com/');
  return `${isOperator ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models'}/${apiVersion}/${kind}`;
}

/** The compiler refuses fields that a type does not have where an object is written out. */
async function typeProblems(objects: readonly KubernetesObject[]): Promise<string[]> {
  const cache = join(ROOT, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  // Below node_modules, so that the types are found and nothing of the repository is touched.
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
  const models = (await import(moduleOf(object))) as Record<string, Model>;
  const ModelOfKind = models[object.kind];
  if (ModelOfKind === undefined) return [`${object.kind} of ${object.apiVersion} is not known`];
  try {
    new ModelOfKind(object).validate();
    return [];
  } catch (error) {
    return [
      `${object.kind} ${object.metadata.name}: ${error instanceof Error ? error.message : String(error)}`,
    ];
  }
}
