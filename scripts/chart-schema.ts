// The schema of `config` in a chart, generated from the variables of the service. Helm then rejects an unknown
// variable, a wrong type and a value out of bounds before anything is installed.
import type { Variable } from '../services/shared/variables.ts';

/** A JSON Schema. */
type Schema = Readonly<Record<string, unknown>>;

/** Maximum length of the text of one variable, in characters; the same limit as in the services. */
const MAX_TEXT_LENGTH = 8192;

/**
 * Variables that contradict what the charts set: one key file for all replicas, addresses that only this pod can reach,
 * and for hubs, which are devices, a token in clear text, and settings that a hub does not use.
 */
const EXCLUDED = new Set([
  'RELAY_LOCAL',
  'RELAY_IDENTITY_KEY_FILE',
  'RELAY_IDENTITY_ORDINAL',
  'RUSTORY_TRACKER_TOKEN',
  'RUSTORY_P2P_IDENTITY_KEY_PATH',
  'RUSTORY_P2P_WATCH_START_JITTER_SEC',
  'RUSTORY_RECORD_IGNORE_REGEX',
]);

/** Ports that probes and Services of the charts depend on; the rest of the address is free. */
const PATTERNS: Readonly<Record<string, string>> = {
  TRACKER_LISTEN: ':8850$',
  TRACKER_OPS_LISTEN: ':9090$',
  RELAY_LISTEN: '/tcp/4001(,|$)',
  RELAY_OPS_LISTEN: ':9091$',
  RUSTORY_LISTEN: '/tcp/4002(,|$)',
};

/**
 * Replaces `properties.config` of a chart's schema.
 *
 * @param schemaText content of `values.schema.json`
 * @param templates content of the chart's templates; a variable that they set is not accepted in `config`
 */
export function withConfigSchema(
  schemaText: string,
  templates: string,
  variables: Readonly<Record<string, Variable<unknown>>>,
): string {
  const schema = JSON.parse(schemaText) as { properties: Record<string, unknown> };
  const accepted = Object.keys(variables)
    .filter((name) => !EXCLUDED.has(name) && !new RegExp(`name: ${name}\\b`).test(templates))
    .toSorted();
  const properties: Record<string, Schema> = {};
  for (const name of accepted)
    properties[name] = valueSchema(variables[name] as Variable<unknown>, PATTERNS[name]);
  schema.properties['config'] = {
    $comment: 'Generated from the variables of the service by npm run docs; do not edit.',
    type: 'object',
    additionalProperties: false,
    properties,
  };
  return JSON.stringify(schema, undefined, 2);
}

/** Accepts typed values and texts, because `--set-string` and many values files write texts. */
function valueSchema({ schema }: Variable<unknown>, pattern: string | undefined): Schema {
  if (schema.type === 'boolean') return { enum: [true, false, 'true', 'false'] };
  if (schema.type === 'integer') {
    const { minimum, maximum } = schema;
    return { anyOf: [schema, { type: 'string', pattern: `^(${decimalPattern(minimum, maximum)})$` }] };
  }
  if (schema.enum !== undefined) return { enum: schema.enum };
  return { type: 'string', maxLength: MAX_TEXT_LENGTH, ...(pattern !== undefined && { pattern }) };
}

/**
 * A regular expression for the decimal numbers from `min` to `max`, inclusive, without leading zeros. If the
 * maximum is the largest safe integer, all numbers of this length match, and the service rejects larger ones.
 */
export function decimalPattern(min: number, max: number): string {
  const alternatives: string[] = [];
  const shortest = String(min).length;
  const longest = String(max).length;
  for (let length = shortest; length <= longest; length += 1) {
    const low = length === shortest ? String(min) : `1${'0'.repeat(length - 1)}`;
    const isFull = length < longest || max === Number.MAX_SAFE_INTEGER;
    alternatives.push(...betweenNumbers(low, isFull ? '9'.repeat(length) : String(max)));
  }
  return alternatives.join('|');
}

/** Alternatives for the numbers between two numbers of the same length. */
function betweenNumbers(low: string, high: string): string[] {
  const lowDigit = low.charAt(0);
  const highDigit = high.charAt(0);
  const lowRest = low.slice(1);
  const highRest = high.slice(1);
  if (low === high) return [low];
  const isLowFull = /^0*$/.test(lowRest);
  const isHighFull = /^9*$/.test(highRest);
  if (isLowFull && isHighFull) return [`${digits(lowDigit, highDigit)}${anyDigits(lowRest.length)}`];
  if (lowDigit === highDigit) return betweenNumbers(lowRest, highRest).map((rest) => `${lowDigit}${rest}`);
  // The first digits whose remaining digits are free, between the two that are not.
  const from = isLowFull ? Number(lowDigit) : Number(lowDigit) + 1;
  const to = isHighFull ? Number(highDigit) : Number(highDigit) - 1;
  return [
    ...(isLowFull
      ? []
      : betweenNumbers(lowRest, '9'.repeat(lowRest.length)).map((rest) => `${lowDigit}${rest}`)),
    ...(from > to ? [] : [`${digits(String(from), String(to))}${anyDigits(lowRest.length)}`]),
    ...(isHighFull
      ? []
      : betweenNumbers('0'.repeat(highRest.length), highRest).map((rest) => `${highDigit}${rest}`)),
  ];
}

function digits(from: string, to: string): string {
  return from === to ? from : `[${from}-${to}]`;
}

function anyDigits(count: number): string {
  if (count === 0) return '';
  return count === 1 ? '[0-9]' : `[0-9]{${count}}`;
}
