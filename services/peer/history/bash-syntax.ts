// Finds out whether a bash command continues on the next line, as the parser of bash does: quotes, here-documents, compound
// commands, substitutions, and operators that expect a command. It reads line by line and keeps a stack of what is open.

import {
  BEFORE_COMMAND,
  COMPOUND,
  endsWithBackslash,
  type Frame,
  type HereDocument,
  type ListFrame,
  listFrame,
  readHereDocument,
  resetWord,
  type TextFrame,
} from './bash-frames.ts';

export interface BashScanner {
  /** Reads the next line of the command, without its line feed. */
  read(line: string): void;
  /** Whether the command continues on the next line. */
  isOpen(): boolean;
}

export function createBashScanner(): BashScanner {
  const frames: Frame[] = [listFrame('')];
  const pending: HereDocument[] = [];
  const bodies: HereDocument[] = [];
  let line = '';
  let position = 0;
  /** Whether the last operator expects a command, or a function a body. */
  let needsCommand = false;
  /** Whether the line ends with a backslash that joins it with the next one. */
  let isContinued = false;
  let isBodyLineContinued = false;
  /** Whether bash refuses the command. */
  let isInvalid = false;

  const top = (): Frame => frames.at(-1) as Frame;

  function readBody(body: HereDocument, text: string): void {
    const wasContinued = isBodyLineContinued;
    isBodyLineContinued = !body.isQuoted && endsWithBackslash(text);
    if (!wasContinued && (body.stripsTabs ? text.replace(/^\t+/, '') : text) === body.delimiter) {
      bodies.shift();
      isBodyLineContinued = false;
    }
  }

  function scanLine(): void {
    isContinued = false;
    while (position < line.length) {
      const frame = top();
      if (frame.kind === 'list') scanList(frame);
      else scanText(frame);
    }
    const frame = top();
    if (frame.kind !== 'list' || isContinued) return;
    endWord(frame);
    const after = top();
    if (after.kind === 'list') after.atCommand = true;
    bodies.push(...pending.splice(0));
  }

  /** Reads one token of a text with quotes and expansions, but without commands. */
  function scanText(frame: TextFrame): void {
    const character = line.charAt(position);
    if (frame.kind === 'single') {
      if (line.includes("'", position)) frames.pop();
      skipTo("'");
    } else if (character === '\\') position += 2;
    else if (frame.kind === 'ansi') closeAt("'");
    else if (character === '$') scanDollar(frame);
    else if (character === '`') scanBacktick();
    else if (frame.kind === 'double') closeAt('"');
    else if (character === '"') open({ kind: 'double' }, 1);
    else if (character === "'") open({ kind: 'single' }, 1);
    else if (frame.kind === 'parameter') closeAt('}');
    else if (frame.kind === 'brackets') closeAt(']');
    else if (frame.kind === 'condition') scanCondition();
    else scanParentheses(frame);
  }

  /** Skips one character, and ends the frame if it is `close`. */
  function closeAt(close: string): void {
    if (line.charAt(position) === close) frames.pop();
    position += 1;
  }

  function scanCondition(): void {
    if (isWordStart() && line.startsWith(']]', position)) {
      frames.pop();
      position += 2;
    } else if (isWordStart() && line.charAt(position) === '#') position = line.length;
    else position += 1;
  }

  /** An array, an arithmetic expression or a pattern: it ends when the parentheses are balanced. */
  function scanParentheses(frame: TextFrame): void {
    const character = line.charAt(position);
    const depth = frame.depth ?? 1;
    if (character === '(') frame.depth = depth + 1;
    else if (character === ')') frame.depth = depth - 1;
    else if (character === '#' && isWordStart()) position = line.length;
    position += 1;
    if (frame.depth === 0) frames.pop();
  }

  function isWordStart(): boolean {
    return position === 0 || /\s/.test(line.charAt(position - 1));
  }

  function open(frame: Frame, length: number): void {
    frames.push(frame);
    position += length;
  }

  function scanDollar(frame: Frame): void {
    const isQuoted = frame.kind === 'double';
    const rest = line.slice(position + 1, position + 3);
    if (rest === '((') open({ kind: 'parentheses', depth: 2 }, 3);
    else if (rest.startsWith('(')) open(listFrame(')'), 2);
    else if (rest.startsWith('{')) open({ kind: 'parameter' }, 2);
    else if (rest.startsWith("'") && !isQuoted) open({ kind: 'ansi' }, 2);
    else if (rest.startsWith('"') && !isQuoted) open({ kind: 'double' }, 2);
    else if (rest.startsWith('[')) open({ kind: 'brackets' }, 2);
    else position += /^[#$]/.test(rest) ? 2 : 1;
  }

  function skipTo(end: string): void {
    const found = line.indexOf(end, position);
    position = found === -1 ? line.length : found + 1;
  }

  function scanBacktick(): void {
    const start = frames.findLastIndex((frame) => frame.kind === 'list' && frame.close === '`');
    if (start === -1) frames.push(listFrame('`'));
    else frames.splice(start);
    position += 1;
  }

  function scanList(frame: ListFrame): void {
    const character = line.charAt(position);
    if (character === '#' && frame.word === undefined) position = line.length;
    else if (/\s/.test(character)) {
      endWord(frame);
      position += 1;
    } else if (/[;&|()<>]/.test(character)) scanOperator(frame, character);
    else if (/[\\$`'"]/.test(character)) scanQuote(frame, character);
    else {
      frame.word = (frame.word ?? '') + character;
      position += 1;
    }
  }

  function scanQuote(frame: ListFrame, character: string): void {
    if (character === '\\' && position === line.length - 1) {
      isContinued = true;
      position += 1;
      return;
    }
    frame.word ??= '';
    frame.isQuoted = true;
    if (character === '\\') position += 2;
    else if (character === '$') scanDollar(frame);
    else if (character === '`') scanBacktick();
    else open({ kind: character === '"' ? 'double' : 'single' }, 1);
  }

  function scanOperator(frame: ListFrame, character: string): void {
    if (character === '(') return openParenthesis(frame);
    endWord(frame);
    // The word may have opened or closed a compound command.
    const current = top();
    if (current.kind !== 'list') return;
    const rest = line.slice(position, position + 3);
    if (character === ')') closeParenthesis(current);
    else if (character === '<' || character === '>') scanRedirection(rest);
    else if (character === ';') scanSemicolon(current, rest);
    else if (character === '&' && (rest.startsWith('&>') || /[<>]/.test(line.charAt(position - 1))))
      position += 1;
    else {
      const [operator] = /^(?:&&|\|\||\|&|\||&)/.exec(rest) ?? [character];
      position += operator.length;
      if (current.clause === 'pattern') return;
      current.atCommand = true;
      needsCommand = operator !== '&';
    }
  }

  function scanSemicolon(frame: ListFrame, rest: string): void {
    const [terminator] = /^(?:;;&|;;|;&)/.exec(rest) ?? [];
    if (terminator !== undefined && frame.clause === 'commands') frame.clause = 'pattern';
    position += terminator?.length ?? 1;
    frame.atCommand = true;
    needsCommand = false;
  }

  function scanRedirection(rest: string): void {
    if (rest === '<<<') position += 3;
    else if (rest.startsWith('<<')) {
      const found = readHereDocument(line.slice(position));
      if (found !== undefined) pending.push(found);
      position += found?.length ?? 2;
    } else if (rest.charAt(1) === '(') open(listFrame(')'), 2);
    else position += rest.charAt(1) === '|' ? 2 : 1;
  }

  function openParenthesis(frame: ListFrame): void {
    const rest = line.slice(position);
    const [empty] = /^\(\s*\)/.exec(rest) ?? [];
    if (frame.clause === 'pattern' && frame.word === undefined) position += 1;
    else if (empty !== undefined && frame.word?.endsWith('=') !== true) {
      // `name()` expects the body of a function.
      resetWord(frame);
      frame.atCommand = true;
      frame.expects = undefined;
      needsCommand = true;
      position += empty.length;
    } else if (frame.word !== undefined) {
      // An array, or a pattern such as `@(a|b)`.
      frame.isQuoted = true;
      open({ kind: 'parentheses', depth: 1 }, 1);
    } else if (!frame.atCommand && frame.expects === undefined && frame.clause !== 'pattern') {
      // A syntax error: bash reads no further lines.
      isInvalid = true;
      position = line.length;
    } else {
      needsCommand = false;
      // `for ((…))` is followed by a body.
      frame.atCommand = frame.mayHaveBraces === true;
      frame.expects = undefined;
      if (rest.startsWith('((')) open({ kind: 'parentheses', depth: 2 }, 2);
      else open(listFrame(')'), 1);
    }
  }

  function closeParenthesis(frame: ListFrame): void {
    position += 1;
    if (frame.clause === 'pattern') {
      frame.clause = 'commands';
      frame.atCommand = true;
    } else if (frame.close === ')') frames.pop();
  }

  function endWord(frame: ListFrame): void {
    const { word, isQuoted, expects, clause, atCommand } = frame;
    if (word === undefined) return;
    resetWord(frame);
    needsCommand = false;
    const reserved = isQuoted ? undefined : word;
    if (expects !== undefined) {
      frame.expects = undefined;
      frame.atCommand = expects === 'function';
      needsCommand = expects === 'function';
    } else if (clause === 'subject') {
      if (reserved === 'in') frame.clause = 'pattern';
    } else if (clause === 'pattern') {
      if (reserved === 'esac') frames.pop();
    } else if (atCommand && reserved !== undefined) readReservedWord(frame, reserved);
    else frame.atCommand = false;
  }

  function readReservedWord(frame: ListFrame, word: string): void {
    const close = COMPOUND.get(word);
    frame.atCommand = BEFORE_COMMAND.has(word);
    const mayHaveBraces = frame.mayHaveBraces === true;
    if (word === 'do' || word === '{') frame.mayHaveBraces = false;
    if (word !== '' && word === frame.close) frames.pop();
    else if (word === '{' && mayHaveBraces) {
      frame.close = '}';
      frame.atCommand = true;
    } else if (close !== undefined) {
      const opened = listFrame(close);
      if (close === 'esac') opened.clause = 'subject';
      if (word === 'for' || word === 'select' || word === 'case') opened.expects = 'name';
      opened.mayHaveBraces = word === 'for' || word === 'select';
      frames.push(opened);
    } else if (word === 'function') frame.expects = 'function';
    else if (word === '[[') frames.push({ kind: 'condition' });
  }

  return {
    read(text) {
      const [body] = bodies;
      if (body !== undefined) return readBody(body, text);
      line = text;
      position = 0;
      scanLine();
    },
    isOpen: () =>
      !isInvalid &&
      (frames.length > 1 || needsCommand || isContinued || pending.length > 0 || bodies.length > 0),
  };
}
