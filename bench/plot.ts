// One plot for each table: a dot for each round of the first column, a line from minimum to maximum, a tick at the median.
import type { Table } from './benchmark.ts';
import type { RowResult } from './result.ts';
import { present, spread } from './statistics.ts';

const WIDTH = 760;
/** Enough for the widest letters of the labels on average, in pixels. */
const LETTER_WIDTH = 6.6;
const RIGHT = 90;
const ROW_HEIGHT = 26;
const TOP = 40;
const BOTTOM = 34;
const TICKS = 5;

/** Colors for light and dark pages; gray text is readable on both. */
const STYLE = `text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-weight:600}.axis{stroke:#8c959f;stroke-opacity:.35}
.ours{fill:#0969da;stroke:#0969da}.other{fill:#8250df;stroke:#8250df}.value{fill:#57606a}
@media(prefers-color-scheme:dark){text,.value{fill:#9198a1}.ours{fill:#4493f8;stroke:#4493f8}.other{fill:#ab7df8;stroke:#ab7df8}}`;

/** An SVG document. Rows without figures have a label only. */
export function plotOf(table: Table, rows: readonly RowResult[]): string {
  const [column] = table.columns;
  const values = rows.map((row) => present(row.values[column.key] ?? []));
  const step = tickStep(Math.max(0, ...values.flat()));
  const end = Math.max(step, Math.ceil(Math.max(0, ...values.flat()) / step) * step);
  const labelWidth = 24 + LETTER_WIDTH * Math.max(...rows.map((row) => labelOf(row).length));
  const x = (value: number): number => labelWidth + (value / end) * (WIDTH - labelWidth - RIGHT);
  const height = TOP + rows.length * ROW_HEIGHT + BOTTOM;
  const unit = column.unit === '' ? '' : `, ${column.unit}`;
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escape(table.title)}: ${escape(column.title)}${escape(unit)}</title>`,
    `<style>${STYLE}</style>`,
    `<text class="title" x="8" y="20">${escape(table.title)}: ${escape(column.title)}${escape(unit)}</text>`,
    ...ticks.map((tick) => {
      const at = x(tick).toFixed(1);
      const bottom = height - BOTTOM;
      return `<line class="axis" x1="${at}" x2="${at}" y1="${TOP - 8}" y2="${bottom}"/><text x="${at}" y="${bottom + 18}" text-anchor="middle">${short(tick)}</text>`;
    }),
    ...rows.map((row, index) =>
      rowOf(row, values[index] ?? [], TOP + index * ROW_HEIGHT + ROW_HEIGHT / 2, x),
    ),
    '</svg>',
    '',
  ].join('\n');
}

function rowOf(row: RowResult, values: readonly number[], y: number, x: (value: number) => number): string {
  const label = `<text x="${(x(0) - 12).toFixed(1)}" y="${y + 4}" text-anchor="end">${escape(labelOf(row))}</text>`;
  const figure = spread(values);
  if (figure === undefined) return label;
  const [from, to, middle] = [figure.min, figure.max, figure.median].map((value) => x(value).toFixed(1));
  const style = row.variant === 'ours' ? 'ours' : 'other';
  return [
    label,
    `<g class="${style}"><line x1="${from}" x2="${to}" y1="${y}" y2="${y}" stroke-width="2"/>`,
    ...values.map(
      (value) => `<circle cx="${x(value).toFixed(1)}" cy="${y}" r="3" stroke="none" fill-opacity=".6"/>`,
    ),
    `<line x1="${middle}" x2="${middle}" y1="${y - 8}" y2="${y + 8}" stroke-width="3"/></g>`,
    `<text class="value" x="${Number(to) + 8}" y="${y + 4}">${short(figure.median)}</text>`,
  ].join('');
}

function labelOf(row: RowResult): string {
  return row.case === '' ? row.title : `${row.case}: ${row.title}`;
}

/** A step of 1, 2 or 5 times a power of ten. */
function tickStep(max: number): number {
  if (max <= 0) return 1;
  const rough = max / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power;
}

/** Three significant digits. */
function short(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumSignificantDigits: 3 });
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
