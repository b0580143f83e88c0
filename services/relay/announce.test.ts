import { describe, expect, test } from '@jest/globals';
import { multiaddr } from '@multiformats/multiaddr';
import {
  dialable,
  expandAnnounced,
  namesOtherPeer,
  ordinalOf,
  parseAnnounced,
  parseListen,
  served,
} from './announce.ts';

const ID = '12D3KooWELzvKbV8GLT55WFrpFSBr7E8Gpk8oaQcFozUFwASJRak';
const OTHER = '12D3KooWKWHD6t3VoBYoUUZiJM7Aby7hszvcVQ1LRtFxf8kR8UaT';

describe('an announced address', () => {
  test.each([
    '/ip4/203.0.113.7/tcp/4001',
    '/ip6/2001:db8::7/tcp/4001',
    '/dns4/relay.example.org/tcp/443',
    '/dns6/relay.example.org/tcp/4001',
    '/dns/relay.example.org/tcp/4001',
    `/ip4/203.0.113.7/tcp/4001/p2p/${ID}`,
    // Announced by relays with RELAY_LOCAL=true.
    '/ip4/127.0.0.1/tcp/4001',
  ])('%s is accepted unchanged', (text) => expect(parseAnnounced(text).toString()).toBe(text));

  test.each([
    ['relay.example.org:4001', 'is not a multiaddr'],
    ['/ip4/300.0.0.1/tcp/4001', 'is not a multiaddr'],
    ['/ip4/203.0.113.7/tcp/4001/p2p/relay', 'is not a multiaddr'],
    ['/ip4/203.0.113.7', 'is not a host and a TCP port'],
    ['/ip4/203.0.113.7/udp/4001', 'is not a host and a TCP port'],
    ['/ip4/203.0.113.7/tcp/0', 'has port 0'],
    ['/ip4/0.0.0.0/tcp/4001', 'unspecified address'],
    ['/ip6/::/tcp/4001', 'unspecified address'],
    [`/ip4/203.0.113.7/tcp/4001/p2p/${OTHER}/p2p-circuit`, 'a circuit through another relay'],
  ])('%s is rejected', (text, reason) => expect(() => parseAnnounced(text)).toThrow(reason));

  test('may end in the peer id of the relay, but not in another one', () => {
    expect(namesOtherPeer(multiaddr('/ip4/203.0.113.7/tcp/4001'), ID)).toBe(false);
    expect(namesOtherPeer(multiaddr(`/ip4/203.0.113.7/tcp/4001/p2p/${ID}`), ID)).toBe(false);
    expect(namesOtherPeer(multiaddr(`/ip4/203.0.113.7/tcp/4001/p2p/${OTHER}`), ID)).toBe(true);
  });
});

test.each(['/dns4/relay.example.org/tcp/4001', '/ip4/0.0.0.0', '/ip4/0.0.0.0/udp/4001', '4001'])(
  'rejects %s as a listen address',
  (text) => expect(() => parseListen(text)).toThrow(/is not (a multiaddr|an IP address and a TCP port)/),
);

test('by default the relay announces the listen addresses that other devices can dial', () => {
  const found = [
    '/ip4/127.0.0.1/tcp/1',
    '/ip4/192.168.1.7/tcp/1',
    '/ip6/::1/tcp/1',
    '/ip4/0.0.0.0/tcp/1',
  ].map((text) => multiaddr(text));
  expect(dialable(found, false).map(String)).toEqual(['/ip4/192.168.1.7/tcp/1']);
  expect(dialable(found, true).map(String)).toEqual([
    '/ip4/127.0.0.1/tcp/1',
    '/ip4/192.168.1.7/tcp/1',
    '/ip6/::1/tcp/1',
  ]);
});

describe('an address template', () => {
  const placeholders = { ordinal: '2', podName: 'my-relay-2', podIP: '10.0.0.7', hostIP: undefined };

  test.each([
    ['/dns4/relay-{ordinal}.example.org/tcp/4001', '/dns4/relay-2.example.org/tcp/4001'],
    ['/dns4/{podName}.relays.example.org/tcp/4001', '/dns4/my-relay-2.relays.example.org/tcp/4001'],
    ['/ip4/{podIP}/tcp/3000{ordinal}', '/ip4/10.0.0.7/tcp/30002'],
  ])('%s becomes %s', (template, address) => {
    expect(expandAnnounced(template, placeholders).toString()).toBe(address);
  });

  test('with an unknown placeholder or one without a value is rejected', () => {
    expect(() => expandAnnounced('/ip4/{hostIP}/tcp/4001', placeholders)).toThrow('set RELAY_HOST_IP');
    expect(() => expandAnnounced('/ip4/{nodeIP}/tcp/4001', placeholders)).toThrow(
      'known placeholders are {ordinal}, {podName}, {podIP}, {hostIP}',
    );
    expect(() => expandAnnounced('/ip4/{constructor}/tcp/4001', placeholders)).toThrow('unknown placeholder');
  });

  test.each([
    ['my-relay-12', 12],
    ['my-relay', undefined],
    ['my-7-relay', undefined],
    [undefined, undefined],
  ])('of the pod %s has the ordinal %s', (podName, ordinal) => expect(ordinalOf(podName)).toBe(ordinal));
});

test('without IPv6 a relay that should listen on it announces no IPv6 address, and otherwise what is configured', () => {
  const [ip4, ip6] = [multiaddr('/ip4/0.0.0.0/tcp/4001'), multiaddr('/ip6/::/tcp/4001')];
  const announce = [
    '/ip4/192.0.2.1/tcp/4001',
    '/ip6/2001:db8::1/tcp/4001',
    '/dns6/relay.example.org/tcp/4001',
    '/dns/relay.example.org/tcp/4001',
  ].map((text) => multiaddr(text));
  expect(served({ listen: [ip4], announce }, [])).toEqual(announce);
  expect(served({ listen: [ip4, ip6], announce }, [])).toEqual(announce);
  expect(served({ listen: [ip4, ip6], announce }, [ip6.toString()])).toEqual([announce[0], announce[3]]);
});
