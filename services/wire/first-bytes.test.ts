import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { FIRST_BYTES, FOREIGN_PROTOCOLS, recognizeFirstBytes } from './first-bytes.ts';

const V2 = '0d0a0d0a000d0a515549540a';

test.each([
  ['proxy_protocol', 'version 1', Buffer.from('PROXY TCP4 198.51.100.1 10.0.0.1 4660 443\r\n')],
  ['proxy_protocol', 'version 1 of a health check', Buffer.from('PROXY UNKNOWN\r\n')],
  ['proxy_protocol', 'version 2', Buffer.from(`${V2}21110010c63364010a000001123401bb040001ff`, 'hex')],
  ['proxy_protocol', 'LOCAL of version 2', Buffer.from(`${V2}20000000`, 'hex')],
  ['http', 'a request', Buffer.from('GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n')],
  ['http', 'a short request', Buffer.from('GET / HTTP/1.0\r\n\r\n')],
  ['http', 'another method', Buffer.from('OPTIONS * HTTP/1.1\r\n')],
  ['http', 'HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ['tls', 'a ClientHello', Buffer.from('1603010200010001fc0303aabbccddeeff00112233445566', 'hex')],
  ['tls', 'a short one', Buffer.from('160303003001', 'hex')],
  ['no_swarm_key', 'multistream-select', Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n')],
  ['other_protocol', 'SSH', Buffer.from('SSH-2.0-OpenSSH_9.6\r\n')],
  ['other_protocol', 'SMTP', Buffer.from('EHLO scanner.example\r\n')],
  ['other_protocol', 'SMB', Buffer.from('00000045ff534d4272000000000801c800000000000000', 'hex')],
  [undefined, 'nothing', Buffer.alloc(0)],
  [undefined, 'a few letters, which may begin a nonce', Buffer.from('GETPROX')],
])('%s is recognized: %s', (expected, _, bytes) => {
  expect(recognizeFirstBytes(bytes.subarray(0, FIRST_BYTES))).toBe(expected);
});

test('any bytes are recognized or not, and more of them change it only if there were too few', () => {
  const starts = fc.constantFrom(
    '',
    'PROXY ',
    'GET ',
    'SSH-2.0',
    '\x16\x03\x01\x00\x30\x01',
    '\x13/multi',
    '\0'.repeat(9),
  );
  fc.assert(
    fc.property(starts, fc.uint8Array({ maxLength: FIRST_BYTES }), (start, rest) => {
      const bytes = Buffer.concat([Buffer.from(start, 'latin1'), rest]).subarray(0, FIRST_BYTES);
      const found = recognizeFirstBytes(bytes);
      expect(found === undefined || found in FOREIGN_PROTOCOLS).toBe(true);
      // Headers of load balancers, requests and TLS are recognized by their start, whatever follows.
      for (let length = 6; length < bytes.length; length += 1) {
        const before = recognizeFirstBytes(bytes.subarray(0, length));
        if (before === 'proxy_protocol' || before === 'http' || before === 'tls') expect(found).toBe(before);
      }
    }),
    { seed: 16, numRuns: 500 },
  );
});

test('random nonces are recognized as nothing', () => {
  const found = Array.from({ length: 20_000 }, () => recognizeFirstBytes(randomBytes(FIRST_BYTES)));
  expect(found.filter((protocol) => protocol !== undefined)).toEqual([]);
});
