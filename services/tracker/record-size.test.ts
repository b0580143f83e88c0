import { expect, test } from '@jest/globals';
import { createTestApp, listed, PEER, REGISTER } from '../../testing/tracker-app.ts';
import { MAX_RECORD_BYTES } from './record-size.ts';

const RELAY = '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
const host = (n: number): string => `relay${n}.a-long-name.example.com`;
const CIRCUITS = Array.from(
  { length: 32 },
  (_, n) => `/dns4/${host(n)}/tcp/4001/p2p/${RELAY}/p2p-circuit/p2p/${PEER}`,
);
const direct = (count: number, length: number): string[] =>
  Array.from({ length: count }, (_, n) => `/dns4/${String(n).padStart(length, 'h')}.example/tcp/4001`);
const KNOWN = { user_id: 'alice', device_id: 'laptop', hostname: 'laptop.lan', version: '1.1.1' };

async function record(addrs: string[], meta: object): Promise<{ addrs: string[]; meta: object }> {
  const app = createTestApp();
  expect((await app.post(REGISTER, { peer_id: PEER, addrs, meta })).status).toBe(200);
  const [peer] = (await listed(app)) as [{ peer_id: string; addrs: string[]; meta: object }];
  const { peer_id, addrs: kept, meta: fields } = peer;
  const json = JSON.stringify({ peer_id, addrs: kept, meta: fields });
  expect(Buffer.byteLength(json)).toBeLessThanOrEqual(MAX_RECORD_BYTES);
  return { addrs: kept, meta: fields };
}

test('32 circuits and the known fields always fit', async () => {
  expect(await record(CIRCUITS, KNOWN)).toEqual({ addrs: CIRCUITS, meta: KNOWN });
});

test('of addresses that do not fit, circuits are kept', async () => {
  const circuits = CIRCUITS.slice(0, 10);
  const { addrs, meta } = await record([...direct(22, 400), ...circuits], KNOWN);
  expect(addrs).toEqual(expect.arrayContaining(circuits));
  expect(addrs.length).toBeGreaterThan(circuits.length);
  expect(meta).toEqual(KNOWN);
});

test('unknown fields are dropped for addresses, and known fields never', async () => {
  const unknown = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`f${n}`, 'x'.repeat(256)]));
  const { addrs, meta } = await record(CIRCUITS, { ...unknown, ...KNOWN });
  expect(addrs).toEqual(CIRCUITS);
  expect(meta).toMatchObject(KNOWN);
  expect(Object.keys(meta).length).toBeLessThan(Object.keys({ ...unknown, ...KNOWN }).length);
});

test('fields of which each character needs six bytes do not displace the user', async () => {
  const text = '\u0001'.repeat(256);
  const { meta } = await record(CIRCUITS, {
    hostname: text,
    device_id: text,
    version: text,
    build_revision: text,
    user_id: text,
  });
  expect(meta).toMatchObject({ user_id: text, device_id: text });
});
