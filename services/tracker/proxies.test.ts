import { describe, expect, test } from '@jest/globals';
import { createClientAddress, parseNetwork } from './proxies.ts';

describe('the address of a client', () => {
  const behind = createClientAddress(['10.0.0.0/8', '::1', 'fd00::/8'].map(parseNetwork));

  test.each([
    ['of a direct connection is its own', '203.0.113.7', undefined, '203.0.113.7'],
    ['is not what an untrusted client claims', '203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['is what a trusted proxy says', '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['is the last that is no proxy', '10.1.2.3', '1.1.1.1, 198.51.100.1, 10.9.9.9', '198.51.100.1'],
    ['is the proxy itself when it says nothing', '10.1.2.3', undefined, '10.1.2.3'],
    ['is the proxy itself when it says nonsense', '10.1.2.3', 'unknown', '10.1.2.3'],
    ['is the first proxy when all are', '10.1.2.3', '10.0.0.1,10.0.0.2', '10.0.0.1'],
    ['is read from a mapped address', '::ffff:10.1.2.3', '::ffff:198.51.100.1', '198.51.100.1'],
    ['in IPv6 is its network', '2001:db8:1:2:3:4:5:6', undefined, '2001:db8:1:2'],
    ['in short IPv6 too', 'fd00::1', '2001:db8::9', '2001:db8:0:0'],
    ['is one even with a zone', 'fe80::1%eth0', undefined, 'fe80:0:0:0'],
    [
      'is bounded in its chain',
      '10.0.0.1',
      Array.from({ length: 5_000 }, () => '10.0.0.2').join(','),
      '10.0.0.2',
    ],
  ])('%s', (_, peer, forwardedFor, expected) => {
    expect(behind(peer, () => forwardedFor)).toBe(expected);
  });

  test('is unknown without trusted proxies, and without any address', () => {
    expect(createClientAddress([])('203.0.113.7', () => '1.1.1.1')).toBeUndefined();
    expect(behind('', () => undefined)).toBeUndefined();
  });

  test.each(['10.0.0.0/33', '::1/129', 'proxy.local', '10.0.0', '10.0.0.0/', '10.0.0.0/x', ''])(
    'is not looked for behind %j',
    (text) => expect(() => parseNetwork(text)).toThrow('must be'),
  );
});
