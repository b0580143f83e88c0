// Steps that several scenarios share: dial the serving program, and send bulk data to it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Relay } from '../../scripts/local-network.ts';
import type { LogLine } from '../../scripts/processes.ts';
import type { Variant, Cell, Serving } from './cell.ts';

/** js-libp2p cannot read the identify response of rust-libp2p on a circuit; see `findings.md`. */
const IDENTIFY_DEFECT_OF_JS = /^Multiaddr \/p2p\/\w+ was not an IPv4/;

/** Dials the serving program: identify and ping. */
export async function reach(
  cell: Cell,
  relay: Pick<Relay, 'address'>,
  { peerId }: Serving,
  variant?: Variant,
): Promise<void> {
  const { lines, code, stderr } = await cell.run(relay, ['dial', '--peer', peerId], variant);
  assert.equal(code, 0, stderr);
  const dialed = find(lines, 'dialed');
  assert.equal(dialed?.['peer'], peerId);
  if (dialed['agent'] !== undefined) return;
  assert.match(String(dialed['identify_error']), IDENTIFY_DEFECT_OF_JS);
  cell.addDefect('identify');
}

/** Sends bytes to the serving program and compares the hashes of both sides with the expected hash. */
export async function sendBulk(
  cell: Cell,
  relay: Pick<Relay, 'address'>,
  serving: Serving,
  bytes: number,
  variant?: Variant,
): Promise<void> {
  const args = ['bulk', '--peer', serving.peerId, '--bytes', String(bytes)];
  const { lines, code, stderr } = await cell.run(relay, args, variant);
  assert.equal(code, 0, stderr);
  const received = await serving.waitFor('received');
  const hash = hashOfBulk(bytes);
  assert.deepEqual(
    [
      received['bytes'],
      received['sha256'],
      find(lines, 'sent')?.['sha256'],
      find(lines, 'confirmed')?.['sha256'],
    ],
    [bytes, hash, hash, hash],
  );
}

/**
 * The hash of the bulk data that every program must send, computed independently of the programs. With a seed, a 32-bit
 * number, it is that of other data, which only the Rust programs send.
 */
export function hashOfBulk(total: number, seed = 0): string {
  const hash = createHash('sha256');
  const chunkBytes = 64 * 1024;
  const head = Buffer.alloc(8);
  for (let index = 0; index * chunkBytes < total; index += 1) {
    const chunk = Buffer.alloc(Math.min(chunkBytes, total - index * chunkBytes), (index + seed) % 256);
    head.writeUInt32BE(seed, 0);
    head.writeUInt32BE(index, 4);
    head.copy(chunk);
    hash.update(chunk);
  }
  return hash.digest('hex');
}

export function find(lines: readonly LogLine[], msg: string): LogLine | undefined {
  return lines.find((line) => line.msg === msg);
}
