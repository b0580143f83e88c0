import { describe, expect, test } from '@jest/globals';
import { integer } from './env.ts';
import { answerArguments, VERSION } from './usage.ts';

const variables = {
  T_SECONDS: integer(1, 9, '5', 'How long.'),
  T_MOST: integer(1, 9, undefined, 'How many.'),
};
const answer = (...args: string[]) => answerArguments('thing', 'does a thing.', variables, args);

describe('the command line of a service', () => {
  test('without arguments starts it', () => {
    expect(answer()).toBeUndefined();
  });

  test('tells the version', () => {
    expect(VERSION).toMatch(/^\d+\.\d+\.\d+/);
    expect(answer('--version')).toEqual({ text: `thing ${VERSION}\n`, exitCode: 0 });
  });

  test('teaches every variable with its default', () => {
    const { text, exitCode } = answer('--help') ?? {};
    expect(exitCode).toBe(0);
    expect(text).toContain('thing: does a thing.');
    expect(text).toContain('  T_SECONDS=5\n      How long.\n');
    expect(text).toContain('  T_MOST\n      How many.\n');
  });

  test('refuses any other argument and says what to do', () => {
    const { text, exitCode } = answer('--port', '1') ?? {};
    expect(exitCode).toBe(78);
    expect(text).toContain('«--port» is not understood');
    expect(text).toContain('--help');
  });
});
