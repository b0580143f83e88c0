// Bulk data through circuits, sent and received by rust-libp2p as in released clients: messages of Noise with at most 16 KiB.
import { hashOfBulk } from '../../e2e/interop/steps.ts';
import type { Running } from '../../scripts/processes.ts';
import type { RunContext } from '../benchmark.ts';
import { createStarter, type Load, reasonOf, reservedPeer, type RustLoadOptions } from './load.ts';

export interface BulkOptions extends RustLoadOptions {
  /** Each has a sender and a receiver of its own, with an identity and a connection of its own. */
  readonly circuits: number;
  readonly bytesPerCircuit: number;
}

/** Deadline of one transfer, in milliseconds: that of the program. */
const TRANSFER_MS = 300_000;

/**
 * Connects the circuits. The work sends all bytes; the receivers hash what arrives. Each circuit has other data, so that bytes
 * of another circuit are wrong bytes.
 */
export async function prepareBulk(
  context: Pick<RunContext, 'folder' | 'onEnd'>,
  options: BulkOptions,
): Promise<Load> {
  const { circuits, bytesPerCircuit } = options;
  const start = createStarter(context, options);
  const pairs = await Promise.all(
    Array.from({ length: circuits }, async (_, seed) => {
      const receiver = start(['serve']);
      const peer = await reservedPeer(receiver);
      const data = ['--bytes', String(bytesPerCircuit), '--seed', String(seed)];
      const sender = start(['bulk', '--peer', peer, ...data, '--wait']);
      await sender.waitFor('ready');
      return { sender, receiver, expected: hashOfBulk(bytesPerCircuit, seed) };
    }),
  );
  return {
    processes: pairs.flatMap(({ sender, receiver }) => [sender, receiver]),
    async work() {
      const results = await Promise.all(pairs.map(async (pair) => transfer(pair, bytesPerCircuit)));
      const errors = results.flatMap(({ error }) => (error === undefined ? [] : [error]));
      return {
        operations: 0,
        bytes: (circuits - errors.length) * bytesPerCircuit,
        latenciesMs: results.map(({ ms }) => ms),
        errors,
      };
    },
  };
}

interface Pair {
  readonly sender: Running;
  readonly receiver: Running;
  /** The hash of what is sent. */
  readonly expected: string;
}

async function transfer(
  { sender, receiver, expected }: Pair,
  bytes: number,
): Promise<{ readonly ms: number; readonly error?: string }> {
  const startMs = performance.now();
  sender.write('go');
  try {
    const [confirmed, received] = await Promise.all([
      sender.waitFor('confirmed', undefined, TRANSFER_MS),
      receiver.waitFor('received', undefined, TRANSFER_MS),
    ]);
    const ms = performance.now() - startMs;
    if (received['bytes'] !== bytes)
      return { ms, error: `${String(received['bytes'])} bytes arrived instead of ${bytes}.` };
    if (received['sha256'] !== expected || confirmed['sha256'] !== expected)
      return { ms, error: `The hash of the ${bytes} bytes that arrived is wrong.` };
    return { ms };
  } catch (error) {
    return { ms: performance.now() - startMs, error: `A transfer failed: ${reasonOf(sender, error)}` };
  }
}
