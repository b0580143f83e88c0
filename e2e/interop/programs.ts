// The programs of the matrix: peers that share no code with ours, or only the swarm key protector. All have one command
// line, so that one set of scenarios drives them all:
//
//   PROGRAM reserve|serve --relay ADDRESS --key FILE --muxer yamux|mplex|both [--version 1.0.0|1.0.1] [--entries FILE]
//   PROGRAM dial|pull|bulk --relay ADDRESS --key FILE --muxer … --peer ID [--version …] [--limit N] [--bytes N] [--pause]
//   PROGRAM register|list --tracker URL --user NAME --relay ADDRESS
//
// Each prints one JSON object a line, told apart by `msg`: started, reserved, lost, circuit, dialed, entry, pulled, served,
// half, sent, received, confirmed, registered, listed; and `error` on standard error before it ends with 1.
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where builds are kept between runs; outside of the repository, because it takes gigabytes. */
const CACHE = process.env['INTEROP_CACHE'] ?? join(homedir(), '.cache/rustory-interop');

/** A cold build of one profile takes minutes on two cores; past this it hangs. */
const BUILD_TIMEOUT_MS = 30 * 60 * 1000;

export const MUXERS = ['yamux', 'mplex', 'both'] as const;
export type Muxer = (typeof MUXERS)[number];

export interface Program {
  readonly name: string;
  /** What it is made of, for the report. */
  readonly versions: string;
  /** Whether it tells the limits that a reservation came with; stock js-libp2p keeps them to itself. */
  readonly tellsReservationLimits: boolean;
  /** What must be on the PATH to build it. */
  readonly toolchain?: 'cargo' | 'go';
  readonly command: readonly [string, ...string[]];
  /** Builds it, or finds that nothing has changed. @throws when it cannot be built. */
  build(): Promise<void>;
}

export const PROGRAMS: readonly Program[] = [
  rust('rust-0.55', 'released'),
  rust('rust-newest', 'newest'),
  {
    name: 'go',
    versions: versionsOf('go/go.mod', /^\s(?:github\.com\/libp2p\/)(go-libp2p(?:-mplex)?) v(\S+)$/gm),
    tellsReservationLimits: true,
    toolchain: 'go',
    command: [join(CACHE, 'bin/go')],
    async build() {
      await run('go', ['build', '-o', join(CACHE, 'bin/go'), '.'], { cwd: at('go') });
    },
  },
  {
    name: 'js',
    versions: ['libp2p', '@libp2p/circuit-relay-v2', '@libp2p/noise', '@libp2p/yamux', '@libp2p/mplex']
      .map((name) => `${name} ${installedVersion(name)}`)
      .join(', '),
    tellsReservationLimits: false,
    command: [process.execPath, at('js/main.ts')],
    build: async () => {},
  },
];

function rust(name: string, feature: 'released' | 'newest'): Program {
  const target = join(CACHE, 'rust');
  const binary = join(CACHE, `bin/${name}`);
  return {
    name,
    versions: lockedVersions(feature),
    tellsReservationLimits: true,
    toolchain: 'cargo',
    command: [binary],
    async build() {
      const args = ['build', '--release', '--locked', '--no-default-features', '--features', feature];
      await run('cargo', args, { cwd: at('rust'), env: { ...process.env, CARGO_TARGET_DIR: target } });
      // Both profiles are built under one name, so that they share what they have in common.
      copyFileSync(join(target, 'release/rustory-interop'), `${binary}.new`);
      // Over one that runs nothing can be written, but it can be replaced.
      renameSync(`${binary}.new`, binary);
    },
  };
}

/** Whether a toolchain of this machine works: rustup's `cargo` is also there for users who have no toolchain. */
export function isInstalled(toolchain: string): boolean {
  return spawnSync(toolchain, ['version'], { stdio: 'ignore' }).status === 0;
}

async function run(
  program: string,
  args: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
): Promise<void> {
  mkdirSync(join(CACHE, 'bin'), { recursive: true });
  const child = spawn(program, args, {
    ...options,
    stdio: 'inherit',
    timeout: BUILD_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const code = await new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve(status ?? signal ?? 1));
  });
  if (code !== 0) throw new Error(`${program} ${args[0] ?? ''} ended with ${code}`);
}

function at(path: string): string {
  return join(import.meta.dirname, path);
}

/** What the pattern finds in a file, as `name version`. */
function versionsOf(path: string, pattern: RegExp): string {
  const found = readFileSync(at(path), 'utf8').matchAll(pattern);
  return [...found].map(([, name, version]) => `${name} ${version}`).join(', ');
}

/** What the lock file has of the series that `Cargo.toml` names for a feature. */
function lockedVersions(feature: string): string {
  const wanted = readFileSync(at('rust/Cargo.toml'), 'utf8').matchAll(
    new RegExp(`^\\w+_${feature} = \\{ package = "([^"]+)", version = "([^"]+)"`, 'gm'),
  );
  const locked = readFileSync(at('rust/Cargo.lock'), 'utf8');
  return [...wanted]
    .map(([, name = '', series = '']) => {
      const found = new RegExp(`name = "${name}"\nversion = "(${RegExp.escape(series)}[^"]*)"`).exec(locked);
      return `${name} ${found?.[1] ?? series}`;
    })
    .join(', ');
}

function installedVersion(name: string): string {
  const path = join(import.meta.dirname, '../../node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
