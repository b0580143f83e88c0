import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { makeCertificate, type TestCertificate } from '../../../testing/certificates.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog, makeDirectory } from '../../../testing/peer.ts';
import { until } from '../../../testing/wait.ts';
import { createReloadedCertificate } from './certificate-reload.ts';
import { readCertificate } from './certificate.ts';

/** A directory as a kubelet mounts it: the files are links through `..data`, which is replaced atomically. */
let directory: string;
let generation = 0;
beforeEach(() => {
  directory = makeDirectory();
  for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(directory, name));
});
afterEach(cleanUp);

function mount({ cert, key }: TestCertificate): void {
  generation += 1;
  const folder = `..generation-${generation}`;
  mkdirSync(join(directory, folder));
  writeFileSync(join(directory, folder, 'tls.crt'), cert);
  writeFileSync(join(directory, folder, 'tls.key'), key);
  symlinkSync(folder, join(directory, '..data_tmp'));
  renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
}

const write = (name: string, text: string): void => writeFileSync(join(directory, '..data', name), text);

async function start(initial: TestCertificate, nowUnixMs: () => number = Date.now) {
  mount(initial);
  const { log, lines } = createTestLog();
  const files = { certPath: join(directory, 'tls.crt'), keyPath: join(directory, 'tls.key') };
  const options = { log, nowUnixMs, reloadIntervalMs: 5 };
  const reloaded = createReloadedCertificate(readCertificate(files, nowUnixMs()), options);
  let changes = 0;
  reloaded.onChange(() => (changes += 1));
  await reloaded.start();
  onCleanup(async () => reloaded.stop());
  return {
    lines,
    changes: () => changes,
    current: () => reloaded.current().cert.toString(),
    warned: (text: string) => lines.some((line) => JSON.stringify(line).includes(text)),
  };
}

const first = makeCertificate();
const second = makeCertificate();

test('a mounted Secret that is replaced is used, once', async () => {
  const { current, changes, lines } = await start(first);
  expect(current()).toBe(first.cert);
  mount(second);
  await until(() => current() === second.cert, 'the new certificate is used');
  expect(changes()).toBe(1);
  expect(lines.map(({ message }) => message)).toContain('certificate read again');
});

test('a certificate whose key is written later is used with its key, and no mismatch', async () => {
  const { current, changes, warned } = await start(first);
  write('tls.crt', second.cert);
  await until(() => warned('certificate not read again'), 'the mismatch is reported');
  expect(warned('The key does not belong to the certificate')).toBe(true);
  expect(current()).toBe(first.cert);
  write('tls.key', second.key);
  await until(() => current() === second.cert, 'the new certificate is used');
  expect(changes()).toBe(1);
});

test.each([
  ['half written', second.key.slice(0, 80)],
  ['empty', ''],
])('a key that is %s leaves the old pair in use, and is reported once', async (_, text) => {
  const { current, lines, warned } = await start(first);
  write('tls.key', text);
  await until(() => warned('TRACKER_TLS_KEY_FILE'), 'the problem is reported');
  expect(current()).toBe(first.cert);
  write('tls.crt', second.cert);
  write('tls.key', second.key);
  await until(() => current() === second.cert, 'the new certificate is used');
  const reports = lines.filter((line) => line.message.startsWith('certificate not read again'));
  expect(new Set(reports.map(({ error }) => error)).size).toBe(reports.length);
  expect(JSON.stringify(lines)).not.toContain(second.key.split('\n')[1]);
});

test('a certificate that expires while it is in use is reported once, with the date', async () => {
  let nowMs = Date.now();
  const { lines, warned, current } = await start(first, () => nowMs);
  expect(warned('expired on')).toBe(false);
  nowMs += 2 * 24 * 60 * 60 * 1_000;
  await until(() => warned('The certificate expired on 2'), 'the end is reported');
  mount(makeCertificate({ notAfterUnixMs: nowMs + 1_000_000 }));
  await until(() => current() !== first.cert, 'the new certificate is used');
  expect(lines.filter((line) => JSON.stringify(line).includes('expired on'))).toHaveLength(1);
});
