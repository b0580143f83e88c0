import { describe, expect, test } from '@jest/globals';
import { parseNetwork } from '../shared/trusted-networks.ts';
import { type ClientOf, createClientOf } from './proxies.ts';

describe('the address of a client', () => {
  const behind = createClientOf(['10.0.0.0/8', '::1', 'fd00::/8'].map(parseNetwork));

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
    expect(behind(remoteAddress, () => forwardedFor).limitKey).toBe(expected);
  });

  test('limits nothing without trusted proxies, and is that of the connection', () => {
    expect(createClientOf([])('::ffff:203.0.113.7', () => '1.1.1.1')).toEqual({
      address: '203.0.113.7',
      limitKey: undefined,
      isReal: false,
      isLocal: false,
    });
    expect(behind('', () => undefined)).toEqual({
      address: undefined,
      limitKey: undefined,
      isReal: false,
      isLocal: false,
    });
  });

  test.each([
    ['behind a proxy', '10.1.2.3', '198.51.100.1', true],
    ['of a direct connection', '203.0.113.7', undefined, true],
    ['of a proxy that forwards nothing', '10.1.2.3', undefined, false],
    ['of a proxy that does not know its client', '10.1.2.3', 'unknown', false],
  ])('%s is known to be real, or not', (_, remoteAddress, forwardedFor, isReal) => {
    expect(behind(remoteAddress, () => forwardedFor).isReal).toBe(isReal);
  });

  test('is complete in IPv6, also where the limit is that of its network', () => {
    expect(behind('10.1.2.3', () => '2001:db8::9')).toMatchObject({
      address: '2001:db8::9',
      limitKey: '2001:db8:0:0',
    });
  });

  test.each(['10.0.0.0/33', '::1/129', 'proxy.local', '10.0.0', '10.0.0.0/', '10.0.0.0/x', ''])(
    'rejects %j as a proxy',
    (text) => expect(() => parseNetwork(text)).toThrow(/ is not an IP address or a network .*\.$/),
  );
});

describe('a client on the machine of the tracker', () => {
  const none = createClientOf([]);
  const nginx = createClientOf(['127.0.0.1', '10.0.0.0/8'].map(parseNetwork));

  test.each([
    ['is recognized by its address', none, '127.0.0.1', {}, true],
    ['is recognized in IPv6', none, '::1', {}, true],
    ['is recognized in an IPv4-mapped address', none, '::ffff:127.0.0.2', {}, true],
    ['is not one of another machine', none, '203.0.113.7', {}, false],
    ['is not one of the same network', none, '192.168.1.2', {}, false],
    ['cannot be claimed by a remote client', none, '203.0.113.7', { 'x-forwarded-for': '127.0.0.1' }, false],
    ['is unknown behind an unknown proxy', none, '127.0.0.1', { 'x-forwarded-for': '203.0.113.7' }, false],
    [
      'is unknown behind a proxy, even if it claims so',
      none,
      '::1',
      { 'x-forwarded-for': '127.0.0.1' },
      false,
    ],
    ['is unknown with Forwarded', none, '127.0.0.1', { forwarded: 'for=203.0.113.7' }, false],
    ['is unknown with X-Real-IP', none, '127.0.0.1', { 'x-real-ip': '203.0.113.7' }, false],
    ['is unknown with Via', none, '127.0.0.1', { via: '1.1 proxy' }, false],
    ['is not one that a trusted proxy forwards', nginx, '127.0.0.1', { 'x-forwarded-for': '1.2.3.4' }, false],
    ['is unknown when a trusted proxy forwards nothing', nginx, '127.0.0.1', {}, false],
    ['is one that a trusted proxy forwards', nginx, '10.0.0.1', { 'x-forwarded-for': '127.0.0.9' }, true],
  ] as [string, ClientOf, string, Record<string, string>, boolean][])(
    '%s',
    (_, clientOf, address, headers, expected) => {
      expect(clientOf(address, (name) => headers[name]).isLocal).toBe(expected);
    },
  );
});
