// Makes text harmless for terminals. Text from other devices, trackers and files can contain escape sequences that move the
// cursor or set the title, line feeds that forge lines, and invisible characters that hide text or reverse its order.

/**
 * Control and format characters (also C1 and bidi controls), line separators, lone surrogates and other characters that
 * are invisible. The two variation selectors that choose the shape of an emoji are harmless.
 */
const UNSAFE = /(?![\uFE0E\uFE0F])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

/** One line of text without unsafe characters: tabs become spaces, line feeds `⏎`, all others U+FFFD. */
export function toPrintable(text: string): string {
  return text.replaceAll(UNSAFE, (character) => {
    if (character === '\t') return ' ';
    return character === '\n' ? '⏎' : '\uFFFD';
  });
}

/** The value as one line of JSON. Unsafe characters are escaped, so that a parser returns them as they are. */
export function toPrintableJson(value: unknown): string {
  return escapeUnsafe(JSON.stringify(value));
}

/** Escapes the unsafe characters of a line that is JSON. The line feed at its end is kept. */
export function escapeUnsafe(json: string): string {
  return json.replaceAll(UNSAFE, (character) => {
    if (character === '\n') return character;
    return character.replaceAll(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  });
}
