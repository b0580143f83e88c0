// `npm run interop [-- WORDS…]`: builds the programs, runs the matrix, and writes docs/interop.md after a complete run.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRelay, startTracker } from '../../scripts/local-network.ts';
import { cleanUp } from '../../testing/cleanup.ts';
import { buildPrograms, createRunner, programsOfRows, type Row, selectRows } from './matrix.ts';
import { PAIRS } from './pairs.ts';
import { PROGRAMS } from './programs.ts';
import { createRrRunner, type RrRow, selectRrRows } from './rr-matrix.ts';
import { buildRr } from './rr-programs.ts';
import { RR_SCENARIOS } from './rr-scenarios.ts';
import { count, formatPage, formatTable } from './report.ts';
import { SCENARIOS } from './scenarios.ts';

// In our processes, whoever keeps a reference to received bytes gets wrong ones.
process.env['RUSTORY_POISON_READS'] = 'true';

const ROOT = join(import.meta.dirname, '../..');
const CIRCUIT_BYTES = 1024 ** 3;

const HELP = `npm run interop [-- WORDS…]

Builds peers with rust-libp2p, go-libp2p and js-libp2p, runs them against the tracker, the relay and the peer, and
prints a table of the results. With words, only the cells whose name contains one of them run:

  npm run interop -- mplex                 all cells with mplex
  npm run interop -- 'rust-0.55 yamux: bulk'
  npm run interop -- rr                    all cells with the stand-ins for rr clients
  npm run interop -- long                  the cells with them that run for minutes

A complete run with cargo and go writes docs/interop.md. Builds are kept in INTEROP_CACHE (default
~/.cache/rustory-interop). The exit code is 0 if no cell failed, 1 if one failed, 2 if no cell matches.`;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

interface Selection {
  readonly matrix: readonly Row[];
  readonly across: readonly Row[];
  readonly rr: readonly RrRow[];
}

/** Runs the rows and returns the exit code. */
async function run({ matrix, across, rr }: Selection, isComplete: boolean): Promise<number> {
  const unavailable = await buildPrograms(programsOfRows([...matrix, ...across]), print);
  const rrMissing = rr.length > 0 ? await buildRr(print) : undefined;
  const folder = mkdtempSync(join(tmpdir(), 'rustory-interop-'));
  const relay = await startRelay(folder, { env: { RELAY_CIRCUIT_BYTES: String(CIRCUIT_BYTES) } });
  const tracker = await startTracker();
  const network = { folder, swarmKey: join(folder, 'swarm.key'), tracker, relay };
  const runner = createRunner(network, unavailable, print);
  const rrRunner = createRrRunner(network, rrMissing, print);
  const close = async (): Promise<void> => {
    await Promise.all([runner.stop(), rrRunner.stop()]);
    await cleanUp();
    await Promise.all([relay.stop(), tracker.stop()]);
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void close().then(() => process.exit(1)));
  try {
    // The rows of the stand-ins for rr mostly wait, so they run beside the others.
    const runPairs = async () => ({ matrix: await runner.run(matrix), across: await runner.run(across) });
    const [pairs, rrResults] = await Promise.all([runPairs(), rrRunner.run(rr)]);
    const results = { ...pairs, rr: rrResults };
    const all = [...results.matrix, ...results.across, ...results.rr];
    const [passed, failed, skipped] = [count(all, 'passed'), count(all, 'failed'), count(all, 'skipped')];
    if (results.matrix.length > 0) print(`\n${formatTable(results.matrix, SCENARIOS)}`);
    if (results.across.length > 0) print(`\n${formatTable(results.across, PAIRS)}`);
    if (results.rr.length > 0) print(`\n${formatTable(results.rr, RR_SCENARIOS)}`);
    if (rrMissing !== undefined) print(`skipped: rr: ${rrMissing}`);
    for (const [program, { outcome, reason }] of unavailable) print(`${outcome}: ${program.name}: ${reason}`);
    if (isComplete && skipped === 0) {
      const findings = readFileSync(join(import.meta.dirname, 'findings.md'), 'utf8');
      const page = { programs: PROGRAMS, scenarios: SCENARIOS, pairs: PAIRS, rrScenarios: RR_SCENARIOS };
      writeFileSync(join(ROOT, 'docs/interop.md'), formatPage({ ...page, ...results, findings }));
    }
    print(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
    return failed === 0 ? 0 : 1;
  } finally {
    await close();
  }
}

const words = process.argv.slice(2);
const selection: Selection = { ...selectRows(words), rr: selectRrRows(words) };
if (words.some((word) => word === '--help' || word === '-h')) print(HELP);
else if (Object.values(selection).every((rows) => rows.length === 0)) {
  process.stderr.write(
    `No cell has a name that contains ${words.map((word) => `"${word}"`).join(' or ')}. Run npm run interop -- --help.\n`,
  );
  process.exitCode = 2;
} else process.exitCode = await run(selection, words.length === 0);
