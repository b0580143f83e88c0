import { describe, expect, test } from '@jest/globals';
import { boolean, integer, list, listenAddress, readEnvironment, secret, unknownVariables } from './env.ts';
import { ConfigError } from './errors.ts';

const variables = {
  T_LISTEN: listenAddress('0.0.0.0:8850', 'Where to listen.'),
  T_TTL_SECONDS: integer(10, 86_400, '60', 'Time to live.'),
  T_MAX: integer(1, 100, undefined, 'Most.'),
  T_OPEN: boolean('false', 'Open.'),
  T_NAMES: list((text) => text.toUpperCase(), 3, '', 'Names.'),
  T_URL: secret((text) => new URL(text), undefined, 'A URL with a password.'),
};

function problems(environment: NodeJS.ProcessEnv): readonly string[] {
  try {
    readEnvironment(variables, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('an environment', () => {
  test('that is empty reads to the defaults, and optional variables are absent', () => {
    expect(readEnvironment(variables, {})).toEqual({
      T_LISTEN: { host: '0.0.0.0', port: 8850 },
      T_TTL_SECONDS: 60,
      T_OPEN: false,
      T_NAMES: [],
    });
  });

  test('with every variable reads to typed values', () => {
    const values = readEnvironment(variables, {
      T_LISTEN: '[::1]:0',
      T_TTL_SECONDS: ' 30 ',
      T_MAX: '7',
      T_OPEN: 'true',
      T_NAMES: 'a, b,,c',
    });
    expect(values).toEqual({
      T_LISTEN: { host: '::1', port: 0 },
      T_TTL_SECONDS: 30,
      T_MAX: 7,
      T_OPEN: true,
      T_NAMES: ['A', 'B', 'C'],
    });
  });

  test('treats an empty variable as absent, as charts write them', () => {
    expect(readEnvironment(variables, { T_TTL_SECONDS: '' }).T_TTL_SECONDS).toBe(60);
  });

  test('reports every problem at once, each with its name and what was given', () => {
    expect(
      problems({ T_LISTEN: 'nowhere', T_TTL_SECONDS: '1e3', T_OPEN: 'yes', T_NAMES: 'a,b,c,d' }),
    ).toEqual([
      'T_LISTEN must be host:port such as 0.0.0.0:8850 or [::]:8850, got "nowhere"',
      'T_TTL_SECONDS must be a whole number from 10 to 86400, got "1e3"',
      'T_OPEN must be one of true, false, got "yes"',
      'T_NAMES must have at most 3 comma-separated items, got "a,b,c,d"',
    ]);
  });

  test.each(['9', '86401', '-60', '60s', '6.5', '0x20', '99999999999999999999'])(
    'refuses the number %s',
    (given) => {
      expect(problems({ T_TTL_SECONDS: given })).toHaveLength(1);
    },
  );

  test.each(['8850', ':8850', '0.0.0.0:', '0.0.0.0:70000', '[127.0.0.1]:1', '::1:80'])(
    'refuses the address %s',
    (given) => expect(problems({ T_LISTEN: given })).toHaveLength(1),
  );

  test('never repeats a secret', () => {
    expect(problems({ T_URL: 'hunter2' }).join()).not.toContain('hunter2');
  });

  test('has its typing errors named, but not what Kubernetes puts there', () => {
    const given = { T_LISTN: 'x', T_PORT: 'tcp://1', T_SERVICE_HOST: '1', T_PORT_80_TCP: 'y', OTHER: 'z' };
    expect(unknownVariables(variables, 'T_', given)).toEqual(['T_LISTN']);
  });
});
