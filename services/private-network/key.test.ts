import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { createSwarmKeyFile, formatSwarmKey, generateSwarmKey, parseSwarmKey, readSwarmKey } from './key.ts';

const folder = mkdtempSync(join(tmpdir(), 'swarm-key-'));
afterAll(() => rmSync(folder, { recursive: true }));

const DIGITS = 'dffb7e3135399a8b1612b2aaca1c36a3a8ac2cd0cca51ceeb2ced87d308cac6d';
const TEXT = `/key/swarm/psk/1.0.0/\n/base16/\n${DIGITS}`;

describe('a swarm key file', () => {
  test.each([
    ['without a final line break', TEXT],
    ['with a final line break', `${TEXT}\n`],
    ['with Windows line ends', TEXT.replaceAll('\n', '\r\n')],
    ['with a byte order mark', `\uFEFF${TEXT}`],
    ['with upper-case digits', `/key/swarm/psk/1.0.0/\n/base16/\n${DIGITS.toUpperCase()}`],
    ['in base64', `/key/swarm/psk/1.0.0/\n/base64/\n${Buffer.from(DIGITS, 'hex').toString('base64')}`],
  ])('is accepted %s', (_, text) => {
    expect(Buffer.from(parseSwarmKey(text).bytes).toString('hex')).toBe(DIGITS);
  });

  test.each([
    ['an empty text', '', 'line 1 must be /key/swarm/psk/1.0.0/.'],
    ['another version', TEXT.replace('1.0.0', '2.0.0'), 'line 1'],
    ['a missing encoding', `/key/swarm/psk/1.0.0/\n${DIGITS}`, 'line 2 must be /base16/ or /base64/.'],
    ['an inherited property as encoding', `/key/swarm/psk/1.0.0/\ntoString\n${DIGITS}`, 'line 2'],
    ['a missing digit', TEXT.slice(0, -1), 'line 3 must be 32 bytes'],
    ['an extra byte', `${TEXT}00`, 'line 3'],
    ['an invalid digit', `${TEXT.slice(0, -1)}g`, 'line 3'],
    ['a fourth line', `${TEXT}\nmore`, 'the file must have three lines.'],
  ])('rejects %s without repeating the content', (_, text, reason) => {
    expect(() => parseSwarmKey(text)).toThrow(reason);
    expect(() => parseSwarmKey(text)).not.toThrow(DIGITS.slice(0, 20));
  });

  test('is created with mode 0600, can be read back, and is never overwritten', () => {
    const path = join(folder, 'swarm.key');
    const created = createSwarmKeyFile(path);
    expect(readSwarmKey(path)).toEqual({ ...created, bytes: Buffer.from(created.bytes) });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path);
    expect(() => createSwarmKeyFile(path)).toThrow('EEXIST');
    expect(readFileSync(path)).toEqual(before);
  });

  test('is rejected with its path when it is missing, invalid or too large', () => {
    const missing = join(folder, 'missing');
    expect(() => readSwarmKey(missing)).toThrow(`${missing}: cannot be read: ENOENT`);
    const path = join(folder, 'wrong');
    writeFileSync(path, 'hello');
    expect(() => readSwarmKey(path)).toThrow(
      `${path}: not a swarm key: line 1 must be /key/swarm/psk/1.0.0/.`,
    );
    writeFileSync(path, TEXT.padEnd(2000));
    expect(() => readSwarmKey(path)).toThrow(`${path}: The file is larger than 1024 bytes.`);
  });
});

test('a fingerprint equals that of rr and the other libp2p implementations', () => {
  const digits = '6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683';
  const key = parseSwarmKey(`/key/swarm/psk/1.0.0/\n/base16/\n${digits}`);
  // The test vector of go-libp2p and rust-libp2p.
  expect(key.fingerprint).toBe('45fc986bbc9388a11d939df26f730f0c');
});

test('a fingerprint differs between keys and is not part of the key', () => {
  const key = generateSwarmKey();
  expect(generateSwarmKey().fingerprint).not.toBe(key.fingerprint);
  expect(parseSwarmKey(formatSwarmKey(key)).fingerprint).toBe(key.fingerprint);
  expect(formatSwarmKey(key)).not.toContain(key.fingerprint);
});
