import { describe, expect, test } from '@jest/globals';
import { checkAddrs } from './addrs.ts';

const me = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
const other = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
const meAsCid = 'bafzaajaiaejcal72gwuz2or47oyxxn6b3rkwdmmkrxgkjxzy3rqt5kczyn7lcm3l';

function manyAddrs(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `/ip4/203.0.113.7/tcp/${n + 1}`);
}

/** An address of 12 bytes plus two for each letter. */
function longAddr(length: number): string {
  return `/dns4/${'é'.repeat(length)}/tcp/1`;
}

describe('checkAddrs', () => {
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
    expect(checkAddrs([addr], me, false)).toEqual({ ok: true, kept: [addr], dropped: 0 });
  });

  test('accepts an empty list', () => {
    expect(checkAddrs([], me, false)).toEqual({ ok: true, kept: [], dropped: 0 });
  });

  test('trims addresses, and skips empty texts without counting them', () => {
    expect(checkAddrs([' /ip4/203.0.113.7/tcp/1\n', '', '  '], me, false)).toEqual({
      ok: true,
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
  ])('drops and counts %s, to which no device can connect', (addr) => {
    expect(checkAddrs([addr, '/ip4/203.0.113.7/tcp/1'], me, false)).toEqual({
      ok: true,
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
  ])('drops %s when private addresses are dropped', (addr) => {
    expect(checkAddrs([addr], me, true)).toEqual({ ok: true, kept: [], dropped: 1 });
  });

  test.each([
    ['/ip4/172.32.0.1/tcp/1'],
    ['/ip4/100.128.0.1/tcp/1'],
    ['/ip6/2001:db8::1/tcp/1'],
    ['/dns4/localhost.example.org/tcp/1'],
  ])('keeps the public address %s when private addresses are dropped', (addr) => {
    expect(checkAddrs([addr], me, true)).toEqual({ ok: true, kept: [addr], dropped: 0 });
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
  ])('refuses %j, which is not a multiaddr', (addr) => {
    expect(checkAddrs(['/ip4/203.0.113.7/tcp/1', addr], me, false)).toEqual({
      ok: false,
      reason: 'invalid_address',
      detail: 'addrs[1] is not a multiaddr',
    });
  });

  test.each([
    [`/ip4/203.0.113.7/tcp/1/p2p/${other}`],
    [`/ip4/203.0.113.7/tcp/1/p2p/${me}/p2p-circuit/p2p/${other}`],
  ])('refuses %s, which ends at another peer', (addr) => {
    expect(checkAddrs([addr], me, false)).toEqual({
      ok: false,
      reason: 'foreign_address',
      detail: 'addrs[0] ends at a peer other than peer_id',
    });
  });

  test('accepts the peer id in another encoding', () => {
    const addr = `/ip4/203.0.113.7/tcp/1/p2p/${meAsCid}`;
    expect(checkAddrs([addr], me, false)).toEqual({ ok: true, kept: [addr], dropped: 0 });
  });

  test('refuses more than 32 addresses', () => {
    expect(checkAddrs(manyAddrs(32), me, false)).toMatchObject({ dropped: 0 });
    expect(checkAddrs(manyAddrs(33), me, false)).toEqual({
      ok: false,
      reason: 'too_many_addresses',
      detail: 'addrs has 33 items; the maximum is 32',
    });
  });

  test('refuses an address of more than 512 bytes, counted as UTF-8', () => {
    expect(checkAddrs([longAddr(250)], me, false)).toMatchObject({ kept: [longAddr(250)] });
    expect(checkAddrs([longAddr(251)], me, false)).toEqual({
      ok: false,
      reason: 'invalid_address',
      detail: 'addrs[0] is longer than 512 bytes',
    });
  });
});
