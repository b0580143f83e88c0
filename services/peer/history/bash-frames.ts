// What can be open in a bash command: quotes, expansions, compound commands and here-documents.

/** What is open. `text` frames end with a character; a `list` frame contains commands. */
export type Frame = ListFrame | TextFrame;

export interface TextFrame {
  readonly kind: 'single' | 'ansi' | 'double' | 'parameter' | 'brackets' | 'parentheses' | 'condition';
  /** Parentheses that are open. */
  depth?: number;
}

export interface ListFrame {
  readonly kind: 'list';
  /** The character or reserved word that ends the list; empty for the whole command. */
  close: '' | ')' | '`' | '}' | 'done' | 'fi' | 'esac';
  /** The unquoted characters of the current word; `undefined` between words. */
  word: string | undefined;
  /** Whether a part of the word is quoted or expanded, so that it is not a reserved word. */
  isQuoted: boolean;
  /** Whether the next word can be a reserved word. */
  atCommand: boolean;
  /** What the next word is after `for`, `select`, `case` and `function`. */
  expects: 'name' | 'function' | undefined;
  /** The position in a `case` command: before `in`, in a pattern, or in the commands after it. */
  clause: 'subject' | 'pattern' | 'commands' | undefined;
  /** Whether the body of `for` or `select`, which did not begin yet, may be in braces. */
  mayHaveBraces?: boolean;
}

/** Reserved words after which a command follows, and the option of `time`. */
export const BEFORE_COMMAND: ReadonlySet<string> = new Set([
  'then',
  'do',
  'else',
  'elif',
  '!',
  'time',
  '-p',
  'coproc',
]);

/** Reserved words that open a compound command, with the word that closes it. */
export const COMPOUND: ReadonlyMap<string, ListFrame['close']> = new Map([
  ['if', 'fi'],
  ['while', 'done'],
  ['until', 'done'],
  ['for', 'done'],
  ['select', 'done'],
  ['case', 'esac'],
  ['{', '}'],
]);

export interface HereDocument {
  readonly delimiter: string;
  /** Whether leading tabs are removed (`<<-`). */
  readonly stripsTabs: boolean;
  /** Whether a part of the delimiter is quoted, so that a backslash does not join lines. */
  readonly isQuoted: boolean;
}

export function listFrame(close: ListFrame['close']): ListFrame {
  return {
    kind: 'list',
    close,
    word: undefined,
    isQuoted: false,
    atCommand: true,
    expects: undefined,
    clause: undefined,
  };
}

export function resetWord(frame: ListFrame): void {
  frame.word = undefined;
  frame.isQuoted = false;
}

/** Parses `<<`, an optional dash and the delimiter at the start of a text. */
export function readHereDocument(text: string): (HereDocument & { readonly length: number }) | undefined {
  const [all, dash = '', word = ''] =
    /^<<(-?)[ \t]*((?:\\.|'[^']*'|"(?:\\.|[^"])*"|[^\s;&|()<>'"\\])+)/.exec(text) ?? [];
  if (all === undefined) return undefined;
  const delimiter = word.replaceAll(/\\(.)|['"]/g, '$1');
  return { delimiter, stripsTabs: dash === '-', isQuoted: delimiter !== word, length: all.length };
}

/** Whether a line of a here-document ends with a backslash that is not escaped. */
export function endsWithBackslash(text: string): boolean {
  let start = text.length;
  while (start > 0 && text[start - 1] === '\\') start -= 1;
  return (text.length - start) % 2 === 1;
}
