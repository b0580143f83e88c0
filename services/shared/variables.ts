// The kinds of environment variables: how the text of each is read, and what values a chart may give it.
// A service declares its variables in one table in its `config.ts`; the help, `docs/environment.md` and the chart's
// schema are made from that table.
import { isIP } from 'node:net';
import { describeError } from './errors.ts';

/** The audience of a variable, which is also its section in `docs/environment.md`. */
export const AUDIENCES = {
  set: 'Variables that depend on the installation.',
  tune: 'Variables to change when an alert, a metric or the log mentions them.',
  rarely: 'Variables whose defaults are right for almost all installations.',
} as const;
export type Audience = keyof typeof AUDIENCES;

/** The part of JSON Schema that describes the values of a variable. */
export type ValueSchema =
  | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'boolean' }
  | { readonly type: 'string'; readonly enum?: readonly string[] };

/** One environment variable. */
export interface Variable<T> {
  /** Reads the text. @throws Error whose message is a whole sentence; the reader puts the name of the variable before it. */
  readonly parse: (given: string) => T;
  /** Text used when the variable is absent or empty; `undefined` makes the variable optional. */
  readonly fallback: string | undefined;
  /** One or two sentences: what it is, its unit, what happens beyond it. */
  readonly doc: string;
  readonly audience: Audience;
  readonly schema: ValueSchema;
  /** True when the text is a secret: no output repeats it, and it is no command line flag. */
  readonly isSecret?: boolean;
}

/** The values that a table of variables reads to. */
export type Values<V extends Record<string, Variable<unknown>>> = {
  readonly [K in keyof V]: V[K] extends Variable<infer T> ? T : never;
};

/** What every variable needs besides its kind. */
export interface Description<F extends string | undefined> {
  readonly fallback: F;
  readonly doc: string;
  /** Default: `tune`. */
  readonly audience?: Audience;
}

/** A host and port to listen on; with port 0 the operating system chooses. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Longest value that an error repeats, in characters. */
const MAX_QUOTED_LENGTH = 100;

/** A given value as an error repeats it. */
export function quote(given: string): string {
  return JSON.stringify(given.slice(0, MAX_QUOTED_LENGTH));
}

type Optional<F> = F extends string ? never : undefined;

function variable<T, F extends string | undefined>(
  parse: (given: string) => T,
  schema: ValueSchema,
  { fallback, doc, audience = 'tune' }: Description<F>,
): Variable<T | Optional<F>> {
  return { parse, schema, fallback, doc, audience };
}

/** A whole number from `min` to `max`, both included. */
export function integer<F extends string | undefined>(min: number, max: number, description: Description<F>) {
  return variable(
    (given) => {
      const value = Number(given);
      if (!/^-?\d{1,16}$/.test(given) || value < min || value > max)
        throw new Error(`${quote(given)} is not a whole number from ${min} to ${max}.`);
      return value;
    },
    { type: 'integer', minimum: min, maximum: max },
    description,
  );
}

/** Exactly `true` or `false`. */
export function boolean<F extends 'true' | 'false' | undefined>(description: Description<F>) {
  return variable(
    (given) => {
      if (given !== 'true' && given !== 'false')
        throw new Error(`${quote(given)} is neither true nor false.`);
      return given === 'true';
    },
    { type: 'boolean' },
    description,
  );
}

/** One of a few words. */
export function oneOf<W extends string, F extends W | undefined>(
  words: readonly W[],
  description: Description<F>,
) {
  return variable(
    (given) => {
      const word = words.find((candidate) => candidate === given);
      if (word === undefined) throw new Error(`${quote(given)} is not one of ${words.join(', ')}.`);
      return word;
    },
    { type: 'string', enum: words },
    description,
  );
}

/** A comma-separated list of at most `max` items, each read by `parse`; empty items are skipped. */
export function list<T, F extends string | undefined>(
  parse: (given: string) => T,
  max: number,
  description: Description<F>,
) {
  return variable(
    (given) => {
      const items = given
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
      if (items.length > max) throw new Error(`${items.length} items are given; the maximum is ${max}.`);
      return parseEach(items, parse);
    },
    { type: 'string' },
    description,
  );
}

/** Reads every item. @throws Error with one sentence for each item that cannot be read */
function parseEach<T>(items: readonly string[], parse: (given: string) => T): T[] {
  const values: T[] = [];
  const problems = new Set<string>();
  for (const item of items) {
    try {
      values.push(parse(item));
    } catch (error) {
      problems.add(`${describeError(error)}.`);
    }
  }
  if (problems.size > 0) throw new Error([...problems].join(' '));
  return values;
}

/** Any text that `parse` accepts. */
export function parsed<T, F extends string | undefined>(
  parse: (given: string) => T,
  description: Description<F>,
) {
  return variable(parse, { type: 'string' }, description);
}

/** Any text. */
export function text<F extends string | undefined>(description: Description<F>) {
  return parsed((value) => value, description);
}

/** A text that holds a secret, such as a URL with a password. The messages of `parse` must not repeat it. */
export function secret<T, F extends string | undefined>(
  parse: (given: string) => T,
  description: Description<F>,
) {
  return { ...parsed(parse, description), isSecret: true };
}

/** `host:port` or `[v6]:port`. */
export function listenAddress<F extends string | undefined>(description: Description<F>) {
  return parsed(parseListenAddress, description);
}

/** `LOG_LEVEL`, which every service has. */
export const logLevel = oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
  fallback: 'info',
  doc: 'Minimum level of log messages. The lifecycle is logged at info, requests at debug.',
});

function parseListenAddress(given: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(given);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || host === '' || port > 65_535)
    throw new Error(`${quote(given)} is not host:port, such as 0.0.0.0:8850 or [::]:8850.`);
  if (match?.[1] !== undefined && isIP(host) !== 6)
    throw new Error(`${quote(given)} does not have an IPv6 address between [ and ].`);
  return { host, port };
}
