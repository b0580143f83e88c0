// skaffold.yaml, the workflows and .ci/run are checked against the files, charts and scripts that they name.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import manifest from '../package.json' with { type: 'json' };
import { ROOT } from './groups.ts';

const read = (path: string): unknown => parse(readFileSync(join(ROOT, path), 'utf8'));

interface Skaffold {
  readonly build: {
    readonly artifacts: ReadonlyArray<{ image: string; context: string; docker: { dockerfile: string } }>;
  };
  readonly deploy: {
    readonly helm: {
      readonly releases: ReadonlyArray<{
        name: string;
        chartPath: string;
        setValueTemplates: Record<string, string>;
      }>;
    };
  };
}

interface ServiceValues {
  readonly image: { readonly repository: string; readonly tag: string };
}

const SERVICES = ['tracker', 'relay', 'hub'];

describe('skaffold.yaml', () => {
  const { build, deploy } = read('skaffold.yaml') as Skaffold;
  const [release] = deploy.helm.releases;

  test.each(SERVICES)('builds the image that the chart of the %s installs', (service) => {
    const { image } = read(`charts/rustory-p2p/charts/${service}/values.yaml`) as ServiceValues;
    const artifact = build.artifacts.find((candidate) => candidate.image === image.repository);
    expect(artifact?.context).toBe('.');
    expect(artifact?.docker.dockerfile).toBe(`Dockerfile.${service}`);
    expect(existsSync(join(ROOT, artifact?.docker.dockerfile ?? ''))).toBe(true);
    // Skaffold derives the names of its template variables from the name of the image.
    const variable = image.repository.replaceAll(/[^a-zA-Z0-9]/g, '_');
    expect(release?.setValueTemplates[`${service}.image.repository`]).toBe(`{{.IMAGE_REPO_${variable}}}`);
    expect(release?.setValueTemplates[`${service}.image.tag`]).toBe(`{{.IMAGE_TAG_${variable}}}`);
  });

  test('installs the umbrella chart as one release', () => {
    expect(build.artifacts).toHaveLength(SERVICES.length);
    expect(deploy.helm.releases).toHaveLength(1);
    expect((read(`${release?.chartPath}/Chart.yaml`) as { name: string }).name).toBe('rustory-p2p');
  });
});

interface Workflow {
  readonly permissions: Record<string, string>;
  readonly jobs: Record<
    string,
    {
      readonly permissions?: Record<string, string>;
      readonly 'timeout-minutes'?: number;
      readonly steps: ReadonlyArray<{ uses?: string; run?: string; with?: Record<string, unknown> }>;
    }
  >;
}

const WORKFLOWS = globSync('.github/workflows/*.yaml', { cwd: ROOT }).toSorted();

test('there is one workflow for changes and one for releases', () => {
  expect(WORKFLOWS).toEqual(['.github/workflows/ci.yaml', '.github/workflows/release.yaml']);
});

describe.each(WORKFLOWS)('%s', (path) => {
  const { permissions, jobs } = read(path) as Workflow;
  const steps = Object.values(jobs).flatMap((job) => job.steps);
  const scripts = steps.flatMap(({ run }) => run ?? []).join('\n');

  test('has read access to the repository, and write access to packages only in the job that publishes', () => {
    expect(permissions).toEqual({ contents: 'read' });
    for (const [name, job] of Object.entries(jobs))
      expect(job.permissions).toEqual(
        name === 'publish' ? { contents: 'read', packages: 'write' } : undefined,
      );
  });

  test('uses only actions of GitHub, pinned to exact versions, and keeps no credentials in the clone', () => {
    const actions = steps.flatMap(({ uses }) => uses ?? []);
    expect(actions.length).toBeGreaterThan(1);
    for (const action of actions) expect(action).toMatch(/^actions\/[a-z-]+@v\d+\.\d+\.\d+$/);
    for (const { uses, with: given } of steps)
      if (uses?.startsWith('actions/checkout') === true) expect(given?.['persist-credentials']).toBe(false);
  });

  test('has a timeout for each job', () => {
    for (const job of Object.values(jobs)) expect(job['timeout-minutes']).toBeLessThanOrEqual(60);
  });

  test('uses only npm scripts and files that exist', () => {
    for (const [, name = ''] of scripts.matchAll(/\bnpm run ([\w:-]+)/g))
      expect(Object.keys(manifest.scripts)).toContain(name);
    for (const [file] of scripts.matchAll(/\b(?:e2e|charts|scripts)\/[\w./-]+/g))
      expect([file, existsSync(join(ROOT, file))]).toEqual([file, true]);
    for (const service of SERVICES) expect(existsSync(join(ROOT, `Dockerfile.${service}`))).toBe(true);
  });

  test('does not expand expressions inside scripts, where they could inject commands', () => {
    expect(scripts).not.toContain('${{');
  });
});

test('a change runs .ci/run, builds the images and installs the charts on a cluster', () => {
  const runs = Object.values((read('.github/workflows/ci.yaml') as Workflow).jobs).map(
    (job) => job.steps.at(-1)?.run,
  );
  expect(runs).toEqual([
    '.ci/run',
    expect.stringContaining('e2e/images.sh'),
    expect.stringContaining('npm run e2e:cluster'),
  ]);
});

test('.ci/run installs the locked packages and runs all tests, only with npm scripts', () => {
  const lines = readFileSync(join(ROOT, '.ci/run'), 'utf8').trimEnd().split('\n');
  expect(lines.slice(-2)).toEqual(['npm ci --no-audit --no-fund', 'npm run test:all']);
  expect(Object.keys(manifest.scripts)).toContain('test:all');
  // The node on the path may be too old for this repository; npm scripts use the one of node_modules.
  expect(lines.filter((line) => /\bnode\b/.test(line))).toEqual([]);
});

test('a release publishes every chart', () => {
  const text = readFileSync(join(ROOT, '.github/workflows/release.yaml'), 'utf8');
  const charts = globSync('charts/rustory-p2p/**/Chart.yaml', { cwd: ROOT });
  expect(charts).toHaveLength(4);
  for (const chart of charts) expect(text).toContain(chart.replace('/Chart.yaml', ''));
});
