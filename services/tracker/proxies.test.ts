import { describe, expect, test } from '@jest/globals';
import { createClientAddress, parseNetwork } from './proxies.ts';

describe('the address of a client', () => {
  const behind = createClientAddress(['10.0.0.0/8', '::1', 'fd00::/8'].map(parseNetwork));

  test.each([
    ['of a direct connection is the address of the connection', '203.0.113.7', undefined, '203.0.113.7'],
    ['ignores the header of an untrusted client', '203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['is read from the header of a trusted proxy', '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['is the last one that is not a proxy', '10.1.2.3', '1.1.1.1, 198.51.100.1, 10.9.9.9', '198.51.100.1'],
    ['is the proxy itself when it sends no header', '10.1.2.3', undefined, '10.1.2.3'],
    ['is the proxy itself when its header is invalid', '10.1.2.3', 'unknown', '10.1.2.3'],
    ['is the first proxy when all addresses are proxies', '10.1.2.3', '10.0.0.1,10.0.0.2', '10.0.0.1'],
    ['is read from an IPv4-mapped address', '::ffff:10.1.2.3', '::ffff:198.51.100.1', '198.51.100.1'],
    ['in IPv6 is the network of 64 bits', '2001:db8:1:2:3:4:5:6', undefined, '2001:db8:1:2'],
    ['in abbreviated IPv6 is the network too', 'fd00::1', '2001:db8::9', '2001:db8:0:0'],
    ['in IPv6 may have a zone', 'fe80::1%eth0', undefined, 'fe80:0:0:0'],
    [
      'is searched in a limited number of addresses',
      '10.0.0.1',
      Array.from({ length: 5_000 }, () => '10.0.0.2').join(','),
      '10.0.0.2',
    ],
  ])('%s', (_, remoteAddress, forwardedFor, expected) => {
    expect(behind(remoteAddress, () => forwardedFor)).toBe(expected);
  });

  test('is unknown without trusted proxies, and without any address', () => {
    expect(createClientAddress([])('203.0.113.7', () => '1.1.1.1')).toBeUndefined();
    expect(behind('', () => undefined)).toBeUndefined();
  });

  test.each(['10.0.0.0/33', '::1/129', 'proxy.local', '10.0.0', '10.0.0.0/', '10.0.0.0/x', ''])(
    'rejects %j as a proxy',
    (text) => expect(() => parseNetwork(text)).toThrow(/ is not an IP address or a network .*\.$/),
  );
});
