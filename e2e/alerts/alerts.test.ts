// The alerts of the charts: tests the rules with promtool, their metrics against running services, and their runbooks.
import { copyFileSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { attempt } from '../../testing/command.ts';
import { ensurePromtool } from '../../testing/promtool.ts';
import { HUB, RELAY, render, TRACKER, UMBRELLA, valueAt } from '../../testing/charts.ts';
import { missingOf } from '../../testing/promql.ts';
import { metricsOf } from '../../testing/series.ts';

const ROOT = join(import.meta.dirname, '../..');
const HEADINGS = ['## Meaning', '## Impact', '## Diagnosis', '## Mitigation'];
/** Minimum characters of a section of a runbook, so that a placeholder is not sufficient. */
const MIN_SECTION_LENGTH = 30;

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

function valuesOf(chart: string): unknown {
  return parse(readFileSync(join(ROOT, chart, 'values.yaml'), 'utf8'));
}

/** The rules of a chart, as installed. */
async function rulesOf(chart: string): Promise<Rule[]> {
  const object = (await render(chart, { prometheusRule: { enabled: true } })).only('PrometheusRule');
  const { groups } = object['spec'] as { groups: Array<{ rules: Rule[] }> };
  return groups.flatMap(({ rules }) => rules);
}

const ALERTS = names('charts/rustory-p2p/charts/*/files/alerts/*.yaml', '.yaml');
/** Deadline of the setup in milliseconds: the first run downloads promtool and Helm, and the services start. */
const SETUP_TIMEOUT_MS = 240_000;
let directory: string;
let rules: Rule[];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'rustory-alerts-'));
  rules = [...(await rulesOf(TRACKER)), ...(await rulesOf(RELAY)), ...(await rulesOf(HUB))];
  writeFileSync(join(directory, 'rules.yaml'), stringify({ groups: [{ name: 'rustory', rules }] }));
  await ensurePromtool();
  await metricsOf();
}, SETUP_TIMEOUT_MS);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The output of promtool if it fails, otherwise an empty text. */
async function promtool(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await attempt(await ensurePromtool(), args, { cwd: directory });
  return code === 0 ? '' : `${stdout}${stderr}`;
}

/** @throws Error when there is no rule of that name. */
function ruleOf(alert: string): Rule {
  const rule = rules.find((candidate) => candidate.alert === alert);
  if (rule === undefined) throw new Error(`There is no rule with the name ${alert}.`);
  return rule;
}

test('alerts, their tests and their runbooks match one to one', () => {
  expect(rules.map(({ alert }) => alert).toSorted()).toEqual(ALERTS);
  expect(names('e2e/alerts/*.yaml', '.yaml')).toEqual(ALERTS);
  expect(names('docs/runbooks/*.md', '.md')).toEqual(ALERTS);
});

test('promtool accepts the rules', async () => {
  expect(await promtool('check', 'rules', 'rules.yaml')).toBe('');
});

describe.each(ALERTS)('%s', (alert) => {
  test('fires and does not fire as its test expects', async () => {
    copyFileSync(join(import.meta.dirname, `${alert}.yaml`), join(directory, `${alert}.yaml`));
    expect(await promtool('test', 'rules', `${alert}.yaml`)).toBe('');
    const cases = readFileSync(join(directory, `${alert}.yaml`), 'utf8');
    // A test must contain both: otherwise it would pass with a rule that never fires or that always fires.
    expect(cases).toMatch(/exp_alerts: \[\]/);
    expect(cases).toMatch(/exp_labels:/);
  });

  test('queries only metrics that the services expose, of one release', async () => {
    expect(await missingOf(ruleOf(alert).expr)).toEqual([]);
  });

  test('has a severity, a summary, a description and the URL of its runbook', () => {
    const { labels, annotations } = ruleOf(alert);
    expect(['critical', 'warning']).toContain(labels['severity']);
    expect(annotations['summary']).not.toMatch(/\.$/);
    expect(annotations['description']).toMatch(/\.$/);
    expect(annotations['runbook_url']).toBe(
      `https://github.com/rustory/rustory-p2p/blob/main/docs/runbooks/${alert}.md`,
    );
  });

  test('has a runbook with meaning, impact, diagnosis and mitigation', () => {
    const text = readFileSync(join(ROOT, `docs/runbooks/${alert}.md`), 'utf8');
    expect(text.split('\n', 1)).toEqual([`# ${alert}`]);
    expect(text.match(/^## .*$/gm)).toEqual(HEADINGS);
    for (const section of text.split(/^## .*$/m).slice(1))
      expect(section.trim().length).toBeGreaterThan(MIN_SECTION_LENGTH);
  });
});

describe('the runbooks', () => {
  const texts = globSync('docs/runbooks/*.md', { cwd: ROOT }).map((path) => ({
    path,
    text: readFileSync(join(ROOT, path), 'utf8'),
  }));

  test.each(texts)('$path contains only metrics that the services expose', async ({ text }) => {
    const known = await metricsOf();
    const mentioned = text.match(/\b(?:rustory_(?:tracker|relay|hub)|process|nodejs)_[a-z0-9_]+/g) ?? [];
    const isKnown = (name: string): boolean => known.has(name) || known.has(`${name}_count`);
    expect(mentioned.filter((name) => !isKnown(name))).toEqual([]);
  });

  test.each(texts)('$path contains only label values that the services expose', async ({ text }) => {
    const known = await metricsOf();
    const unknown = [...text.matchAll(/\b(rustory_\w+)\{(\w+)="([^"]+)"/g)].filter(
      ([, metric = '', label = '', value = '']) => !known.get(metric)?.get(label)?.has(value),
    );
    expect(unknown.map(([expression]) => expression)).toEqual([]);
  });

  test.each(texts)('$path contains only values of the charts', ({ text }) => {
    const named = [...text.matchAll(/`(tracker|relay|hub|redis)((?:\.\w+)+)`/g)];
    const unknown = named.filter(([, chart = '', path = '']) => {
      const values =
        chart === 'redis'
          ? valueAt(valuesOf(UMBRELLA), 'redis')
          : valuesOf({ tracker: TRACKER, hub: HUB }[chart] ?? RELAY);
      return valueAt(values, ...path.split('.').slice(1)) === undefined;
    });
    expect(unknown.map(([value]) => value)).toEqual([]);
  });

  test.each(texts)('$path contains only variables of the services', ({ text }) => {
    const variables = readFileSync(join(ROOT, 'docs/environment.md'), 'utf8');
    const mentioned = text.match(/\b(?:TRACKER|RELAY)_[A-Z_]+[A-Z]\b/g) ?? [];
    expect(mentioned.filter((name) => !variables.includes(`\`${name}\``))).toEqual([]);
  });
});
