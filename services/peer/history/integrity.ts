// The check of a database by SQLite, in another process: it reads the whole file, during which this process could do nothing
// else, and cannot be interrupted within a process.
import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';

/** Maximum problems that are reported. */
const MAX_PROBLEMS = 3;

/**
 * The program of the other process. `quick_check` finds damaged pages and rows; the complete check, which also compares
 * the indexes, takes many times longer. It opens the file only for reading, and reads a snapshot: others can write meanwhile.
 */
const PROGRAM = `
const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
const sqlite = new DatabaseSync(process.argv[1], { readOnly: true, timeout: 5000 });
const rows = sqlite.prepare('PRAGMA quick_check(${MAX_PROBLEMS})').all();
process.stdout.write(JSON.stringify(rows.map((row) => row.quick_check)));`;

export type Integrity =
  | { readonly state: 'ok' }
  /** @property text the first problems */
  | { readonly state: 'damaged'; readonly text: string }
  /** The check did not end by itself. @property text why */
  | { readonly state: 'unknown'; readonly text: string };

export interface IntegrityCheck {
  readonly result: Promise<Integrity>;
  /** Ends the check. */
  stop(): void;
}

/** Starts the check of the database at a path. */
export function startIntegrityCheck(path: string): IntegrityCheck {
  // Without NODE_OPTIONS, which limits the heap of this process. On Linux V8 reads nothing else from the environment.
  const child = spawn(process.execPath, ['--no-warnings', '-e', PROGRAM, '--', path], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {},
  });
  return { result: resultOf(child), stop: () => void child.kill('SIGKILL') };
}

async function resultOf(child: ChildProcess): Promise<Integrity> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) return { state: 'unknown', text: 'the process has no output' };
  try {
    const [output, errors, [code]] = await Promise.all([
      text(stdout),
      text(stderr),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    if (code === 0) return readProblems(output);
    const message =
      /^Error: (.*)$/m.exec(errors)?.[1] ?? `the check ended with ${String(code ?? 'a signal')}`;
    // SQLITE_CORRUPT and SQLITE_NOTADB: not even the schema can be read.
    return /malformed|not a database/.test(message)
      ? { state: 'damaged', text: message }
      : { state: 'unknown', text: message };
  } catch (error) {
    return { state: 'unknown', text: error instanceof Error ? error.message : String(error) };
  }
}

function readProblems(output: string): Integrity {
  const problems = JSON.parse(output) as string[];
  return problems.length === 1 && problems[0] === 'ok'
    ? { state: 'ok' }
    : { state: 'damaged', text: problems.join('; ') };
}
