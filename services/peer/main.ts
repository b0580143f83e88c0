#!/usr/bin/env node
// The peer: `node services/peer/main.ts --help`.
import { exitWithError } from '../shared/program.ts';
import { runCli } from './cli/cli.ts';
import { PROGRAM } from './config/config.ts';

/** Maximum time that open handles can delay the exit of a finished command, in milliseconds. */
const EXIT_DELAY_MS = 2_000;

const { env: environment, stdout, stderr } = process;

// Node.js 22 warns at each start that its SQLite and zstd modules are experimental. The user cannot change this.
const printWarning = process.listeners('warning');
process.removeAllListeners('warning').on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') for (const print of printWarning) print(warning);
});

// A reader such as `head` closes the pipe early; the next write fails, which is not an error of the command, unless it set
// an exit code for an output that is not complete.
stdout.on('error', () => process.exit());

async function main(): Promise<void> {
  process.exitCode = await runCli(process.argv.slice(2), { environment, stdout, stderr });
  setTimeout(() => process.exit(), EXIT_DELAY_MS).unref();
}

main().catch((error: unknown) => exitWithError(PROGRAM.name, error));
