import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { makePrivateDirectory, readSmallFile } from './files.ts';

const folder = mkdtempSync(join(tmpdir(), 'files-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('readSmallFile', () => {
  const path = join(folder, 'file');

  test('returns a file of the maximum size', () => {
    writeFileSync(path, 'secret');
    expect(readSmallFile(path, 6).toString()).toBe('secret');
  });

  test('rejects a larger file with its path and without its content', () => {
    writeFileSync(path, 'secret');
    expect(() => readSmallFile(path, 5)).toThrow(new Error(`${path}: The file is larger than 5 bytes.`));
  });

  test('rejects a missing file, and a directory, with the path and the reason', () => {
    const missing = join(folder, 'missing');
    expect(() => readSmallFile(missing, 5)).toThrow(`${missing}: cannot be read: ENOENT`);
    expect(() => readSmallFile(folder, 5)).toThrow(`${folder}: cannot be read: EISDIR`);
  });
});

describe('makePrivateDirectory', () => {
  test('creates a directory and its parents for their owner only, and accepts an existing one', () => {
    const path = join(folder, 'a/b/c');
    makePrivateDirectory(path);
    makePrivateDirectory(path);
    for (const created of [path, join(folder, 'a')]) expect(statSync(created).mode & 0o777).toBe(0o700);
  });

  test('fails below a file, and where the file system creates no directories', () => {
    const file = join(folder, 'not-a-directory');
    writeFileSync(file, '');
    expect(() => makePrivateDirectory(join(file, 'x'))).toThrow();
    // Linux only: below /proc the recursive option of Node never returns.
    if (process.platform === 'linux') expect(() => makePrivateDirectory('/proc/rustory/x')).toThrow('ENOENT');
  });
});
