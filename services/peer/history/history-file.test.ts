import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { openHistoryFile } from './history-file.ts';

afterEach(cleanUp);

function open(content: string) {
  const path = join(makeDirectory(), 'history');
  writeFileSync(path, content);
  const file = openHistoryFile(path);
  onCleanup(() => file.close());
  return { path, read: () => Buffer.concat([...file.chunks()]).toString() };
}

test('a file to which a shell appends is read up to the same position each time', () => {
  const { path, read } = open('ls\n');
  appendFileSync(path, 'pwd\n');
  expect([read(), read()]).toEqual(['ls\n', 'ls\n']);
});

test('a last line without line feed is read', () => {
  expect(open('ls\npwd').read()).toBe('ls\npwd');
  expect(open('').read()).toBe('');
});

test('a file that becomes shorter is read to its end', () => {
  const { path, read } = open('ls\npwd\n');
  truncateSync(path, 3);
  expect(read()).toBe('ls\n');
});

test('a file of several chunks is read whole', () => {
  const content = 'echo x\n'.repeat(400_000);
  expect(open(content).read()).toBe(content);
});

test('a device is read once and can be used twice', () => {
  const file = openHistoryFile('/dev/null');
  onCleanup(() => file.close());
  expect([[...file.chunks()], [...file.chunks()]]).toEqual([[], []]);
});

test('a directory is refused', () => {
  expect(() => openHistoryFile(makeDirectory())).toThrow('It is a directory');
});
