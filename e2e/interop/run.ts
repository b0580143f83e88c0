// `npm run interop [-- WORDS…]`: builds the programs, runs the matrix, and writes docs/interop.md after a complete run.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRelay, startTracker } from '../../scripts/local-network.ts';
import { cleanUp } from '../../testing/cleanup.ts';
import { buildPrograms, createRunner, type Row, selectRows } from './matrix.ts';
import { PAIRS } from './pairs.ts';
import { PROGRAMS } from './programs.ts';
import { count, formatPage, formatTable } from './report.ts';
import { SCENARIOS } from './scenarios.ts';

const ROOT = join(import.meta.dirname, '../..');
const CIRCUIT_BYTES = 1024 ** 3;

const HELP = `npm run interop [-- WORDS…]

Builds peers with rust-libp2p, go-libp2p and js-libp2p, runs them against the tracker, the relay and the peer, and
prints a table of the results. With words, only the cells whose name contains one of them run:

  npm run interop -- mplex                 all cells with mplex
  npm run interop -- 'rust-0.55 yamux: bulk'

A complete run with cargo and go writes docs/interop.md. Builds are kept in INTEROP_CACHE (default
~/.cache/rustory-interop). The exit code is 0 if no cell failed, 1 if one failed, 2 if no cell matches.`;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Runs the rows and returns the exit code. */
async function run(matrix: readonly Row[], across: readonly Row[], isComplete: boolean): Promise<number> {
  const programs = across.length > 0 ? PROGRAMS : matrix.map(({ program }) => program);
  const unavailable = await buildPrograms([...new Set(programs)], print);
  const folder = mkdtempSync(join(tmpdir(), 'rustory-interop-'));
  const relay = await startRelay(folder, { env: { RELAY_CIRCUIT_BYTES: String(CIRCUIT_BYTES) } });
  const tracker = await startTracker();
  const network = { folder, swarmKey: join(folder, 'swarm.key'), tracker, relay };
  const runner = createRunner(network, unavailable, print);
  const close = async (): Promise<void> => {
    await runner.stop();
    await cleanUp();
    await Promise.all([relay.stop(), tracker.stop()]);
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void close().then(() => process.exit(1)));
  try {
    const results = { matrix: await runner.run(matrix), across: await runner.run(across) };
    const all = [...results.matrix, ...results.across];
    const [passed, failed, skipped] = [count(all, 'passed'), count(all, 'failed'), count(all, 'skipped')];
    if (results.matrix.length > 0) print(`\n${formatTable(results.matrix, SCENARIOS)}`);
    if (results.across.length > 0) print(`\n${formatTable(results.across, PAIRS)}`);
    for (const [program, { outcome, reason }] of unavailable) print(`${outcome}: ${program.name}: ${reason}`);
    if (isComplete && skipped === 0) {
      const findings = readFileSync(join(import.meta.dirname, 'findings.md'), 'utf8');
      const page = { programs: PROGRAMS, scenarios: SCENARIOS, pairs: PAIRS, ...results, findings };
      writeFileSync(join(ROOT, 'docs/interop.md'), formatPage(page));
    }
    print(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
    return failed === 0 ? 0 : 1;
  } finally {
    await close();
  }
}

const words = process.argv.slice(2);
const { matrix, across } = selectRows(words);
if (words.some((word) => word === '--help' || word === '-h')) print(HELP);
else if (matrix.length + across.length === 0) {
  process.stderr.write(
    `No cell has a name that contains ${words.map((word) => `"${word}"`).join(' or ')}. Run npm run interop -- --help.\n`,
  );
  process.exitCode = 2;
} else process.exitCode = await run(matrix, across, words.length === 0);
