// `node e2e/interop/mesh.ts [--devices 12] [--minutes 30] [--interval 60] [--muxer both]`: daemons of `rr` 1.x with one
// user over one relay, all rounds starting in the same second. Prints failed circuits, failed rounds, the duration of
// rounds, and the CPU time and memory of the relay and of the tracker. The exit code is 1 if a round or a circuit failed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startRelay, startTracker } from '../../scripts/local-network.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { formatMesh, runMesh } from './mesh-run.ts';
import { buildRr, RR_PROGRAMS } from './rr-programs.ts';

const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: '12' },
    minutes: { type: 'string', default: '30' },
    interval: { type: 'string', default: '60' },
    muxer: { type: 'string', default: 'both' },
    version: { type: 'string', default: '1.x' },
  },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const program = RR_PROGRAMS.find(({ generation, muxer }) => generation === '1.x' && muxer === values.muxer);
if (program === undefined) throw new Error(`--muxer: unknown muxer "${values.muxer}".`);
const missing = await buildRr(say);
if (missing !== undefined) throw new Error(`The mesh requires cargo: ${missing}.`);

const folder = mkdtempSync(join(tmpdir(), 'rustory-mesh-'));
onCleanup(() => rmSync(folder, { recursive: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void cleanUp().then(() => process.exit(1)));
try {
  const relay = await startRelay(folder);
  onCleanup(relay.stop);
  const tracker = await startTracker();
  onCleanup(tracker.stop);
  const result = await runMesh({
    program,
    folder,
    swarmKey: join(folder, 'swarm.key'),
    relay,
    tracker,
    devices: Number(values.devices),
    seconds: Number(values.minutes) * 60,
    intervalSeconds: Number(values.interval),
    onStart: (running) => onCleanup(() => running.kill('SIGKILL')),
    report: say,
  });
  say(formatMesh(result));
  process.exitCode = result.failedRounds + result.failedCircuits === 0 ? 0 : 1;
} finally {
  await cleanUp();
}
