import { expect, test } from '@jest/globals';
import { mayReceiveToken } from './loopback.ts';

test.each([
  ['https://tracker.example.org', true],
  ['https://192.0.2.1:8850/path', true],
  ['http://127.0.0.1:8850', true],
  ['http://127.0.0.2', true],
  ['http://127.1', true],
  ['http://0x7f000001', true],
  ['http://2130706433', true],
  ['http://localhost:8850', true],
  ['http://LocalHost', true],
  ['http://[::1]:8850', true],
  ['http://[0:0:0:0:0:0:0:1]', true],
  ['http://localhost.', false],
  ['http://tracker.localhost', false],
  ['http://localhost.example.org', false],
  ['http://127.0.0.1.example.org', false],
  ['http://[::ffff:127.0.0.1]', false],
  ['http://[::]', false],
  ['http://0.0.0.0:8850', false],
  ['http://10.0.0.1:8850', false],
  ['http://192.168.1.20:8850', false],
  ['http://100.64.0.1', false],
  ['http://[fe80::1]', false],
  ['http://tracker', false],
  ['http://tracker.rustory.svc:8850', false],
])('a token sent to %s: %s', (url, expected) => {
  expect(mayReceiveToken(new URL(url))).toBe(expected);
});
