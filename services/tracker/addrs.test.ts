import { describe, expect, test } from '@jest/globals';
import { selectAddrs } from './addrs.ts';

const me = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
const other = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
const meAsCid = 'bafzaajaiaejcal72gwuz2or47oyxxn6b3rkwdmmkrxgkjxzy3rqt5kczyn7lcm3l';

function manyAddrs(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `/ip4/203.0.113.7/tcp/${n + 1}`);
}

function circuits(count: number): string[] {
  return Array.from(
    { length: count },
    (_, n) => `/ip4/10.0.0.1/tcp/${n + 1}/p2p/${other}/p2p-circuit/p2p/${me}`,
  );
}

function privateAddrs(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `/ip4/172.17.0.1/tcp/${n + 1}`);
}

/** An address of 12 bytes plus two for each letter. */
function longAddr(length: number): string {
  return `/dns4/${'é'.repeat(length)}/tcp/1`;
}

describe('selectAddrs', () => {
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
  ])('keeps %s unchanged', (addr) => {
    expect(selectAddrs([addr], me, false)).toEqual({ kept: [addr], dropped: {} });
  });

  test('accepts an empty list', () => {
    expect(selectAddrs([], me, false)).toEqual({ kept: [], dropped: {} });
  });

  test('trims addresses, and skips empty texts without counting them', () => {
    expect(selectAddrs([' /ip4/203.0.113.7/tcp/1\n', '', '  '], me, false)).toEqual({
      kept: ['/ip4/203.0.113.7/tcp/1'],
      dropped: {},
    });
  });

  test.each([
    ['/ip4/0.0.0.0/tcp/4001'],
    ['/ip6/::/tcp/4001'],
    ['/ip6/0:0:0:0:0:0:0:0/tcp/4001'],
    ['/ip6/::ffff:0.0.0.0/tcp/4001'],
    ['/ip4/203.0.113.7/tcp/0'],
    ['/ip4/203.0.113.7/udp/0/quic-v1'],
    ['/ip4/224.0.0.251/tcp/1'],
    ['/ip6/ff02::1/tcp/1'],
  ])('drops and counts %s, to which no device can connect', (addr) => {
    expect(selectAddrs([addr, '/ip4/203.0.113.7/tcp/1'], me, false)).toEqual({
      kept: ['/ip4/203.0.113.7/tcp/1'],
      dropped: { unreachable: 1 },
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
  ])('drops %s when private addresses are dropped', (addr) => {
    expect(selectAddrs([addr], me, true)).toEqual({ kept: [], dropped: { private: 1 } });
  });

  test.each([
    ['/ip4/172.32.0.1/tcp/1'],
    ['/ip4/100.128.0.1/tcp/1'],
    ['/ip6/2001:db8::1/tcp/1'],
    ['/dns4/localhost.example.org/tcp/1'],
  ])('keeps the public address %s when private addresses are dropped', (addr) => {
    expect(selectAddrs([addr], me, true)).toEqual({ kept: [addr], dropped: {} });
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
  ])('drops and counts %j, which is not a multiaddr', (addr) => {
    expect(selectAddrs(['/ip4/203.0.113.7/tcp/1', addr], me, false)).toEqual({
      kept: ['/ip4/203.0.113.7/tcp/1'],
      dropped: { not_a_multiaddr: 1 },
    });
  });

  test.each([
    [`/ip4/203.0.113.7/tcp/1/p2p/${other}`],
    [`/ip4/203.0.113.7/tcp/1/p2p/${me}/p2p-circuit/p2p/${other}`],
  ])('drops and counts %s, which ends at another peer', (addr) => {
    expect(selectAddrs([addr, '/ip4/203.0.113.7/tcp/1'], me, false)).toEqual({
      kept: ['/ip4/203.0.113.7/tcp/1'],
      dropped: { foreign: 1 },
    });
  });

  test('accepts the peer id in another encoding', () => {
    const addr = `/ip4/203.0.113.7/tcp/1/p2p/${meAsCid}`;
    expect(selectAddrs([addr], me, false)).toEqual({ kept: [addr], dropped: {} });
  });

  test.each([[1], [null], [true], [{}], [['/ip4/203.0.113.7/tcp/1']]])(
    'drops and counts %j, which is not a string',
    (each) => {
      expect(selectAddrs([each, '/ip4/203.0.113.7/tcp/1'], me, false)).toEqual({
        kept: ['/ip4/203.0.113.7/tcp/1'],
        dropped: { mistyped: 1 },
      });
    },
  );

  test.each([[undefined], [null]])('reads %j as an empty list', (given) => {
    expect(selectAddrs(given, me, false)).toEqual({ kept: [], dropped: {} });
  });

  test.each([['/ip4/203.0.113.7/tcp/1'], [{ 0: '/ip4/203.0.113.7/tcp/1' }], [7]])(
    'keeps nothing of %j, which is not a list',
    (given) => expect(selectAddrs(given, me, false).kept).toEqual([]),
  );

  test('drops an address of more than 512 bytes, counted as UTF-8', () => {
    expect(selectAddrs([longAddr(250), longAddr(251)], me, false)).toEqual({
      kept: [longAddr(250)],
      dropped: { too_long: 1 },
    });
  });
});

describe('a circuit', () => {
  test.each([
    [`/ip4/192.168.1.2/tcp/4001/p2p/${other}/p2p-circuit/p2p/${me}`],
    [`/ip4/127.0.0.1/tcp/4001/p2p/${other}/p2p-circuit/p2p/${me}`],
    [`/ip6/fd00::1/tcp/4001/p2p/${other}/p2p-circuit`],
    [`/dns4/localhost/tcp/4001/p2p/${other}/p2p-circuit/p2p/${me}`],
    [`/ip4/0.0.0.0/tcp/4001/p2p/${other}/p2p-circuit/p2p/${me}`],
  ])('is kept for any host of its relay, also when private addresses are dropped: %s', (addr) => {
    expect(selectAddrs([addr, '/ip4/10.0.0.1/tcp/1'], me, true)).toEqual({
      kept: [addr],
      dropped: { private: 1 },
    });
  });
});

describe('more than 32 addresses', () => {
  const rest = ['/ip6/fd00::1/tcp/1', '/ip4/127.0.0.1/tcp/1', '/ip6/fe80::1/tcp/1', '/ip4/169.254.1.1/tcp/1'];

  test('are reduced to 32: exactly 32 are all kept', () => {
    expect(selectAddrs(manyAddrs(32), me, false)).toEqual({ kept: manyAddrs(32), dropped: {} });
    expect(selectAddrs(manyAddrs(33), me, false)).toEqual({
      kept: manyAddrs(32),
      dropped: { over_limit: 1 },
    });
  });

  test('lose the rest first, then private IPv4, then public ones, and never a circuit before those', () => {
    const given = [...rest, ...privateAddrs(20), ...manyAddrs(20), ...circuits(2)];
    expect(selectAddrs(given, me, false)).toEqual({
      kept: [...privateAddrs(10), ...manyAddrs(20), ...circuits(2)],
      dropped: { over_limit: 14 },
    });
    expect(selectAddrs([...rest, ...circuits(40)], me, false).kept).toEqual(circuits(32));
    expect(selectAddrs([...rest, ...privateAddrs(30)], me, false).kept).toEqual([
      ...rest.slice(0, 2),
      ...privateAddrs(30),
    ]);
  });

  test('are counted without the invalid ones', () => {
    const given = [...manyAddrs(20), ...Array.from({ length: 40 }, () => 'x'), ...circuits(1)];
    expect(selectAddrs(given, me, false)).toEqual({
      kept: [...manyAddrs(20), ...circuits(1)],
      dropped: { not_a_multiaddr: 40 },
    });
  });

  test('may be thousands', () => {
    const given = [...Array.from({ length: 7_000 }, () => '/tcp/1'), ...circuits(1)];
    expect(selectAddrs(given, me, false)).toMatchObject({
      kept: { length: 32 },
      dropped: { over_limit: 6_969 },
    });
    expect(selectAddrs(given, me, false).kept).toContain(circuits(1)[0]);
  });
});
