// Parses the history file of fish.
import type { Line } from './history-lines.ts';
import { readUnixSeconds } from './history-times.ts';
import type { CommandLines } from './shell-history.ts';

/** Number of digits of the times of this era. A shorter number before NUL bytes is not complete. */
const TIME_DIGITS = 10;

/** Items `- cmd: …`, each followed by `  when: 1700000000` and paths. `\n` and `\\` are escape sequences. */
export function* parseFish(lines: Iterable<Line>): Generator<CommandLines> {
  let item: CommandLines | undefined;
  for (const line of lines) {
    const [, command] = /^- cmd: ?(.*)$/s.exec(line.text) ?? [];
    const [, time] = /^ +when: *([+-]?\d+)\s*$/.exec(line.text) ?? [];
    if (command !== undefined) {
      if (item !== undefined) yield item;
      item = { text: unescape(command), lines: [line], unixSeconds: undefined, idTime: undefined };
      continue;
    }
    // After lost lines, the time of another item may follow an item that has its own.
    if (time === undefined || item === undefined || item.unixSeconds !== undefined) continue;
    if (line.isBeforeGap && time.length < TIME_DIGITS) continue;
    item = {
      ...item,
      unixSeconds: readUnixSeconds(time),
      idTime: /^\d{1,11}$/.test(time) ? Number(time) : undefined,
    };
  }
  if (item !== undefined) yield item;
}

function unescape(text: string): string {
  return text.replaceAll(/\\([\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : '\\'));
}
