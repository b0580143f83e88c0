import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { parseProxyHeader, ProxyHeaderReader } from './proxy-protocol.ts';

const START = '0d0a0d0a000d0a515549540a';
// Source, destination and their ports.
const V4 = 'c63364010a000001123401bb';
const V6 = '20010db800000000000000000000000920010db8000000000000000000000001123401bb';

/** A header of version 2: version and command, family and transport, and the rest with its length. */
function v2(head: string, rest: string, length = rest.length / 2): Buffer {
  return Buffer.from(`${START}${head}${length.toString(16).padStart(4, '0')}${rest}`, 'hex');
}

const portOf = (address: string | undefined): number | undefined =>
  address === undefined ? undefined : 4660;

/** Complete headers with the address of the client, whose port is 4660. */
const COMPLETE: [string, Buffer, string | undefined][] = [
  ['version 1, IPv4', Buffer.from('PROXY TCP4 198.51.100.1 10.0.0.1 4660 443\r\n'), '198.51.100.1'],
  ['version 1, IPv6', Buffer.from('PROXY TCP6 2001:db8::9 2001:db8::1 4660 443\r\n'), '2001:db8::9'],
  ['version 1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  [
    'version 1, unknown with addresses',
    Buffer.from('PROXY UNKNOWN ff:1::1 ff:1::2 65535 65535\r\n'),
    undefined,
  ],
  ['version 2, IPv4', v2('2111', V4), '198.51.100.1'],
  ['version 2, IPv6', v2('2121', V6), '2001:db8::9'],
  ['version 1, IPv4 in IPv6', Buffer.from('PROXY TCP6 ::ffff:198.51.100.1 ::1 4660 443\r\n'), '198.51.100.1'],
  [
    'version 2, IPv4 in IPv6',
    v2('2121', `${'00'.repeat(10)}ffffc6336401${'00'.repeat(16)}123401bb`),
    '198.51.100.1',
  ],
  ['version 2, IPv4 with UDP', v2('2112', V4), '198.51.100.1'],
  ['version 2 with TLVs', v2('2111', `${V4}030004deadbeef${'04000100'.repeat(100)}`), '198.51.100.1'],
  ['version 2, LOCAL', v2('2000', ''), undefined],
  ['version 2, LOCAL with addresses and TLVs', v2('2011', `${V4}040001ff`), undefined],
  ['version 2, unspecified family with bytes', v2('2100', 'ffff'), undefined],
  ['version 2, Unix socket', v2('2131', '00'.repeat(216)), undefined],
];

describe('a header of the PROXY protocol', () => {
  test.each(COMPLETE)('%s is complete at its last byte, and has the client', (_, header, address) => {
    for (let length = 0; length < header.length; length += 1)
      expect(parseProxyHeader(header.subarray(0, length))).toEqual({ state: 'incomplete' });
    const withRequest = Buffer.concat([header, Buffer.from('GET / HTTP/1.1\r\n')]);
    for (const received of [header, withRequest])
      expect(parseProxyHeader(received)).toEqual({
        state: 'complete',
        bytes: header.length,
        address,
        port: portOf(address),
      });
  });

  test.each(COMPLETE)('%s is read from chunks of any size', (_, header, address) => {
    const received = Buffer.concat([header, Buffer.from('GET')]);
    for (let size = 1; size <= received.length; size += 1) {
      const reader = new ProxyHeaderReader();
      for (let start = 0; ; start += size) {
        const read = reader.read(received, start, Math.min(received.length, start + size));
        if (read === undefined) continue;
        expect(read).toEqual({
          header: { state: 'complete', bytes: header.length, address, port: portOf(address) },
          next: header.length,
        });
        break;
      }
    }
  });

  test('any bytes, in any chunks, have the same outcome as the whole', () => {
    const start = fc.constantFrom(
      ...COMPLETE.map(([, header]) => header),
      Buffer.alloc(0),
      Buffer.from(START, 'hex'),
    );
    const change = fc.tuple(fc.nat(300), fc.nat(255));
    const cuts = fc.array(fc.integer({ min: 1, max: 60 }));
    fc.assert(
      fc.property(
        start,
        fc.array(change, { maxLength: 3 }),
        fc.uint8Array({ maxLength: 130 }),
        cuts,
        (header, changes, rest, sizes) => {
          const bytes = Buffer.concat([header, rest]);
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          const whole = parseProxyHeader(bytes);
          const reader = new ProxyHeaderReader();
          let read: ReturnType<ProxyHeaderReader['read']>;
          for (let at = 0, index = 0; at < bytes.length && read === undefined; index += 1) {
            const end = Math.min(bytes.length, at + (sizes[index] ?? bytes.length));
            read = reader.read(bytes, at, end);
            at = end;
          }
          if (bytes.length > 0) expect(read?.header ?? { state: 'incomplete' }).toEqual(whole);
          if (whole.state === 'complete') expect(read?.next).toBe(whole.bytes);
        },
      ),
      { seed: 16, numRuns: 1000 },
    );
  });

  test('a header that never ends is given up, with bounded memory', () => {
    for (const start of ['PROXY TCP4 ', `${START}2111ffff`].map((text, index) =>
      Buffer.from(text, index === 0 ? 'latin1' : 'hex'),
    )) {
      const reader = new ProxyHeaderReader();
      let read = reader.read(start, 0, start.length);
      const endless = Buffer.alloc(1_000_000, '1');
      for (let chunks = 0; read === undefined && chunks < 10; chunks += 1)
        read = reader.read(endless, 0, endless.length);
      expect(read?.header).toEqual({ state: 'too_long' });
      expect(reader.length).toBeLessThan(5_000);
    }
  });

  test.each([
    ['missing', 'a request', Buffer.from('GET / HTTP/1.1\r\n')],
    ['missing', 'TLS', Buffer.from('160301', 'hex')],
    ['missing', 'another word', Buffer.from('PROXX')],
    ['missing', 'another signature', Buffer.from('\r\n\r\nGET')],
    ['too_long', 'version 1 without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['too_long', 'version 2 with a long length', v2('2111', V4, 65_535)],
    ['invalid', 'IPv6 as IPv4', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n')],
    ['invalid', 'IPv4 as IPv6', Buffer.from('PROXY TCP6 1.1.1.1 1.1.1.1 1 2\r\n')],
    ['invalid', 'a port that is too large', Buffer.from('PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n')],
    ['invalid', 'a missing port', Buffer.from('PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n')],
    ['invalid', 'one more field', Buffer.from('PROXY TCP4 1.1.1.1 1.1.1.1 1 2 3\r\n')],
    ['invalid', 'two spaces', Buffer.from('PROXY TCP4  1.1.1.1 1.1.1.1 1 2\r\n')],
    ['invalid', 'another protocol', Buffer.from('PROXY UDP4 1.1.1.1 1.1.1.1 1 2\r\n')],
    ['invalid', 'version 3', v2('3111', V4)],
    ['invalid', 'another command', v2('2211', V4)],
    ['invalid', 'a family that does not exist', v2('2151', V4)],
    ['invalid', 'a transport that does not exist', v2('2113', V4)],
    ['invalid', 'addresses that are too short', v2('2121', V4)],
  ])('is %s with %s', (state, _, received) => {
    expect(parseProxyHeader(received)).toEqual({ state });
  });
});
