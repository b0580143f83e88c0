import { describe, expect, test } from '@jest/globals';
import { readEnvironment, unknownVariableWarnings } from './env.ts';
import { ConfigError } from './errors.ts';
import { boolean, integer, list, listenAddress, oneOf, secret } from './variables.ts';

const variables = {
  T_LISTEN: listenAddress({ fallback: '0.0.0.0:8850', doc: 'Address to listen on.' }),
  T_TTL_SECONDS: integer(10, 86_400, { fallback: '60', doc: 'Time to live.' }),
  T_MAX: integer(1, 100, { fallback: undefined, doc: 'Maximum items.' }),
  T_OPEN: boolean({ fallback: 'false', doc: 'Whether it is open.' }),
  T_MODE: oneOf(['slow', 'fast'], { fallback: 'slow', doc: 'Mode.' }),
  T_NAMES: list((text) => text.toUpperCase(), 3, { fallback: '', doc: 'Names.' }),
  T_URL: secret(
    (text) => {
      if (!URL.canParse(text)) throw new Error('The text is not a URL.');
      return new URL(text);
    },
    { fallback: undefined, doc: 'A URL with a password.' },
  ),
};

describe('readEnvironment', () => {
  test('returns the defaults for an empty environment, without the optional variables', () => {
    const { values, problems, complete } = readEnvironment(variables, {});
    expect(problems).toEqual([]);
    expect(values).toEqual({
      T_LISTEN: { host: '0.0.0.0', port: 8850 },
      T_TTL_SECONDS: 60,
      T_OPEN: false,
      T_MODE: 'slow',
      T_NAMES: [],
    });
    expect(complete()).toEqual(values);
  });

  test('returns a typed value for every variable', () => {
    const { values } = readEnvironment(variables, {
      T_LISTEN: '[::1]:0',
      T_TTL_SECONDS: ' 30 ',
      T_MAX: '7',
      T_OPEN: 'true',
      T_MODE: 'fast',
      T_NAMES: 'a, b,,c',
    });
    expect(values).toEqual({
      T_LISTEN: { host: '::1', port: 0 },
      T_TTL_SECONDS: 30,
      T_MAX: 7,
      T_OPEN: true,
      T_MODE: 'fast',
      T_NAMES: ['A', 'B', 'C'],
    });
  });

  test('treats an empty variable as absent, because charts write empty variables', () => {
    const { values } = readEnvironment(variables, { T_TTL_SECONDS: '', T_MAX: ' ' });
    expect(values.T_TTL_SECONDS).toBe(60);
    expect(values).not.toHaveProperty('T_MAX');
  });

  test('collects every problem as a sentence with the name and the value', () => {
    const { values, problems } = readEnvironment(variables, {
      T_LISTEN: 'nowhere',
      T_TTL_SECONDS: '1e3',
      T_OPEN: 'yes',
      T_MODE: 'medium',
      T_NAMES: 'a,b,c,d',
    });
    expect(values).toEqual({});
    expect(problems).toEqual([
      'T_LISTEN: "nowhere" is not host:port, such as 0.0.0.0:8850 or [::]:8850.',
      'T_TTL_SECONDS: "1e3" is not a whole number from 10 to 86400.',
      'T_OPEN: "yes" is neither true nor false.',
      'T_MODE: "medium" is not one of slow, fast.',
      'T_NAMES: 4 items are given; the maximum is 3.',
    ]);
  });

  test('returns the valid values, so that checks across variables can use them', () => {
    const { values } = readEnvironment(variables, { T_OPEN: 'yes', T_MAX: '7' });
    expect(values.T_MAX).toBe(7);
    expect(values).not.toHaveProperty('T_OPEN');
  });

  test('rejects a text longer than 8192 characters without repeating it', () => {
    expect(readEnvironment(variables, { T_NAMES: 'x'.repeat(8193) }).problems).toEqual([
      'T_NAMES: The text has 8193 characters; the maximum is 8192.',
    ]);
  });

  test('never repeats a secret', () => {
    expect(readEnvironment(variables, { T_URL: 'hunter2' }).problems).toEqual([
      'T_URL: The text is not a URL.',
    ]);
  });
});

describe('complete', () => {
  test('throws one ConfigError with the problems of the table and those that were added', () => {
    const { problems, complete } = readEnvironment(variables, { T_MAX: '0' });
    problems.push('T_OPEN: true needs T_URL.');
    let thrown: unknown;
    try {
      complete();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ConfigError);
    expect(thrown).toMatchObject({
      code: 'CONFIG_INVALID',
      problems: ['T_MAX: "0" is not a whole number from 1 to 100.', 'T_OPEN: true needs T_URL.'],
    });
  });
});

describe('unknownVariableWarnings', () => {
  test('warns of a misspelled variable, but not of the variables that Kubernetes adds for Services', () => {
    const environment = {
      T_LISTN: 'x',
      T_PORT: 'tcp://1',
      T_SERVICE_HOST: '1',
      T_PORT_80_TCP: 'y',
      OTHER: 'z',
    };
    expect(unknownVariableWarnings(variables, 'T_', environment)).toEqual([
      'T_LISTN is not a known variable and has no effect; --help lists the variables.',
    ]);
  });
});
