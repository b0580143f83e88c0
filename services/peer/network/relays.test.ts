import { describe, expect, test } from '@jest/globals';
import { canonicalAddress, groupRelays, uniqueAddresses } from './relays.ts';

const FIRST = '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
const SECOND = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';

describe('groupRelays', () => {
  test('joins all addresses of one relay, in order of its first address', () => {
    const ip4 = `/ip4/192.0.2.1/tcp/4001/p2p/${FIRST}`;
    const ip6 = `/ip6/2001:db8::1/tcp/4001/p2p/${FIRST}`;
    const name = `/dns6/relay.example.org/tcp/4001/p2p/${FIRST}`;
    const other = `/ip4/192.0.2.1/tcp/4001/p2p/${SECOND}`;
    expect(groupRelays([ip4, other, ip6, name, ip4])).toEqual([
      { peerId: FIRST, addresses: [ip4, ip6, name] },
      { peerId: SECOND, addresses: [other] },
    ]);
  });

  test('has no relay without an address', () => expect(groupRelays([])).toEqual([]));
});

test.each([
  ['/ip6/2001:db8::1/tcp/4001', '/ip6/2001:0DB8:0:0:0:0:0:1/tcp/4001'],
  ['/dns4/relay.example.org/tcp/4001', '/dns4/Relay.Example.ORG./tcp/4001'],
  [`/ip4/192.0.2.1/tcp/4001/p2p/${FIRST}`, `/ip4/192.0.2.1/tcp/4001/ipfs/${FIRST}`],
])('%s and %s are one address', (first, second) => {
  expect(canonicalAddress(first)).toBe(canonicalAddress(second));
  expect(uniqueAddresses([second, first])).toEqual([second]);
});

test.each([
  ['/dns4/relay.example.org/tcp/4001', '/dns6/relay.example.org/tcp/4001'],
  ['/ip4/192.0.2.1/tcp/4001', '/ip4/192.0.2.1/tcp/4002'],
  ['nonsense', 'Nonsense'],
])('%s and %s are two addresses', (first, second) =>
  expect(uniqueAddresses([first, second])).toEqual([first, second]),
);
