// Reads the environment of a service according to its table of variables, and collects all problems.
import { ConfigError, describeError } from './errors.ts';
import type { Values, Variable } from './variables.ts';

/** Maximum length of the text of one variable, in characters. A longer text is a problem. */
const MAX_TEXT_LENGTH = 8192;

/** The result of reading a table of variables. */
export interface EnvironmentReading<V extends Record<string, Variable<unknown>>> {
  /** The valid values. Variables with a problem are absent. */
  readonly values: Partial<Values<V>>;
  /** One whole sentence for each problem. Checks across several variables add theirs here. */
  readonly problems: string[];
  /** Returns all values. @throws ConfigError with all problems if there are any. */
  complete(): Values<V>;
}

/** Reads every variable of the table. An empty variable counts as absent, because charts write empty variables. */
export function readEnvironment<V extends Record<string, Variable<unknown>>>(
  variables: V,
  environment: NodeJS.ProcessEnv,
): EnvironmentReading<V> {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, { parse, fallback }] of Object.entries(variables)) {
    const given = environment[name]?.trim() || fallback;
    if (given === undefined) continue;
    try {
      values[name] = parseBounded(given, parse);
    } catch (error) {
      problems.push(`${name}: ${describeError(error)}.`);
    }
  }
  return {
    values: values as Partial<Values<V>>,
    problems,
    complete() {
      if (problems.length > 0) throw new ConfigError(problems);
      return values as Values<V>;
    },
  };
}

/** Whether the environment has a value for the variable, also one with a problem. */
export function isGiven(name: string, environment: NodeJS.ProcessEnv): boolean {
  return (environment[name]?.trim() ?? '') !== '';
}

/** Applies a parser to a text of bounded length. @throws Error that is a whole sentence */
export function parseBounded<T>(text: string, parse: (text: string) => T): T {
  if (text.length > MAX_TEXT_LENGTH)
    throw new Error(`The text has ${text.length} characters; the maximum is ${MAX_TEXT_LENGTH}.`);
  return parse(text);
}

/**
 * One warning for each variable that begins with the prefix of the service and is not in its table, which is probably a
 * typing error. The service links of Kubernetes (`RELAY_PORT_4001_TCP`, `TRACKER_SERVICE_HOST`) cause no warning.
 */
export function unknownVariableWarnings(
  variables: Record<string, unknown>,
  prefix: string,
  environment: NodeJS.ProcessEnv,
): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith(prefix) && !(name in variables) && !/_(PORT|SERVICE)(_|$)/.test(name))
    .map((name) => `${name} is not a known variable and has no effect; --help lists the variables.`);
}
