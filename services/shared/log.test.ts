import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { createLogger } from './log.ts';

test('text of others cannot control a terminal that shows the log, and a parser reads it as it was', () => {
  const directory = mkdtempSync(join(tmpdir(), 'log-'));
  const path = join(directory, 'log');
  const file = openSync(path, 'w');
  const hostname = 'a\u001B[2J\u009B1m\u202E\u{E0041}\u2028\r\nb';
  const log = createLogger('peer', 'info', file as 1);
  log.child({ hostname }).info({ hostname }, hostname);
  log.warn('next');
  closeSync(file);
  const text = readFileSync(path, 'utf8');
  rmSync(directory, { recursive: true });
  expect(text).not.toMatch(/[^\n\x20-\x7E]/);
  const lines = text.trim().split('\n');
  expect(lines).toHaveLength(2);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ hostname, msg: hostname });
});
