import { expect, test } from '@jest/globals';
import { clientNetwork, unmapped } from './client-network.ts';

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:DB8:1:2::1', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['not an address', 'not an address'],
])('the client network of %s is %s', (address, expected) => expect(clientNetwork(address)).toBe(expected));

test.each([
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['::ffff:ffff:ffff', '255.255.255.255'],
  ['::fffe:c000:201', '::fffe:c000:201'],
  ['192.0.2.1', '192.0.2.1'],
])('%s without the prefix of a mapped address is %s', (address, expected) =>
  expect(unmapped(address)).toBe(expected),
);
