// `node e2e/interop/record.ts`: records the wire messages of the programs of the matrix for the unit tests of hop, swarm key
// and sync. The swarm key is a public test key.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRelay, startTracker } from '../../scripts/local-network.ts';
import { formatSwarmKey, readSwarmKey } from '../../services/private-network/key.ts';
import { createCell, type Network } from './cell.ts';
import { isInstalled, PROGRAMS } from './programs.ts';
import { recordHop } from './record-hop.ts';
import { recordHandshake } from './record-psk.ts';
import { recordSync, RECORDED_ENTRIES } from './record-sync.ts';

const ROOT = join(import.meta.dirname, '../..');

const TEST_KEY = Uint8Array.from({ length: 32 }, (_, index) => index);

function write(path: string, content: object): void {
  const note = 'Recorded by `node e2e/interop/record.ts`. All bytes are hexadecimal, as on the wire.';
  writeFileSync(join(ROOT, path), `${JSON.stringify({ note, ...content }, undefined, 2)}\n`);
  process.stdout.write(`wrote ${path}\n`);
}

const folder = mkdtempSync(join(tmpdir(), 'rustory-record-'));
const swarmKey = join(folder, 'swarm.key');
writeFileSync(swarmKey, formatSwarmKey({ bytes: TEST_KEY, fingerprint: '' }), { mode: 0o600 });
const [relay, tracker] = [await startRelay(folder), await startTracker()];
const network: Network = { folder, swarmKey, relay, tracker };
try {
  const [hop, psk, sync] = [[], [], []] as object[][];
  for (const program of PROGRAMS) {
    if (program.toolchain !== undefined && !(await isInstalled(program.toolchain)))
      throw new Error(
        `${program.toolchain} does not work on this machine: install it to record ${program.name}.`,
      );
    await program.build();
    const cell = createCell(network, program, 'both');
    const { name, versions } = program;
    psk?.push({ program: name, versions, ...(await recordHandshake(cell)) });
    hop?.push({ program: name, versions, ...(await recordHop(cell, readSwarmKey(swarmKey))) });
    sync?.push({ program: name, versions, ...(await recordSync(cell, readSwarmKey(swarmKey))) });
    await cell.stop();
  }
  write('services/private-network/psk.transcripts.json', {
    key: Buffer.from(TEST_KEY).toString('hex'),
    handshakes: psk,
  });
  write('services/relay/hop.transcripts.json', { exchanges: hop });
  write('services/peer/sync/sync.transcripts.json', { entries: RECORDED_ENTRIES, messages: sync });
} finally {
  await Promise.all([relay.stop(), tracker.stop()]);
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
