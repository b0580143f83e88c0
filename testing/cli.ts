// Runs commands of the peer in the process of the test, with a temporary home directory.
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { runCli } from '../services/peer/cli/cli.ts';
import type { Output } from '../services/peer/cli/screen.ts';
import { makeDirectory } from './peer.ts';

/** Columns of the terminal in tests. */
const COLUMNS = 80;

export interface TestHome {
  readonly home: string;
  /** The path of a file in the directory of the configuration. */
  inConfig(name: string): string;
  run(
    args: readonly string[],
    environment?: NodeJS.ProcessEnv,
    /** Whether both outputs are a terminal. */
    isTTY?: boolean,
  ): Promise<{ code: number; stdout: string; stderr: string }>;
}

export function createTestHome(): TestHome {
  const home = makeDirectory();
  return {
    home,
    inConfig: (name) => join(home, '.config', 'rustory', name),
    async run(args, environment = {}, isTTY = false) {
      const [stdout, stderr] = [createTestOutput(isTTY), createTestOutput(isTTY)];
      const variables = { HOME: home, LOG_LEVEL: 'silent', ...environment };
      // The clock stands still, because a command that takes long without a terminal prints its progress.
      const code = await runCli(args, { environment: variables, stdout, stderr, nowMs: () => 0 });
      return { code, stdout: stdout.text(), stderr: stderr.text() };
    },
  };
}

/** An output that collects the written text. */
export function createTestOutput(isTTY: boolean, columns = COLUMNS): Output & { text(): string } {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      done();
    },
  });
  return Object.assign(stream, { text: () => text, isTTY, columns });
}
