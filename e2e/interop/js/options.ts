// The command line of the program, and the lines it prints.
import { parseArgs } from 'node:util';

export interface Options {
  readonly command: string;
  readonly pause: boolean;
  /** @throws when the option is missing. */
  text(name: string): string;
  optional(name: string): string | undefined;
}

/** Prints one line for the runner of the matrix. */
export function say(msg: string, fields: Record<string, unknown> = {}): void {
  process.stdout.write(`${JSON.stringify({ msg, ...fields })}\n`);
}

export function readOptions(args: string[]): Options {
  const names = ['relay', 'key', 'muxer', 'peer', 'version', 'entries', 'limit', 'bytes', 'tracker', 'user'];
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
      pause: { type: 'boolean', default: false },
    },
  });
  const optional = (name: string): string | undefined => {
    const value = (values as Record<string, unknown>)[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    command: positionals[0] ?? '',
    pause: values.pause,
    optional,
    text(name) {
      const value = optional(name);
      if (value === undefined) throw new Error(`--${name} is missing`);
      return value;
    },
  };
}
