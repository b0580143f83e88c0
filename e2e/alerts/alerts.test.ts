// Every alert that the charts install: its rule as Prometheus judges it, its metrics as the services show them, its runbook.
import { spawnSync } from 'node:child_process';
import { copyFileSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { ensurePromtool } from '../../testing/promtool.ts';
import { RELAY, render, TRACKER } from '../../testing/charts.ts';
import { missingOf } from '../../testing/promql.ts';
import { metricsOf } from '../../testing/series.ts';

const ROOT = join(import.meta.dirname, '../..');
const HEADINGS = ['## Meaning', '## Impact', '## Diagnosis', '## Mitigation'];
/** Least text below a heading, in characters: more than a mere word. */
const LEAST_TEXT = 30;

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
}

function names(pattern: string, extension: string): string[] {
  return globSync(pattern, { cwd: ROOT })
    .map((path) => basename(path, extension))
    .toSorted();
}

/** The rules as a chart installs them. */
async function rulesOf(chart: string): Promise<Rule[]> {
  const object = (await render(chart, { prometheusRule: { enabled: true } })).only('PrometheusRule');
  const { groups } = object['spec'] as { groups: Array<{ rules: Rule[] }> };
  return groups.flatMap(({ rules }) => rules);
}

const ALERTS = names('charts/rustory-p2p/charts/*/files/alerts/*.yaml', '.yaml');
/** Fetching promtool, the first time, takes some seconds. */
const FETCH_MS = 200_000;
let folder: string;
let rules: Rule[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rustory-alerts-'));
  rules = [...(await rulesOf(TRACKER)), ...(await rulesOf(RELAY))];
  writeFileSync(join(folder, 'rules.yaml'), stringify({ groups: [{ name: 'rustory', rules }] }));
  ensurePromtool();
  await metricsOf();
}, FETCH_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function promtool(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(ensurePromtool(), args, { cwd: folder, encoding: 'utf8' });
  return status === 0 ? '' : `${stdout}${stderr}`;
}

/** @throws when there is no rule of that name */
function ruleOf(alert: string): Rule {
  const rule = rules.find((candidate) => candidate.alert === alert);
  if (rule === undefined) throw new Error(`no rule ${alert}`);
  return rule;
}

test('every file of an alert is a rule of its name, and has a test and a runbook; none is left over', () => {
  expect(rules.map(({ alert }) => alert).toSorted()).toEqual(ALERTS);
  expect(names('e2e/alerts/*.yaml', '.yaml')).toEqual(ALERTS);
  expect(names('docs/runbooks/*.md', '.md')).toEqual(ALERTS);
});

test('Prometheus takes the rules', () => {
  expect(promtool('check', 'rules', 'rules.yaml')).toBe('');
});

describe.each(ALERTS)('%s', (alert) => {
  test('fires when it should, and not otherwise', () => {
    copyFileSync(join(import.meta.dirname, `${alert}.yaml`), join(folder, `${alert}.yaml`));
    expect(promtool('test', 'rules', `${alert}.yaml`)).toBe('');
    const cases = readFileSync(join(folder, `${alert}.yaml`), 'utf8');
    // A test that only expects silence would pass with a rule that never fires, and the other way round.
    expect(cases).toMatch(/exp_alerts: \[\]/);
    expect(cases).toMatch(/exp_labels:/);
  });

  test('reads only what the services show, of one namespace', async () => {
    expect(await missingOf(ruleOf(alert).expr)).toEqual([]);
  });

  test('says how urgent it is and what is wrong, and names its runbook', () => {
    const { labels, annotations } = ruleOf(alert);
    expect(['critical', 'warning']).toContain(labels['severity']);
    expect(annotations['summary']).not.toMatch(/\.$/);
    expect(annotations['description']).toMatch(/\.$/);
    expect(annotations['runbook_url']).toBe(
      `https://github.com/rustory/rustory-p2p/blob/main/docs/runbooks/${alert}.md`,
    );
  });

  test('has a runbook: meaning, impact, diagnosis, mitigation', () => {
    const text = readFileSync(join(ROOT, `docs/runbooks/${alert}.md`), 'utf8');
    expect(text.split('\n', 1)).toEqual([`# ${alert}`]);
    expect(text.match(/^## .*$/gm)).toEqual(HEADINGS);
    for (const section of text.split(/^## .*$/m).slice(1))
      expect(section.trim().length).toBeGreaterThan(LEAST_TEXT);
  });
});

describe('the runbooks', () => {
  const texts = globSync('docs/runbooks/*.md', { cwd: ROOT }).map((path) => ({
    path,
    text: readFileSync(join(ROOT, path), 'utf8'),
  }));

  test.each(texts)('$path asks only for metrics that the services show', async ({ text }) => {
    const known = await metricsOf();
    const named = text.match(/\b(?:rustory_(?:tracker|relay)|process|nodejs)_[a-z0-9_]+/g) ?? [];
    const isKnown = (name: string): boolean => known.has(name) || known.has(`${name}_count`);
    expect(named.filter((name) => !isKnown(name))).toEqual([]);
  });

  test.each(texts)('$path names only variables that the services have', ({ text }) => {
    const variables = readFileSync(join(ROOT, 'docs/environment.md'), 'utf8');
    const named = text.match(/\b(?:TRACKER|RELAY)_[A-Z_]+[A-Z]\b/g) ?? [];
    expect(named.filter((name) => !variables.includes(`\`${name}\``))).toEqual([]);
  });
});
