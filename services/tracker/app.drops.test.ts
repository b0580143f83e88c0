import { describe, expect, test } from '@jest/globals';
import { ADDR, createTestApp, listed, OTHER_PEER, PEER, REGISTER } from '../../testing/tracker-app.ts';

const long = 'x'.repeat(257);
const many = (count: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`f${n}`, n]));

describe('a registration is not refused', () => {
  test.each([
    ['no addrs', undefined, []],
    ['addrs null', null, []],
    ['an empty list, which 1.x sends after it lost its reservation', [], []],
    ['a text as addrs', ADDR, []],
    ['a number among the addresses', [ADDR, 7, null, {}], [ADDR]],
    ['an address that is not a multiaddr', ['nowhere', ADDR], [ADDR]],
    ['an address of another peer', [`${ADDR}/p2p/${OTHER_PEER}`, ADDR], [ADDR]],
    ['33 addresses', Array.from({ length: 33 }, () => ADDR), Array.from({ length: 32 }, () => ADDR)],
    ['lists in lists', JSON.parse(`[${'['.repeat(5_000)}${']'.repeat(5_000)}, "${ADDR}"]`), [ADDR]],
  ])('for %s', async (_, addrs, expected) => {
    const app = createTestApp();
    expect((await app.post(REGISTER, { peer_id: PEER, addrs })).status).toBe(200);
    expect(await listed(app)).toMatchObject([{ addrs: expected }]);
  });

  test.each([
    ['an object in meta', { device_proof: { a: 1 } }, 'mistyped'],
    ['a list in meta', { many: [] }, 'mistyped'],
    ['a number as hostname', { hostname: 7 }, 'mistyped'],
    ['a text as build_dirty', { build_dirty: 'no' }, 'mistyped'],
    ['a hostname that is too long', { hostname: long }, 'too_long'],
    ['an unknown text that is too long', { other: long }, 'too_long'],
    ['a field name that is too long', { [long]: 1 }, 'too_long'],
    ['NUL in a text', { hostname: 'a\0b' }, 'malformed'],
    ['a lone surrogate in a text', { hostname: '\ud800' }, 'malformed'],
  ])('for %s, which is dropped and counted', async (_, field, reason) => {
    const app = createTestApp();
    const good = { user_id: 'alice', version: '1.1.1', color: 'red' };
    expect((await app.post(REGISTER, { peer_id: PEER, addrs: [], meta: { ...field, ...good } })).status).toBe(
      200,
    );
    expect(await listed(app)).toMatchObject([{ meta: good }]);
    expect(Object.keys(((await listed(app)) as [{ meta: object }])[0].meta)).toHaveLength(3);
    expect(await app.metrics()).toContain(`rustory_tracker_meta_fields_dropped_total{reason="${reason}"} 1`);
  });

  test('for a number that JSON cannot return', async () => {
    const app = createTestApp();
    await app.post(REGISTER, `{"peer_id":"${PEER}","addrs":[],"meta":{"n":1e999,"user_id":"alice"}}`);
    expect(await listed(app)).toMatchObject([{ meta: { user_id: 'alice' } }]);
  });

  test('for 40 fields, of which the known ones are kept first', async () => {
    const app = createTestApp();
    const meta = { ...many(40), user_id: 'alice', device_id: 'laptop' };
    await app.post(REGISTER, { peer_id: PEER, addrs: [], meta });
    expect(await listed(app)).toMatchObject([
      { meta: { ...many(30), user_id: 'alice', device_id: 'laptop' } },
    ]);
    expect(await app.metrics()).toContain(
      'rustory_tracker_meta_fields_dropped_total{reason="over_limit"} 10',
    );
  });

  test('for unknown fields beside meta, which differ in each registration', async () => {
    const app = createTestApp();
    for (const nonce of [
      [1, 2],
      [3, 4],
    ]) {
      const body = {
        peer_id: PEER,
        addrs: [ADDR],
        meta: { user_id: 'alice', build_revision: null },
        retirement_protocol: 1,
        membership_protocol: 1,
        membership_enforced: false,
        device_proof: {
          peer_id: PEER,
          issued_at_unix: 1_790_000_000,
          nonce,
          public_key: [8, 1],
          signature: [9],
        },
      };
      expect((await app.post(REGISTER, body)).status).toBe(200);
    }
    expect(await listed(app)).toMatchObject([
      { addrs: [ADDR], meta: { user_id: 'alice', build_revision: null } },
    ]);
  });

  test('counts dropped addresses by reason with every registration', async () => {
    const app = createTestApp();
    for (let n = 0; n < 2; n += 1)
      await app.post(REGISTER, { peer_id: PEER, addrs: [7, 'x', 'y', '/ip4/0.0.0.0/tcp/1'] });
    const metrics = await app.metrics();
    for (const [reason, count] of [
      ['mistyped', 2],
      ['not_a_multiaddr', 4],
      ['unreachable', 2],
      ['foreign', 0],
    ])
      expect(metrics).toContain(`rustory_tracker_addresses_dropped_total{reason="${reason}"} ${count}`);
  });
});
