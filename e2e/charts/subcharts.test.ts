// The umbrella chart has no own templates `rustory.*`. It must render with any combination of enabled subcharts, and
// each subchart must render separately, from a directory and from an archive.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  CHARTS,
  helm,
  type Release,
  render,
  renderError,
  UMBRELLA,
  type Values,
} from '../../testing/charts.ts';

const directory = mkdtempSync(join(tmpdir(), 'rustory-charts-'));

beforeAll(async () => {
  for (const chart of CHARTS)
    expect(await helm(['package', chart, `--destination=${directory}`])).toMatchObject({ code: 0 });
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Kinds and names of all objects. */
function inventory({ objects }: Release): string[] {
  return objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`).toSorted();
}

test.each<[string, Values, RegExp]>([
  ['both subcharts', {}, /^(tracker|relay|redis|network-test)/],
  ['only the tracker', { relay: { enabled: false } }, /^(tracker|redis)/],
  ['only the relay', { tracker: { enabled: false } }, /^relay/],
])('the umbrella renders with %s', async (_, values, expected) => {
  const { objects, notes } = await render(UMBRELLA, values);
  expect(objects.length).toBeGreaterThan(0);
  for (const { metadata } of objects) expect(metadata.name.replace('rustory-', '')).toMatch(expected);
  expect(notes).toContain('config.toml');
});

test('the umbrella refuses to install nothing, and names the values to change', async () => {
  const error = await renderError(UMBRELLA, { tracker: { enabled: false }, relay: { enabled: false } });
  expect(error).toContain('tracker.enabled and relay.enabled are both false');
  expect(error).toContain('Set one of them to true.');
});

test.each(CHARTS)('%s renders the same objects from an archive as from its directory', async (chart) => {
  const archive = readdirSync(directory).find((name) => name.startsWith(`${basename(chart)}-`)) ?? '';
  expect(inventory(await render(chart, {}, join(directory, archive)))).toEqual(
    inventory(await render(chart)),
  );
});
