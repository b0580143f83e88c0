import { describe, expect, test } from '@jest/globals';
import { boolean, integer, list, listenAddress, logLevel, oneOf, quote, secret, text } from './variables.ts';

describe('integer', () => {
  const { parse, schema } = integer(10, 86_400, { fallback: '60', doc: 'Seconds.' });

  test('accepts both bounds', () => {
    expect([parse('10'), parse('86400')]).toEqual([10, 86_400]);
  });

  test.each(['9', '86401', '-60', '60s', '6.5', '0x20', '1e3', '', '99999999999999999999'])(
    'rejects "%s"',
    (given) => expect(() => parse(given)).toThrow('is not a whole number from 10 to 86400.'),
  );

  test('describes its bounds to a chart', () => {
    expect(schema).toEqual({ type: 'integer', minimum: 10, maximum: 86_400 });
  });
});

describe('boolean', () => {
  const { parse, schema } = boolean({ fallback: 'false', doc: 'Whether.' });

  test('accepts only true and false', () => {
    expect([parse('true'), parse('false')]).toEqual([true, false]);
    for (const given of ['True', 'yes', '1', '7'])
      expect(() => parse(given)).toThrow(`"${given}" is neither true nor false.`);
    expect(schema).toEqual({ type: 'boolean' });
  });
});

describe('oneOf', () => {
  const { parse, schema } = oneOf(['a', 'b'], { fallback: 'a', doc: 'A word.' });

  test('accepts only its words', () => {
    expect(parse('b')).toBe('b');
    expect(() => parse('c')).toThrow('"c" is not one of a, b.');
    expect(schema).toEqual({ type: 'string', enum: ['a', 'b'] });
  });
});

describe('list', () => {
  const { parse } = list(Number, 2, { fallback: '', doc: 'Numbers.' });

  test('skips empty items and trims the others', () => {
    expect(parse(' 1,, 2 ,')).toEqual([1, 2]);
    expect(parse('')).toEqual([]);
  });

  test('rejects more items than its maximum', () => {
    expect(() => parse('1,2,3')).toThrow('3 items are given; the maximum is 2.');
  });

  test('reports every item that cannot be read, once', () => {
    const numbers = list(integer(1, 9, { fallback: '1', doc: '' }).parse, 9, { fallback: '', doc: '' });
    expect(() => numbers.parse('1,a,2,b,a')).toThrow(
      '"a" is not a whole number from 1 to 9. "b" is not a whole number from 1 to 9.',
    );
  });
});

describe('listenAddress', () => {
  const { parse } = listenAddress({ fallback: '0.0.0.0:1', doc: 'Address.' });

  test.each([
    ['0.0.0.0:8850', { host: '0.0.0.0', port: 8850 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['[::]:65535', { host: '::', port: 65_535 }],
  ])('accepts %s', (given, expected) => expect(parse(given)).toEqual(expected));

  test.each(['8850', ':8850', '0.0.0.0:', '0.0.0.0:70000', '[127.0.0.1]:1', '::1:80'])(
    'rejects %s',
    (given) => expect(() => parse(given)).toThrow(JSON.stringify(given)),
  );
});

test('a secret is marked, and no other kind of variable is', () => {
  expect(secret((value) => value, { fallback: undefined, doc: 'Password.' }).isSecret).toBe(true);
  expect(text({ fallback: undefined, doc: 'Text.' }).isSecret).toBeUndefined();
});

test('a variable belongs to the section "tune" by default', () => {
  expect(logLevel.audience).toBe('tune');
  expect(text({ fallback: undefined, doc: 'Text.', audience: 'set' }).audience).toBe('set');
});

test('an error repeats at most 100 characters of a value, with control characters escaped', () => {
  expect(quote('a\n"b"')).toBe(String.raw`"a\n\"b\""`);
  expect(quote('x'.repeat(1000))).toHaveLength(102);
});
