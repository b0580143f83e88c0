// The command line of `npm run bench`.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './machine.ts';
import { MIN_ROUNDS } from './method.ts';

export const HELP = `npm run bench [NAME...] [-- OPTIONS]

Runs benchmarks, all without a NAME, and writes docs/benchmarks.md. Each takes at most 10 minutes. Nothing else should run
on the machine.

  --list          List the benchmarks and exit.
  --rounds N      Rounds after the warm-up. Default ${MIN_ROUNDS}, which is the minimum of a valid result.
  --seed N        Seed of the order of the runs. Default: random, and printed.
  --quick         One small run of each row, to see that it works. The figures are not valid.
  --only TEXT     Only the rows with this text in table, case or variant. The figures are not valid.
  --output DIR    Where the report is written. Default: docs, or node_modules/.cache/bench when the figures are not valid.
  --help          Print this help and exit.
`;

export interface Options {
  readonly names: readonly string[];
  readonly action: 'run' | 'list' | 'help';
  readonly rounds: number;
  readonly seed: number;
  readonly isQuick: boolean;
  readonly only?: string;
  readonly output: string;
  /** The command that runs the same again. */
  readonly command: string;
}

const MAX_SEED = 2 ** 32;

/** @throws TypeError for an unknown option or a value that is not a number */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seed: { type: 'string' },
      only: { type: 'string' },
      output: { type: 'string' },
    },
  });
  const rounds = values.quick ? 1 : readNumber('--rounds', values.rounds, MIN_ROUNDS, 1, 100);
  const seed = readNumber('--seed', values.seed, Math.floor(Math.random() * MAX_SEED), 0, MAX_SEED - 1);
  const isValid = !values.quick && values.only === undefined && rounds >= MIN_ROUNDS;
  return {
    names: positionals,
    action: values.help ? 'help' : values.list ? 'list' : 'run',
    rounds,
    seed,
    isQuick: values.quick,
    ...(values.only === undefined ? {} : { only: values.only }),
    output: values.output ?? join(ROOT, isValid ? 'docs' : 'node_modules/.cache/bench'),
    command: ['npm run bench', ...(args.length === 0 ? [] : ['--', ...args])].join(' '),
  };
}

function readNumber(
  name: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new TypeError(`${name}: "${text}" is not a whole number from ${min} to ${max}.`);
  return value;
}
