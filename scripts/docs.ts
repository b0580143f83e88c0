// Writes the documents that are made from the code: `npm run docs`. With --check it only tells which are stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { format, type FormatConfig } from 'oxfmt';
import { variables as relayVariables } from '../services/relay/config.ts';
import type { Variable } from '../services/shared/variables.ts';
import { createTestApp } from '../testing/tracker-app.ts';
import { variables as trackerVariables } from '../services/tracker/config.ts';
import { withTable } from './chart-readme.ts';

/** The OpenAPI document exactly as the tracker serves it. */
async function openApi(): Promise<string> {
  const answer = await createTestApp().get('/openapi.json');
  return JSON.stringify(await answer.json(), undefined, 2);
}

function environment(): string {
  return [
    '# Environment variables',
    'Made from `services/*/config.ts` by `npm run docs`; do not edit. Booleans are `true` or `false`, lists are ' +
      'comma-separated, an empty variable counts as absent. All problems are reported at once, with exit code 78.',
    'The peer reads `RUSTORY_*` variables and a configuration file: see [peer.md](peer.md).',
    '## Tracker',
    table(trackerVariables),
    '## Relay',
    table(relayVariables),
    '',
  ].join('\n\n');
}

function table(variables: Record<string, Variable<unknown>>): string {
  const rows = Object.entries(variables).map(
    ([name, { fallback, doc }]) =>
      `| \`${name}\` | ${fallback === undefined || fallback === '' ? '' : `\`${fallback}\``} | ${doc.replaceAll('|', '\\|')} |`,
  );
  return ['| variable | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}

const UMBRELLA = 'charts/rustory-p2p';
const SUBCHARTS = ['tracker', 'relay'].map((name) => `${UMBRELLA}/charts/${name}`);

/** The README of a chart, with the table of its values. */
function chartReadme(chart: string): [path: string, text: string] {
  const path = `${chart}/README.md`;
  return [path, withTable(readFileSync(path, 'utf8'), readFileSync(`${chart}/values.yaml`, 'utf8'))];
}

const options = JSON.parse(readFileSync('.oxfmtrc.json', 'utf8')) as FormatConfig;
const isCheck = process.argv.includes('--check');
const documents = {
  'docs/openapi.json': await openApi(),
  'docs/environment.md': environment(),
  ...Object.fromEntries([UMBRELLA, ...SUBCHARTS].map(chartReadme)),
};
/** Each subchart can be installed alone, so each needs the named templates that they share. The original is the tracker's. */
const common = readFileSync(`${UMBRELLA}/charts/tracker/templates/_common.tpl`, 'utf8');
const copies = {
  [`${UMBRELLA}/charts/relay/templates/_common.tpl`]: `{{/* Copied from charts/tracker/templates/_common.tpl by \`npm run docs\`; do not edit. */}}\n\n${common}`,
};

let stale = 0;
for (const [path, text] of Object.entries({ ...documents, ...copies })) {
  const code = path in copies ? text : (await format(path, text, options)).code;
  if (isCheck && readOrEmpty(path) !== code) {
    process.stderr.write(`${path} is stale: run «npm run docs»\n`);
    stale += 1;
  }
  if (!isCheck) writeFileSync(path, code);
}
process.exit(stale === 0 ? 0 : 1);

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
