import { describe, expect, test } from '@jest/globals';
import { judgeAddrs } from './addrs.ts';

const me = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
const other = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
const meAsCid = 'bafzaajaiaejcal72gwuz2or47oyxxn6b3rkwdmmkrxgkjxzy3rqt5kczyn7lcm3l';

function manyAddrs(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `/ip4/203.0.113.7/tcp/${n + 1}`);
}

/** An address of 12 bytes and twice as many as given. */
function longAddr(length: number): string {
  return `/dns4/${'é'.repeat(length)}/tcp/1`;
}

describe('the addresses of a registration', () => {
  test.each([
    ['/ip4/203.0.113.7/tcp/4001'],
    ['/ip4/192.168.1.20/tcp/4001'],
    ['/ip4/127.0.0.1/tcp/4001'],
    ['/ip4/203.0.113.7/udp/4001/quic-v1'],
    ['/ip6/2001:db8::1/tcp/4001'],
    ['/ip6/fe80::1/tcp/4001'],
    ['/dns4/relay.example.org/tcp/443/wss'],
    ['/dns/localhost/tcp/4001'],
    [`/ip4/203.0.113.7/tcp/4001/p2p/${me}`],
    [`/ip4/203.0.113.7/tcp/4001/p2p/${other}/p2p-circuit/p2p/${me}`],
    [`/ip4/203.0.113.7/tcp/4001/p2p/${other}/p2p-circuit`],
    [`/p2p/${other}/p2p-circuit`],
  ])('are kept as given: %s', (addr) => {
    expect(judgeAddrs([addr], me, false)).toEqual({ kept: [addr], dropped: 0 });
  });

  test('may be none', () => {
    expect(judgeAddrs([], me, false)).toEqual({ kept: [], dropped: 0 });
  });

  test('are trimmed, and empty ones left out without being counted', () => {
    expect(judgeAddrs([' /ip4/203.0.113.7/tcp/1\n', '', '  '], me, false)).toEqual({
      kept: ['/ip4/203.0.113.7/tcp/1'],
      dropped: 0,
    });
  });

  test.each([
    ['/ip4/0.0.0.0/tcp/4001'],
    ['/ip6/::/tcp/4001'],
    ['/ip6/0:0:0:0:0:0:0:0/tcp/4001'],
    ['/ip6/::ffff:0.0.0.0/tcp/4001'],
    ['/ip4/203.0.113.7/tcp/0'],
    ['/ip4/203.0.113.7/udp/0/quic-v1'],
    [`/ip4/0.0.0.0/tcp/4001/p2p/${other}/p2p-circuit/p2p/${me}`],
  ])('that nobody can reach are dropped and counted: %s', (addr) => {
    expect(judgeAddrs([addr, '/ip4/203.0.113.7/tcp/1'], me, false)).toEqual({
      kept: ['/ip4/203.0.113.7/tcp/1'],
      dropped: 1,
    });
  });

  test.each([
    ['/ip4/10.1.2.3/tcp/1'],
    ['/ip4/172.31.255.255/tcp/1'],
    ['/ip4/192.168.0.1/tcp/1'],
    ['/ip4/100.64.0.1/tcp/1'],
    ['/ip4/127.1.2.3/tcp/1'],
    ['/ip4/169.254.169.254/tcp/1'],
    ['/ip6/::1/tcp/1'],
    ['/ip6/fd00::1/tcp/1'],
    ['/ip6/fe80::1/tcp/1'],
    ['/ip6/::ffff:192.168.0.1/tcp/1'],
    ['/dns4/localhost/tcp/1'],
    ['/dns/box.LOCALHOST./tcp/1'],
  ])('that are private are dropped when that is configured: %s', (addr) => {
    expect(judgeAddrs([addr], me, true)).toEqual({ kept: [], dropped: 1 });
  });

  test.each([
    ['/ip4/172.32.0.1/tcp/1'],
    ['/ip4/100.128.0.1/tcp/1'],
    ['/ip6/2001:db8::1/tcp/1'],
    ['/dns4/localhost.example.org/tcp/1'],
  ])('that are public stay when private ones are dropped: %s', (addr) => {
    expect(judgeAddrs([addr], me, true)).toEqual({ kept: [addr], dropped: 0 });
  });

  test.each([
    ['203.0.113.7:4001'],
    ['/'],
    ['//ip4/203.0.113.7/tcp/1'],
    ['/ip4/203.0.113.7/tcp'],
    ['/ip4/203.0.113.7/tcp/70000'],
    ['/ip4/203.0.113.7/tcp/-1'],
    ['/ip4/203.0.113.7/tcp/1e3'],
    ['/ip4/256.0.0.1/tcp/1'],
    ['/ip4/01.2.3.4/tcp/1'],
    ['/ip6/[::1]/tcp/1'],
    ['/ip4/203.0.113.7/nonsense/1'],
    ['/dns4/two words/tcp/1'],
    ['/dns4/nul\0/tcp/1'],
    ['/dns4/\ud800/tcp/1'],
    ['/p2p/nobody'],
    ['/ip4/203.0.113.7/tcp/1/p2p/__proto__'],
    ['http://203.0.113.7/'],
  ])('that are no multiaddr refuse the registration: %j', (addr) => {
    expect(judgeAddrs(['/ip4/203.0.113.7/tcp/1', addr], me, false)).toEqual({
      refusal: 'invalid_address',
      detail: 'addrs[1] is not a multiaddr',
    });
  });

  test.each([
    [`/ip4/203.0.113.7/tcp/1/p2p/${other}`],
    [`/ip4/203.0.113.7/tcp/1/p2p/${me}/p2p-circuit/p2p/${other}`],
  ])('that end at another peer refuse the registration: %s', (addr) => {
    expect(judgeAddrs([addr], me, false)).toEqual({
      refusal: 'foreign_address',
      detail: 'addrs[0] ends at another peer than peer_id',
    });
  });

  test('may name the peer in another spelling', () => {
    const addr = `/ip4/203.0.113.7/tcp/1/p2p/${meAsCid}`;
    const verdict = judgeAddrs([addr], me, false);
    expect(verdict).toEqual({ kept: [addr], dropped: 0 });
  });

  test('are at most 32', () => {
    expect(judgeAddrs(manyAddrs(32), me, false)).toMatchObject({ dropped: 0 });
    expect(judgeAddrs(manyAddrs(33), me, false)).toEqual({
      refusal: 'too_many_addresses',
      detail: 'addrs has 33 items, the most is 32',
    });
  });

  test('have at most 512 bytes, not characters', () => {
    expect(judgeAddrs([longAddr(250)], me, false)).toMatchObject({ kept: [longAddr(250)] });
    expect(judgeAddrs([longAddr(251)], me, false)).toEqual({
      refusal: 'invalid_address',
      detail: 'addrs[0] is longer than 512 bytes',
    });
  });
});
