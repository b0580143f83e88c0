// The programs of the matrix: peers that share no code with our services, except that the js program uses our swarm key
// protector. All programs have the same command line, so the same scenarios run with each of them:
//
//   PROGRAM reserve|serve --relay ADDRESS --key FILE --muxer yamux|mplex|both [--version 1.0.0|1.0.1] [--entries FILE]
//   PROGRAM dial|pull|bulk --relay ADDRESS --key FILE --muxer … --peer id [--version …] [--limit N] [--bytes N] [--pause]
//   PROGRAM push --relay … --peer id [--version …] [--entries FILE] [--deletions FILE] [--limit N] [--bad KIND]
//   PROGRAM register|list --tracker URL --user NAME --relay ADDRESS
//
// The Rust programs have more for the benchmarks: `bulk --wait` connects, and sends after a line of input, and with `--seed N`
// other data; `pull --summary` prints a hash of the entries instead of the entries; and
//
//   PROGRAM relay --key FILE --muxer … [--listen ADDRESS] [--identity FILE] [--defaults|--rr-limits]
//   PROGRAM sync --relay ADDRESS --key FILE --muxer … --peers id,id… --count N --parallel N --devices N
//
// `serve` answers pushes as `--answer KIND,…` says, one after another, and repeats the last one: counts (default), nulls,
// bare (only `ok`), refuse (`ok` is false), garbage or close. `--bad` sends a push that is garbage, cut, large (more than 16 MiB), a bomb (more than 64 MiB decompressed) or has
// bad items.
//
// Each program prints one JSON object per line. The field `msg` is started, reserved, lost, circuit, dialed, entry, pulled,
// served, pushed, took, deletion, half, sent, received, confirmed, registered or listed; listening, ready and synced in
// the commands for the benchmarks. If it fails, it prints a line with the `msg` error to standard error and exits with 1.
import { copyFileSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { attempt, type CommandOptions, run } from '../../testing/command.ts';

/** The folder for builds; outside the repository, because it contains gigabytes. */
export const CACHE = process.env['INTEROP_CACHE'] ?? join(homedir(), '.cache/rustory-interop');

/** Timeout of a build, in milliseconds. The first build takes several minutes on two cores. */
const BUILD_TIMEOUT_MS = 30 * 60 * 1000;

export const MUXERS = ['yamux', 'mplex', 'both'] as const;
export type Muxer = (typeof MUXERS)[number];

export interface Program {
  readonly name: string;
  /** The versions of its libraries, for the report. */
  readonly versions: string;
  /** Whether it reports the limits of a reservation; stock js-libp2p does not expose them. */
  readonly reportsReservationLimits: boolean;
  /** The toolchain on the PATH that builds it. */
  readonly toolchain?: 'cargo' | 'go';
  readonly command: readonly [string, ...string[]];
  /** Builds it, if its source has changed. @throws Error if it cannot be built */
  build(): Promise<void>;
}

export const PROGRAMS: readonly Program[] = [
  rust('rust-0.55', 'released'),
  rust('rust-newest', 'newest'),
  {
    name: 'go',
    versions: versionsOf('go/go.mod', /^\s(?:github\.com\/libp2p\/)(go-libp2p(?:-mplex)?) v(\S+)$/gm),
    reportsReservationLimits: true,
    toolchain: 'go',
    command: [join(CACHE, 'bin/go')],
    async build() {
      await compile('go', ['build', '-o', join(CACHE, 'bin/go'), '.'], { cwd: pathOf('go') });
    },
  },
  {
    name: 'js',
    versions: ['libp2p', '@libp2p/circuit-relay-v2', '@libp2p/noise', '@libp2p/yamux', '@libp2p/mplex']
      .map((name) => `${name} ${installedVersion(name)}`)
      .join(', '),
    reportsReservationLimits: false,
    command: [process.execPath, pathOf('js/main.ts')],
    build: async () => {},
  },
];

function rust(name: string, feature: 'released' | 'newest'): Program {
  const target = join(CACHE, 'rust');
  const binary = join(CACHE, `bin/${name}`);
  return {
    name,
    versions: lockedVersions(feature),
    reportsReservationLimits: true,
    toolchain: 'cargo',
    command: [binary],
    async build() {
      const args = ['build', '--release', '--locked', '--no-default-features', '--features', feature];
      await compile('cargo', args, { cwd: pathOf('rust'), env: { CARGO_TARGET_DIR: target } });
      // Both features share one target folder, and so the build of their common dependencies.
      copyFileSync(join(target, 'release/rustory-interop'), `${binary}.new`);
      // A running binary cannot be overwritten, but it can be replaced.
      renameSync(`${binary}.new`, binary);
    },
  };
}

/** Whether a toolchain works. The `cargo` of rustup exists on the PATH even if no toolchain is installed. */
export async function isInstalled(toolchain: string): Promise<boolean> {
  return (await attempt(toolchain, ['version'])).code === 0;
}

export async function compile(
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<void> {
  mkdirSync(join(CACHE, 'bin'), { recursive: true });
  await run(program, args, { ...options, timeoutMs: BUILD_TIMEOUT_MS, inheritsOutput: true });
}

export function pathOf(path: string): string {
  return join(import.meta.dirname, path);
}

/** The matches of a pattern in a file, as `name version`. */
function versionsOf(path: string, pattern: RegExp): string {
  const found = readFileSync(pathOf(path), 'utf8').matchAll(pattern);
  return [...found].map(([, name, version]) => `${name} ${version}`).join(', ');
}

/** The locked versions of the dependencies that `Cargo.toml` declares for a feature. */
function lockedVersions(feature: string): string {
  const wanted = readFileSync(pathOf('rust/Cargo.toml'), 'utf8').matchAll(
    new RegExp(`^\\w+_${feature} = \\{ package = "([^"]+)", version = "([^"]+)"`, 'gm'),
  );
  const locked = readFileSync(pathOf('rust/Cargo.lock'), 'utf8');
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
