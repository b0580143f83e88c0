// Reads a service's environment against a table of variables. Each service has one such table, in its
// `config.ts`; the table is also what the documentation is made from.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { ConfigError, describeError } from './errors.ts';

/** One environment variable: how its text is read, what it is when absent, and what it means. */
export interface Variable<T> {
  /** Turns the text into a value; throws an Error whose message completes the sentence «NAME …». */
  readonly parse: (text: string) => T;
  /** Text used when the variable is absent or empty; `undefined` makes the variable optional. */
  readonly fallback: string | undefined;
  /** One or two sentences for `docs/environment.md`. */
  readonly doc: string;
  /** A secret's text is never repeated in an error. */
  readonly secret?: boolean;
}

/** What a table of variables reads to. */
export type Values<V extends Record<string, Variable<unknown>>> = {
  readonly [K in keyof V]: V[K] extends Variable<infer T> ? T : never;
};

/** Longest text accepted for one variable, in characters. */
const MAX_TEXT_LENGTH = 8192;

/**
 * Reads every variable of the table.
 *
 * @throws ConfigError with all problems at once, each naming its variable.
 */
export function readEnvironment<V extends Record<string, Variable<unknown>>>(
  variables: V,
  environment: NodeJS.ProcessEnv,
): Values<V> {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, rule] of Object.entries(variables)) {
    const given = environment[name];
    const text = given === undefined || given.trim() === '' ? rule.fallback : given.trim();
    if (text === undefined) continue;
    try {
      if (text.length > MAX_TEXT_LENGTH) throw new Error(`is longer than ${MAX_TEXT_LENGTH} characters`);
      values[name] = rule.parse(text);
    } catch (error) {
      const reason = describeError(error);
      // «names PATH, which …» and «has ITEM, which …» already repeat what was given.
      const isShown = rule.secret === true || /^(has|names) /.test(reason);
      problems.push(`${name} ${reason}${isShown ? '' : `, got ${JSON.stringify(text.slice(0, 100))}`}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return values as Values<V>;
}

/**
 * Names in the environment that begin with the service's prefix and stand in no table: most likely typing
 * errors. Kubernetes' service links (`RELAY_PORT_4001_TCP`, `TRACKER_SERVICE_HOST`) are not ours to judge.
 */
export function unknownVariables(
  variables: Record<string, unknown>,
  prefix: string,
  environment: NodeJS.ProcessEnv,
): string[] {
  return Object.keys(environment).filter(
    (name) => name.startsWith(prefix) && !(name in variables) && !/_(PORT|SERVICE)(_|$)/.test(name),
  );
}

/** A host and port to listen on; port 0 lets the system choose. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

type Fallback<F> = F extends string ? never : undefined;

function variable<T, F extends string | undefined>(
  parse: (text: string) => T,
  fallback: F,
  doc: string,
): Variable<T | Fallback<F>> {
  return { parse, fallback, doc };
}

/** `host:port` or `[v6]:port`. */
export function listenAddress<F extends string | undefined>(fallback: F, doc: string) {
  return variable(parseListenAddress, fallback, doc);
}

/** A whole number from `min` to `max`, both included. */
export function integer<F extends string | undefined>(min: number, max: number, fallback: F, doc: string) {
  return variable(
    (text) => {
      const value = Number(text);
      if (!/^-?\d{1,16}$/.test(text) || value < min || value > max)
        throw new Error(`must be a whole number from ${min} to ${max}`);
      return value;
    },
    fallback,
    doc,
  );
}

/** Exactly `true` or `false`. */
export function boolean<F extends string | undefined>(fallback: F, doc: string) {
  return oneOfMapped({ true: true, false: false }, fallback, doc);
}

/** One of a few words. */
export function oneOf<W extends string, F extends W | undefined>(
  words: readonly W[],
  fallback: F,
  doc: string,
) {
  const pairs = Object.fromEntries(words.map((word) => [word, word])) as Record<W, W>;
  return oneOfMapped(pairs, fallback, doc);
}

function oneOfMapped<T, F extends string | undefined>(words: Record<string, T>, fallback: F, doc: string) {
  return variable(
    (text) => {
      const value = Object.hasOwn(words, text) ? words[text] : undefined;
      if (value === undefined) throw new Error(`must be one of ${Object.keys(words).join(', ')}`);
      return value;
    },
    fallback,
    doc,
  );
}

/** A comma-separated list of at most `max` texts, each read by `parse`; empty items are dropped. */
export function list<T, F extends string | undefined>(
  parse: (text: string) => T,
  max: number,
  fallback: F,
  doc: string,
) {
  return variable(
    (text) => {
      const items = text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
      if (items.length > max) throw new Error(`must have at most ${max} comma-separated items`);
      return items.map(parse);
    },
    fallback,
    doc,
  );
}

/** Any text that `parse` accepts. */
export function parsed<T, F extends string | undefined>(
  parse: (text: string) => T,
  fallback: F,
  doc: string,
) {
  return variable(parse, fallback, doc);
}

/** A text that holds a secret (a URL with a password): never repeated in errors. */
export function secret<T, F extends string | undefined>(
  parse: (text: string) => T,
  fallback: F,
  doc: string,
) {
  return { ...variable(parse, fallback, doc), secret: true };
}

/** Marks `LOG_LEVEL`, which every service has. */
export const logLevel = oneOf(
  ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
  'info',
  'Least level that is logged. Requests are logged at debug, lifecycle at info.',
);

function parseListenAddress(given: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(given);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || host === '' || port > 65_535)
    throw new Error('must be host:port such as 0.0.0.0:8850 or [::]:8850');
  if (match?.[1] !== undefined && isIP(host) !== 6)
    throw new Error('must have an IPv6 address between [ and ]');
  return { host, port };
}

/**
 * Reads a small file that a variable names, such as a mounted Secret.
 *
 * @throws Error that names the path and the reason, never the content.
 */
export function readSmallFile(path: string, maxBytes: number): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    throw new Error(`names ${path}, which cannot be read (${describeError(error)})`, { cause: error });
  }
  if (content.length > maxBytes) throw new Error(`names ${path}, which is larger than ${maxBytes} bytes`);
  return content;
}
