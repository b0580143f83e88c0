// Runs commands of the peer in the test's own process, in a home directory of their own.
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { runCli } from '../services/peer/cli/cli.ts';
import { makeDirectory } from './peer.ts';

export interface TestHome {
  readonly home: string;
  /** The path of a file in the directory of the configuration. */
  inConfig(name: string): string;
  run(
    args: readonly string[],
    environment?: NodeJS.ProcessEnv,
    /** Whether it writes to a terminal. */
    isTTY?: boolean,
  ): Promise<{ code: number; stdout: string; stderr: string }>;
}

class Sink extends Writable {
  text = '';
  readonly columns = 80;
  readonly isTTY: boolean;

  constructor(isTTY: boolean) {
    super();
    this.isTTY = isTTY;
  }

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export function createTestHome(): TestHome {
  const home = makeDirectory();
  return {
    home,
    inConfig: (name) => join(home, '.config', 'rustory', name),
    async run(args, environment = {}, isTTY = false) {
      const [stdout, stderr] = [new Sink(isTTY), new Sink(isTTY)];
      const settings = { HOME: home, LOG_LEVEL: 'silent', ...environment };
      const code = await runCli(args, { environment: settings, stdout, stderr });
      return { code, stdout: stdout.text, stderr: stderr.text };
    },
  };
}
