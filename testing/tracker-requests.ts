// Ordinary and hostile requests to a tracker, as bytes: what both of its ways in must answer alike.
import { createRandom } from './random.ts';
import { ADDR, OTHER_PEER, PEER } from './tracker-app.ts';

export interface RawRequest {
  readonly method?: string;
  readonly target: string;
  readonly headers?: readonly string[];
  readonly body?: string | Buffer;
  /** Default `Host: localhost`. */
  readonly host?: readonly string[];
}

export function bytesOf({
  method = 'GET',
  target,
  headers = [],
  body,
  host = ['Host: localhost'],
}: RawRequest): Buffer {
  const length = body === undefined || headers.some((each) => /^(content-length|transfer)/i.test(each));
  const content = Buffer.from(body ?? '');
  const lines = [
    `${method} ${target} HTTP/1.1`,
    ...host,
    ...headers,
    ...(length ? [] : [`Content-Length: ${content.length}`]),
    'Connection: close',
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), content]);
}

const JSON_TYPE = 'Content-Type: application/json';

function registration(fields: Record<string, unknown>, headers: readonly string[] = [JSON_TYPE]): RawRequest {
  return {
    method: 'POST',
    target: '/api/v1/peers/register',
    headers,
    body: JSON.stringify({ peer_id: PEER, addrs: [ADDR], meta: { user_id: 'ada' }, ...fields }),
  };
}

const CIRCUIT = `/ip4/203.0.113.1/tcp/4001/p2p/${OTHER_PEER}/p2p-circuit/p2p/${PEER}`;
const META = { device_id: 'd', hostname: 'h', user_id: 'ada', version: '1.1.1', build_dirty: false };

const METHODS = ['GET', 'GET', 'POST', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'get', 'QUERY'];
const QUERIES = [
  '?user_id=ada',
  '?user_id=ad%61',
  '?user_id=a+b',
  '?user_id=ada&user_id=bob',
  '?user_id',
  '?user_id=%00',
  '?limit=1',
  '?limit=0',
  '?limit=1&cursor=aWQ6MTI',
  '?cursor=%',
  `?peer_id=${PEER}`,
  '?peer_id=x',
  '?%75ser_id=ada',
  '?user_id=ada#x',
  '?user_id="ada"',
  "?user_id='ada'",
  '?user_id=a/../b',
  '?x=\\',
  `?user_id=${'x'.repeat(600)}`,
];
const TARGETS = [
  '/api/v1/ping',
  '/api/v1/peers',
  '/api/v1/peers/register',
  '/api/v1/peers/unregister',
  '/livez',
  '/',
  '/prefix/api/v1/ping',
  '/prefix/api/v1/peers/register',
  '/prefix//api/v1/peers',
  '/api/v1/peers/',
  '//api/v1/ping',
  '/api/v1/ping?',
  '/api/v1/ping?a=b',
  '/api/v1/ping#x',
  '/api/v1/%70ing',
  '/api/v1/../v1/ping',
  'http://other.example/api/v1/ping',
  'http://localhost/api/v1/peers?user_id=ada',
  '*',
  '/api/v1/peers?',
  ...QUERIES.map((query) => `/api/v1/peers${query}`),
];
const HEADERS = [
  JSON_TYPE,
  JSON_TYPE,
  JSON_TYPE,
  'Content-Type: APPLICATION/JSON; charset=utf-8',
  'Content-Type: text/plain',
  'Authorization: Bearer any',
  'authorization: bearer ada',
  'X-Rustory-Token: any',
  'AUTHORIZATION: Bearer any',
  'Authorization: Bearer wrong',
  'Authorization: Bearer reader',
  'Authorization: Bearer hub',
  'Authorization: Basic eDphbnk=',
  'X-Rustory-Token:',
  'Origin: https://evil.example',
  'Sec-Fetch-Site: same-origin',
  'X-Forwarded-For: 192.0.2.1',
  'Via: 1.1 proxy',
  'If-None-Match: *',
  'If-None-Match: "x", W/"y"',
  'Accept: */*',
  'Expect: 100-continue',
  'Expect: more',
  'Content-Encoding: gzip',
  'Content-Encoding: identity',
  'Upgrade: websocket',
  '__proto__: x',
  'X-\u00e9: \u00e9',
];
const HOSTS = [
  'localhost',
  'localhost:1',
  'tracker.example.org',
  'Tracker.Example.org:8850',
  'evil.example',
  '127.0.0.1:80',
  '[::1]:8850',
  '1.2.3.4.5',
  'a:99999',
  'a:0',
  'a_b',
  '',
  'a b',
  'a/b',
  'user@host',
];
const VALUES: unknown[] = [
  { peer_id: PEER, addrs: [ADDR], meta: META },
  { peer_id: PEER, addrs: [ADDR], meta: META, device_proof: { nonce: [1, 2] } },
  { peer_id: PEER, addrs: [ADDR, CIRCUIT, 'x', '/ip4/0.0.0.0/tcp/1'], meta: META },
  { peer_id: ` ${PEER} `, addrs: [` ${ADDR}`], meta: META },
  { peer_id: PEER, addrs: null, meta: null },
  { peer_id: PEER, addrs: 'x', meta: { ...META, user_id: 'bob' } },
  { peer_id: PEER, addrs: [], meta: { ...META, user_id: 5 } },
  { peer_id: PEER, addrs: [], meta: { ...META, user_id: 'é"\\\u0001' } },
  { peer_id: PEER, addrs: [[]], meta: { extra: [], nested: { a: 1 } } },
  { peer_id: OTHER_PEER, addrs: [ADDR], meta: { user_id: 'bob' } },
  { peer_id: 'nobody', addrs: [], meta: {} },
  { peer_id: '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x', addrs: [] },
  { peer_id: '12D3KooWMgjLpFqCTNnEsAJDjL4i5Rs4jAg8VcrxV3N7pQpi2dQM', addrs: [] },
  { peer_id: PEER, addrs: [ADDR], meta: META, padding: 'x'.repeat(9_000) },
  { peer_id: PEER, addrs: [ADDR], meta: META, padding: 'x'.repeat(70_000) },
];
const BODIES: (string | Buffer | undefined)[] = [
  undefined,
  '',
  '{',
  '[]',
  'null',
  '1',
  '"text"',
  '{}',
  '\ufeff{}',
  Buffer.from([0x7b, 0xff, 0x7d]),
  ...VALUES.map((value) => JSON.stringify(value)),
  `{"peer_id":"${PEER}","peer_id":"${OTHER_PEER}","addrs":[],"meta":{"__proto__":{"user_id":"ada"},"user_id":"bob"}}`,
  `{"peer_id":"${PEER}","addrs":[],"meta":{"user_id":"ada","__proto__":"x","1":2}}`,
];

export const ORDINARY_REQUESTS: RawRequest[] = [
  registration({}),
  registration({}),
  registration({ meta: META, device_proof: { nonce: [1] } }),
  registration({ meta: META, device_proof: { nonce: [2] } }),
  registration({ addrs: [ADDR, CIRCUIT], meta: META }, [`${JSON_TYPE}; charset=utf-8`]),
  { target: '/api/v1/ping' },
  { target: '/api/v1/peers?user_id=ada' },
  { target: '/api/v1/peers', headers: ['If-None-Match: *'] },
  { target: '/api/v1/ping', host: ['Host: localhost', 'Host: localhost'] },
  { target: '/api/v1/ping', headers: ['Authorization: Bearer any', 'Authorization: Bearer wrong'] },
  { target: '/api/v1/ping', host: [] },
  {
    method: 'POST',
    target: '/api/v1/peers/register',
    headers: [JSON_TYPE, 'Transfer-Encoding: chunked'],
    body: '2\r\n{}\r\n0\r\n\r\n',
  },
  { target: '/api/v1/ping', headers: ['Content-Length: 2'], body: '{}' },
];

/** Requests of random parts. */
export function randomRequests(count: number, seed: number): RawRequest[] {
  const random = createRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  return Array.from({ length: count }, () => {
    const isHot = random() < 0.5;
    const method = isHot ? pick(['GET', 'POST']) : pick(METHODS);
    const target = isHot && method === 'POST' ? '/api/v1/peers/register' : pick(TARGETS);
    const headers = [
      ...(isHot ? [JSON_TYPE, 'Authorization: Bearer any'] : []),
      ...(random() < 0.6 ? [pick(HEADERS)] : []),
      ...(random() < 0.3 ? [pick(HEADERS)] : []),
    ];
    const host = random() < 0.8 ? ['Host: localhost'] : [`Host: ${pick(HOSTS)}`];
    const body = method === 'GET' && random() < 0.9 ? undefined : pick(BODIES);
    return { method, target, headers, host, ...(body !== undefined && { body }) };
  });
}
