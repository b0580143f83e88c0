// `node e2e/interop/mesh.ts [--devices 12] [--minutes 30] [--interval 60] [--muxer both] [--relay ours|rust]`: daemons of
// `rr` 1.x with one user over one relay, all rounds starting in the same second. Prints failed circuits, failed rounds, the
// duration of rounds, and the CPU time and memory of the relay and of the tracker. The exit code is 1 if anything failed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startRelay, startTracker } from '../../scripts/local-network.ts';
import type { Running } from '../../scripts/processes.ts';
import { createSwarmKeyFile } from '../../services/private-network/key.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { formatMesh, startMesh } from './mesh-run.ts';
import { buildRr, RR_PROGRAMS } from './rr-programs.ts';
import { rustRelayProgram, startRustRelay } from './rust-relay.ts';

const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: '12' },
    minutes: { type: 'string', default: '30' },
    interval: { type: 'string', default: '60' },
    muxer: { type: 'string', default: 'both' },
    relay: { type: 'string', default: 'ours' },
  },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const program = RR_PROGRAMS.find(({ generation, muxer }) => generation === '1.x' && muxer === values.muxer);
if (program === undefined) throw new Error(`--muxer: unknown muxer "${values.muxer}".`);
if (values.relay !== 'ours' && values.relay !== 'rust')
  throw new Error(`--relay: unknown relay "${values.relay}".`);
const missing = await buildRr(say, ['1.x']);
if (missing !== undefined) throw new Error(`The mesh requires cargo: ${missing}.`);

const folder = mkdtempSync(join(tmpdir(), 'rustory-mesh-'));
const swarmKey = join(folder, 'swarm.key');
onCleanup(() => rmSync(folder, { recursive: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void cleanUp().then(() => process.exit(1)));

async function startChosenRelay(): Promise<Running & { readonly address: string }> {
  if (values.relay === 'ours') return startRelay(folder, { env: { RELAY_SWARM_KEY_FILE: swarmKey } });
  await rustRelayProgram().build();
  return startRustRelay({ swarmKey });
}

try {
  createSwarmKeyFile(swarmKey);
  const relay = await startChosenRelay();
  onCleanup(relay.stop);
  const tracker = await startTracker();
  onCleanup(tracker.stop);
  const intervalSeconds = Number(values.interval);
  const mesh = await startMesh({
    program,
    folder,
    swarmKey,
    relay,
    tracker,
    devices: Number(values.devices),
    intervalSeconds,
    onStart: (running) => onCleanup(() => running.kill('SIGKILL')),
  });
  const rounds = Math.max(1, Math.floor((Number(values.minutes) * 60) / intervalSeconds));
  const result = await mesh.run(rounds, say);
  const wrong = await mesh.wrongHistories();
  say([formatMesh(result), ...wrong].join('\n'));
  process.exitCode = mesh.failures().size + result.failedRounds + wrong.length === 0 ? 0 : 1;
} finally {
  await cleanUp();
}
