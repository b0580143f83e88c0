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
    ['without a last line break', TEXT],
    ['with one', `${TEXT}\n`],
    ['with Windows line ends', TEXT.replaceAll('\n', '\r\n')],
    ['with a byte order mark', `\uFEFF${TEXT}`],
    ['with capital digits', `/key/swarm/psk/1.0.0/\n/base16/\n${DIGITS.toUpperCase()}`],
    ['in base64', `/key/swarm/psk/1.0.0/\n/base64/\n${Buffer.from(DIGITS, 'hex').toString('base64')}`],
  ])('%s is read', (_, text) => {
    expect(Buffer.from(parseSwarmKey(text).bytes).toString('hex')).toBe(DIGITS);
  });

  test.each([
    ['empty', '', 'the first line must be /key/swarm/psk/1.0.0/'],
    ['of another version', TEXT.replace('1.0.0', '2.0.0'), 'the first line'],
    [
      'without an encoding',
      `/key/swarm/psk/1.0.0/\n${DIGITS}`,
      'the second line must be /base16/ or /base64/',
    ],
    ['with an inherited name as encoding', `/key/swarm/psk/1.0.0/\ntoString\n${DIGITS}`, 'the second line'],
    ['one digit short', TEXT.slice(0, -1), 'the third line must be 32 bytes'],
    ['one byte long', `${TEXT}00`, 'the third line'],
    ['with a digit that is none', `${TEXT.slice(0, -1)}g`, 'the third line'],
    ['with a fourth line', `${TEXT}\nmore`, 'there must be three lines'],
  ])('%s is refused, and the error does not repeat it', (_, text, reason) => {
    expect(() => parseSwarmKey(text)).toThrow(reason);
    expect(() => parseSwarmKey(text)).not.toThrow(DIGITS.slice(0, 20));
  });

  test('that was created can be read, by its owner only, and is never overwritten', () => {
    const path = join(folder, 'swarm.key');
    const created = createSwarmKeyFile(path);
    expect(readSwarmKey(path)).toEqual({ ...created, bytes: Buffer.from(created.bytes) });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path);
    expect(() => createSwarmKeyFile(path)).toThrow('EEXIST');
    expect(readFileSync(path)).toEqual(before);
  });

  test('that is missing or no key is refused with its path', () => {
    expect(() => readSwarmKey(join(folder, 'none'))).toThrow(
      `names ${join(folder, 'none')}, which cannot be read`,
    );
    const path = join(folder, 'wrong');
    writeFileSync(path, 'hello');
    expect(() => readSwarmKey(path)).toThrow(`names ${path}, which is no swarm key: the first line must be`);
    writeFileSync(path, TEXT.padEnd(2000));
    expect(() => readSwarmKey(path)).toThrow('larger than 1024 bytes');
  });
});

test('a fingerprint is the one that rr and every other libp2p print for the same key', () => {
  const digits = '6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683';
  const key = parseSwarmKey(`/key/swarm/psk/1.0.0/\n/base16/\n${digits}`);
  // The vector of go-libp2p and rust-libp2p.
  expect(key.fingerprint).toBe('45fc986bbc9388a11d939df26f730f0c');
});

test('a fingerprint tells keys apart and is not part of the key', () => {
  const key = generateSwarmKey();
  expect(generateSwarmKey().fingerprint).not.toBe(key.fingerprint);
  expect(parseSwarmKey(formatSwarmKey(key)).fingerprint).toBe(key.fingerprint);
  expect(formatSwarmKey(key)).not.toContain(key.fingerprint);
});
