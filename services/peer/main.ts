#!/usr/bin/env node
// The peer: `node services/peer/main.ts --help`.
import { hideExperimentalWarnings } from '../shared/experimental-warnings.ts';
import { exitWithError } from '../shared/program.ts';
import { runCli } from './cli/cli.ts';
import { PROGRAM } from './config/config.ts';

/** Maximum time that open handles can delay the exit of a finished command, in milliseconds. */
const EXIT_DELAY_MS = 2_000;

const { env: environment, stdout, stderr } = process;

// In Node.js 22 these are SQLite and zstd.
hideExperimentalWarnings();

// A reader such as `head` closes the pipe early; the next write fails, which is not an error of the command, unless it set
// an exit code for an output that is not complete.
stdout.on('error', () => process.exit());

async function main(): Promise<void> {
  process.exitCode = await runCli(process.argv.slice(2), { environment, stdout, stderr });
  setTimeout(() => process.exit(), EXIT_DELAY_MS).unref();
}

main().catch((error: unknown) => exitWithError(PROGRAM.name, error));
