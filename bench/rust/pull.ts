// A new device pulls a whole history through the relay, with rust-libp2p at both ends.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { entryLines } from '../../e2e/interop/entry-lines.ts';
import type { Entry } from '../../services/peer/history/entry.ts';
import { makeEntries } from '../../testing/network.ts';
import type { RunContext } from '../benchmark.ts';
import { createStarter, type Load, reasonOf, reservedPeer, type RustLoadOptions } from './load.ts';

export interface PullOptions extends RustLoadOptions {
  readonly entries: number;
  /** Devices that pull, one after another. Default 1. */
  readonly pulls?: number;
}

/** Deadline of the pull, in milliseconds. */
const PULL_MS = 300_000;

/** Reserves the device with the entries. A latency is that of a pull, from the start of its process to the last entry. */
export async function preparePull(
  context: Pick<RunContext, 'folder' | 'onEnd'>,
  options: PullOptions,
): Promise<Load> {
  const entries = makeEntries('theirs', options.entries);
  const path = join(context.folder, 'entries.json');
  writeFileSync(path, JSON.stringify(entries));
  const expected = hashOf(entries);
  const start = createStarter(context, options);
  const serving = start(['serve', '--entries', path]);
  const peer = await reservedPeer(serving);
  return {
    processes: [serving],
    async work() {
      const latenciesMs: number[] = [];
      const errors: string[] = [];
      for (let pull = 0; pull < (options.pulls ?? 1); pull += 1) {
        const pulling = start(['pull', '--peer', peer, '--summary']);
        try {
          const pulled = await pulling.waitFor('pulled', undefined, PULL_MS);
          latenciesMs.push(Number(pulled['ms']));
          if (pulled['entries'] !== options.entries || pulled['sha256'] !== expected)
            errors.push(`The ${String(pulled['entries'])} entries of a pull are not those of the device.`);
          // Its CPU time counts when it has ended.
          await pulling.exited;
        } catch (error) {
          errors.push(`A pull failed: ${reasonOf(pulling, error)}`);
        }
      }
      return { operations: latenciesMs.length, latenciesMs, errors };
    },
  };
}

function hashOf(entries: readonly Entry[]): string {
  const hash = createHash('sha256');
  for (const line of entryLines(entries)) hash.update(`${line}\n`);
  return hash.digest('hex');
}
