// The types of environment variables: the parser of each type, and the schema of its values for the charts. A service
// declares its variables in one table in its `config.ts`. The help, `docs/environment.md` and the schema of the chart
// are generated from that table.
import { isIP } from 'node:net';
import { describeError } from './errors.ts';

/** The audiences of variables. Each is a section of `docs/environment.md`. */
export const AUDIENCES = {
  set: 'Variables that depend on the installation.',
  tune: 'Variables to change when an alert, a metric or the log mentions them.',
  rarely: 'Variables whose defaults are right for almost all installations.',
} as const;
export type Audience = keyof typeof AUDIENCES;

/** The JSON Schema of the values of a variable. */
export type ValueSchema =
  | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'boolean' }
  | { readonly type: 'string'; readonly enum?: readonly string[] };

/** One environment variable. */
export interface Variable<T> {
  /** Reads the text. @throws Error with a whole sentence, which the caller prefixes with the name of the variable. */
  readonly parse: (given: string) => T;
  /** Default text, used when the variable is absent or empty. `undefined`: the variable is optional. */
  readonly fallback: string | undefined;
  /** One or two sentences: the meaning, the unit, and what happens above a limit. */
  readonly doc: string;
  readonly audience: Audience;
  readonly schema: ValueSchema;
  /** Whether the text is a secret. A secret is never printed and has no command line flag. Default false. */
  readonly isSecret?: boolean;
}

/** The values of a table of variables. */
export type Values<V extends Record<string, Variable<unknown>>> = {
  readonly [K in keyof V]: V[K] extends Variable<infer T> ? T : never;
};

/** Options of all types of variables. */
export interface Description<F extends string | undefined> {
  readonly fallback: F;
  readonly doc: string;
  /** Default: `tune`. */
  readonly audience?: Audience;
}

/** A host and port to listen on. With port 0 the operating system chooses a free port. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Maximum characters of a value in an error. The rest is omitted. */
const MAX_QUOTED_LENGTH = 100;

/** Quotes a given value for an error. */
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

/** A whole number from `min` to `max`, inclusive. */
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

/** One of several words. */
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

/** A comma-separated list of at most `max` items, each parsed by `parse`. Empty items are skipped. */
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

/** A text that contains a secret, such as a URL with a password. The errors of `parse` must not contain the text. */
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

/** `RUSTORY_POISON_READS`, which relay and peer have. */
export const poisonReads = boolean({
  fallback: 'false',
  doc: 'For tests: whether received bytes are overwritten as soon as they are processed, so that code that keeps a reference to them instead of a copy fails. Costs CPU time for each read.',
  audience: 'rarely',
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
