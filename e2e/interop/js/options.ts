// The command line and the output of the program.
import { parseArgs } from 'node:util';

export interface Options {
  readonly command: string;
  readonly pause: boolean;
  /** The value of a required option. @throws Error if it is missing */
  text(name: string): string;
  optional(name: string): string | undefined;
}

/** Prints one JSON line, which the runner of the matrix reads. */
export function print(msg: string, fields: Record<string, unknown> = {}): void {
  process.stdout.write(`${JSON.stringify({ msg, ...fields })}\n`);
}

export function readOptions(args: string[]): Options {
  const names = ['relay', 'key', 'muxer', 'peer', 'version', 'entries', 'limit', 'bytes', 'tracker', 'user'];
  names.push('deletions', 'bad', 'answer');
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
      if (value === undefined) throw new Error(`The option --${name} is missing.`);
      return value;
    },
  };
}
