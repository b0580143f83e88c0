import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { ConfigError, describeError, errorCode, toError } from './errors.ts';

describe('describeError', () => {
  test('joins the messages of an error and its causes, without periods at their ends', () => {
    const error = new Error('The node could not start.', { cause: new Error('The port is in use.') });
    expect(describeError(error)).toBe('The node could not start: The port is in use');
  });

  test('omits a cause that an earlier message contains', () => {
    const cause = new Error('EACCES');
    expect(describeError(new Error('cannot read: EACCES', { cause }))).toBe('cannot read: EACCES');
  });

  test('ends after five messages, also when an error is its own cause', () => {
    const error = new Error('e0');
    error.cause = error;
    expect(describeError(error)).toBe('e0');
    let chain = new Error('e9');
    for (let level = 8; level >= 0; level -= 1) chain = new Error(`e${level}`, { cause: chain });
    expect(describeError(chain)).toBe('e0: e1: e2: e3: e4');
  });

  test.each([
    ['a string', 'text', 'text'],
    ['nothing', undefined, ''],
    ['a number', 7, '7'],
    ['an error without a message', new TypeError(), 'TypeError'],
    ['an object', {}, 'unknown error'],
    ['an error of another realm', runInNewContext('new Error("far")'), 'far'],
  ])('describes %s', (_, thrown, expected) => expect(describeError(thrown)).toBe(expected));

  test('shows only the message, because other fields may contain the input', () => {
    expect(describeError(Object.assign(new Error('bad input'), { input: 'secret' }))).toBe('bad input');
  });
});

test('toError keeps an error, and wraps everything else', () => {
  const error = new Error('no');
  expect(toError(error)).toBe(error);
  expect(toError('no')).toEqual(new Error('no', { cause: 'no' }));
});

test('errorCode is the code, else the name, else UNKNOWN', () => {
  expect(errorCode(new ConfigError([]))).toBe('CONFIG_INVALID');
  expect(errorCode(new TypeError('no'))).toBe('TypeError');
  expect(errorCode('no')).toBe('UNKNOWN');
});
