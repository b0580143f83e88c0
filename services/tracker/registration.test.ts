import { expect, test } from '@jest/globals';
import { createRandom } from '../../testing/random.ts';
import { ADDR, OTHER_PEER, PEER, testRegistry } from '../../testing/tracker-app.ts';
import { createRegistrationParser } from './registration.ts';
import type { Registration } from './registry/registry.ts';

const CIRCUIT = `/ip4/203.0.113.1/tcp/4001/p2p/${OTHER_PEER}/p2p-circuit/p2p/${PEER}`;
const ADDRS = [
  ADDR,
  ADDR,
  CIRCUIT,
  CIRCUIT,
  ` ${ADDR}`,
  '/ip4/0.0.0.0/tcp/1',
  'x',
  '',
  5,
  [],
  'a","b',
  `/dns4/${'x'.repeat(600)}`,
];
const NAMES = [
  'user_id',
  'device_id',
  'hostname',
  'version',
  'build_dirty',
  'extra',
  '1',
  '__proto__',
  'a"b',
  'toString',
];
const SCALARS = [
  'ada',
  'ada',
  '',
  null,
  true,
  7,
  -0,
  1e300,
  'é"\\\u0001',
  '\ud800',
  'x'.repeat(300),
  [],
  { a: 1 },
];

/** A body with random fields, as text, because some of them exist only in text. */
function randomBody(random: () => number): string {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const list = <T>(max: number, create: () => T): T[] =>
    Array.from({ length: Math.floor(random() * max) }, create);
  const addrs =
    random() < 0.9 ? JSON.stringify(list(4, () => pick(ADDRS))) : pick(['null', '"x"', '{}', '1']);
  const fields = list(7, () => `${JSON.stringify(pick(NAMES))}:${JSON.stringify(pick(SCALARS))}`);
  const meta = random() < 0.9 ? `{${fields.join(',')}}` : pick(['null', '[]', '"x"']);
  const peer = pick([PEER, PEER, OTHER_PEER, ` ${PEER}`, 'nobody']);
  return `{"peer_id":"${peer}","addrs":${addrs},"meta":${meta},"device_proof":${random()}}`;
}

/** A live record has further fields. */
function fieldsOf({ peerId, userId, deviceId, hostname, relays, json }: Registration): Registration {
  return { peerId, userId, deviceId, hostname, ...(relays !== undefined && { relays }), json };
}

test('a body that is compared with the live record or a cached one is read as if it was the first', async () => {
  const random = createRandom(17);
  const registry = testRegistry();
  const ofRegistry = createRegistrationParser(false, { recall: registry.recall?.bind(registry) });
  const ofCache = createRegistrationParser(false);
  let repeated = 0;
  for (let n = 0; n < 3_000; n += 1) {
    const body = randomBody(random);
    const fresh = createRegistrationParser(false)(body);
    const expected = fresh.ok ? { ...fresh.request, read: fresh.request.read() } : fresh;
    for (const parse of [ofRegistry, ofRegistry, ofCache, ofCache]) {
      const parsed = parse(body);
      const result = parsed.ok ? parsed.request.read() : undefined;
      const read = result?.ok === true ? { ...result, registration: fieldsOf(result.registration) } : result;
      expect([body, parsed.ok ? { ...parsed.request, read } : parsed]).toEqual([body, expected]);
      if (result?.ok === true && parse === ofRegistry) {
        const live = registry.recall?.(result.registration.peerId);
        if (live === result.registration) repeated += 1;
        await registry.register(result.registration);
      }
    }
  }
  expect(repeated).toBeGreaterThan(100);
});
