import { describe, expect, test } from '@jest/globals';
import { answerArguments, type Program, VERSION } from './program.ts';
import { integer } from './variables.ts';

const program: Program = {
  name: 'thing',
  purpose: 'does a thing.',
  variables: {
    T_SECONDS: integer(1, 9, { fallback: '5', doc: 'Duration in seconds.' }),
    T_MAX: integer(1, 9, { fallback: undefined, doc: 'Maximum things.' }),
  },
};
const answer = (...args: string[]) => answerArguments(program, args);

describe('the command line of a service', () => {
  test('starts the service when there are no arguments', () => {
    expect(answer()).toBeUndefined();
  });

  test('prints the version', () => {
    expect(VERSION).toMatch(/^\d+\.\d+\.\d+/);
    expect(answer('--version')).toEqual({ text: `thing ${VERSION}\n`, exitCode: 0 });
  });

  test('prints every variable with its default', () => {
    const { text, exitCode } = answer('--help') ?? {};
    expect(exitCode).toBe(0);
    expect(text).toContain('thing: does a thing.');
    expect(text).toContain('  T_SECONDS=5\n      Duration in seconds.\n');
    expect(text).toContain('  T_MAX\n      Maximum things.\n');
  });

  test('rejects any other argument and lists the known ones', () => {
    expect(answer('--port', '1')).toEqual({
      text: 'thing: unknown argument "--port". Use --help or --version, or no argument to start.\n',
      exitCode: 78,
    });
  });
});
