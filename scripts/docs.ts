// Writes the files that are generated from the code: `npm run docs`. With --check it reports stale files instead,
// and exits with code 1 if there are any.
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { format, type FormatConfig } from 'oxfmt';
import { listVariables } from '../services/peer/config/config.ts';
import { variables as relayVariables } from '../services/relay/config.ts';
import type { Variable } from '../services/shared/variables.ts';
import { createOpenApiDocument } from '../services/tracker/app.ts';
import { variables as trackerVariables } from '../services/tracker/config.ts';
import { withTable } from './chart-readme.ts';
import { withConfigSchema } from './chart-schema.ts';
import { environmentPage } from './docs-environment.ts';
import { OUTCOMES, withOutcomes } from './docs-metrics.ts';

const UMBRELLA = 'charts/rustory-p2p';
const TRACKER = `${UMBRELLA}/charts/tracker`;
const RELAY = `${UMBRELLA}/charts/relay`;
const HUB = `${UMBRELLA}/charts/hub`;

const read = (path: string): string => readFileSync(path, 'utf8');

/** The OpenAPI document exactly as the tracker serves it. */
function openApi(): string {
  return JSON.stringify(createOpenApiDocument(), undefined, 2);
}

/** The README of a chart, with the table of its values. */
function chartReadme(chart: string): string {
  return withTable(read(`${chart}/README.md`), read(`${chart}/values.yaml`));
}

/** The schema of a chart, with the variables of its service. */
function chartSchema(chart: string, variables: Record<string, Variable<unknown>>): string {
  const templates = globSync(`${chart}/templates/*`).map(read).join('\n');
  return withConfigSchema(read(`${chart}/values.schema.json`), templates, variables);
}

/** Named templates of all subcharts, because each can be installed alone. The original is in the tracker chart. */
function commonTemplates(): string {
  const note = `{{/* Copied from charts/tracker/templates/_common.tpl by \`npm run docs\`; do not edit. */}}`;
  return `${note}\n\n${read(`${TRACKER}/templates/_common.tpl`)}`;
}

/** The content of every generated file, by path. */
async function generate(): Promise<Record<string, string>> {
  const formatted: Record<string, string> = {
    'docs/openapi.json': openApi(),
    'docs/environment.md': environmentPage({ Tracker: trackerVariables, Relay: relayVariables }),
    'docs/metrics.md': withOutcomes(read('docs/metrics.md'), OUTCOMES),
    [`${TRACKER}/values.schema.json`]: chartSchema(TRACKER, trackerVariables),
    [`${RELAY}/values.schema.json`]: chartSchema(RELAY, relayVariables),
    [`${HUB}/values.schema.json`]: chartSchema(HUB, listVariables()),
  };
  for (const chart of [UMBRELLA, TRACKER, RELAY, HUB]) formatted[`${chart}/README.md`] = chartReadme(chart);
  const options = JSON.parse(read('.oxfmtrc.json')) as FormatConfig;
  const files: Record<string, string> = {};
  for (const [path, text] of Object.entries(formatted))
    files[path] = (await format(path, text, options)).code;
  for (const chart of [RELAY, HUB]) files[`${chart}/templates/_common.tpl`] = commonTemplates();
  return files;
}

const isCheck = process.argv.includes('--check');
for (const [path, text] of Object.entries(await generate())) {
  if (!isCheck) writeFileSync(path, text);
  else if (read(path) !== text) {
    process.stderr.write(`${path} is stale. Run "npm run docs".\n`);
    process.exitCode = 1;
  }
}
