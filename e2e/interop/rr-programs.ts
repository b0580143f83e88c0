// The stand-ins for both generations of `rr`: how they are built, and their muxers. `rr/README.md` says what they imitate.
import { copyFileSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, compile, isInstalled, type Muxer, pathOf } from './programs.ts';

export type Generation = '1.x' | '0.1';

export interface RrProgram {
  /** The name of its row. */
  readonly name: string;
  readonly generation: Generation;
  readonly muxer: Muxer;
  /** The version in its registration. */
  readonly version: string;
}

/** One row for each muxer that released clients have. */
export const RR_PROGRAMS: readonly RrProgram[] = [
  { name: 'rr 1.x yamux, mplex', generation: '1.x', muxer: 'both', version: '1.1.0' },
  { name: 'rr 1.x yamux', generation: '1.x', muxer: 'yamux', version: '1.1.1' },
  { name: 'rr 1.x mplex', generation: '1.x', muxer: 'mplex', version: '1.0.65' },
  { name: 'rr 0.1 yamux', generation: '0.1', muxer: 'yamux', version: '0.1.0' },
];

const CRATES: Readonly<Record<Generation, string>> = { '1.x': 'gen1', '0.1': 'gen01' };

/** The path of the built program. */
export function rrBinary(generation: Generation): string {
  return join(CACHE, `bin/rr-${CRATES[generation]}`);
}

/** The versions of its libraries, for the report. */
export function rrVersions(generation: Generation): string {
  const lock = readFileSync(pathOf(`rr/${CRATES[generation]}/Cargo.lock`), 'utf8');
  return ['libp2p', 'libp2p-swarm', 'libp2p-relay', 'libp2p-mplex']
    .map((name) => `${name} ${new RegExp(`name = "${name}"\nversion = "([^"]+)"`).exec(lock)?.[1]}`)
    .join(', ');
}

/** Builds the programs. Returns why they cannot run, or `undefined`. @throws Error if one cannot be built */
export async function buildRr(
  report: (text: string) => void,
  generations: readonly Generation[] = ['1.x', '0.1'],
): Promise<string | undefined> {
  if (!(await isInstalled('cargo'))) return '"cargo version" does not work on this machine';
  const target = join(CACHE, 'rust');
  for (const generation of generations) {
    report(`building rr ${generation} (${rrVersions(generation)})`);
    const crate = CRATES[generation];
    await compile('cargo', ['build', '--release', '--locked'], {
      cwd: pathOf(`rr/${crate}`),
      env: { CARGO_TARGET_DIR: target },
    });
    // A running binary cannot be overwritten, but it can be replaced.
    copyFileSync(join(target, `release/rr-${crate}`), `${rrBinary(generation)}.new`);
    renameSync(`${rrBinary(generation)}.new`, rrBinary(generation));
  }
  return undefined;
}
