#!/usr/bin/env node
// The peer: `node services/peer/main.ts --help`.
import { runCli } from './cli/cli.ts';
import { exitWithError } from '../shared/program.ts';

/** How long handles that are still open may keep a finished command, in milliseconds. */
const LINGER_MS = 2_000;

const { env: environment, stdout, stderr } = process;

// Node 22 warns of its own SQLite and zstd at each start: nothing that whoever runs a command could change.
const printWarning = process.listeners('warning');
process.removeAllListeners('warning').on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') for (const print of printWarning) print(warning);
});

// `head` and the like close the pipe early; the write that follows fails, and nothing is wrong.
stdout.on('error', () => process.exit(0));

async function main(): Promise<void> {
  process.exitCode = await runCli(process.argv.slice(2), { environment, stdout, stderr });
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

main().catch((error: unknown) => exitWithError('rustory-peer', error));
