import { describe, expect, test } from '@jest/globals';
import { escapeUnsafe, toPrintable, toPrintableJson } from './printable.ts';

const UNSAFE = [
  ['an escape sequence', '\u001B[2J'],
  ['a C1 control sequence', '\u009B1m'],
  ['a title', '\u001B]0;owned\u0007'],
  ['a carriage return', 'ok\rFAIL'],
  ['a backspace', 'a\b'],
  ['a delete', '\u007F'],
  ['a NUL', '\0'],
  ['a right-to-left override', 'txt.\u202Eexe'],
  ['an isolate', '\u2066a\u2069'],
  ['an Arabic letter mark', '\u061C'],
  ['zero-width characters', 'a\u200Bb\u200Cc\u200Dd\u2060e\uFEFFf'],
  ['a soft hyphen', 'a\u00ADb'],
  ['line and paragraph separators', '\u2028\u2029'],
  ['tags', '\u{E0041}\u{E007F}'],
  ['invisible fillers', '\u3164\uFFA0\u115F\u034F'],
  ['supplementary variation selectors', '\u{E0100}'],
  ['an interlinear annotation', '\uFFF9'],
  ['a musical format character', '\u{1D173}'],
  ['a lone surrogate', '\uD800'],
] as const;

test.each(UNSAFE)('text with %s has no unsafe character, and JSON has exactly the text', (_, text) => {
  const printed = toPrintable(text);
  expect(printed).toContain('\uFFFD');
  for (const output of [printed, toPrintableJson({ text })])
    expect(output).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u);
  expect(JSON.parse(toPrintableJson({ text }))).toEqual({ text });
});

describe('text', () => {
  test('is one line', () => {
    expect(toPrintable('a\tb\nc')).toBe('a b⏎c');
  });

  test('of people does not change', () => {
    const text = 'printf "äöü 漢字 שלום مرحبا ❤️ 🦀 e\u0301" | wc -c # \u00A0…';
    expect(toPrintable(text)).toBe(text);
    expect(toPrintableJson(text)).toBe(JSON.stringify(text));
  });
});

test('a line of JSON keeps its line feed', () => {
  expect(escapeUnsafe('{"a":"\u009B\u{E0041}"}\n')).toBe('{"a":"\\u009b\\udb40\\udc41"}\n');
});
