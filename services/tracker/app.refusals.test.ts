import { describe, expect, test } from '@jest/globals';
import { MAX_BODY_BYTES } from '../shared/contract.ts';
import {
  ADDR,
  createTestApp,
  LIST,
  listed,
  OTHER_PEER,
  PEER,
  REGISTER,
  refusalOf,
  testRegistry,
  UNREGISTER,
} from '../../testing/tracker-app.ts';
import { RegistryOverloadedError, RegistryUnavailableError } from './registry/registry.ts';

async function unavailable(): Promise<never> {
  throw new RegistryUnavailableError('10.0.0.1:6379 sent no data for 250 ms.');
}

async function overloaded(): Promise<never> {
  throw new RegistryOverloadedError('The queue is full.');
}

describe('the API', () => {
  const long = 'x'.repeat(257);
  const good = { peer_id: PEER, addrs: [ADDR] };

  test.each([
    ['invalid JSON', '{"peer_id":', 'invalid_json'],
    ['an empty body', '', 'invalid_json'],
    ['null', 'null', 'invalid_request'],
    ['a list', [], 'invalid_request'],
    ['a missing peer_id', { addrs: [] }, 'invalid_request'],
    ['a peer_id that is not a peer id', { ...good, peer_id: 'nobody' }, 'invalid_peer_id'],
    ['a number as peer_id', { ...good, peer_id: 7 }, 'invalid_request'],
    ['meta that is a string', { ...good, meta: 'x' }, 'invalid_request'],
    ['a list as meta', { ...good, meta: [] }, 'invalid_request'],
    ['a number as user_id', { ...good, meta: { user_id: 7 } }, 'invalid_request'],
    ['a user_id that is too long', { ...good, meta: { user_id: long } }, 'invalid_request'],
    ['NUL in user_id', { ...good, meta: { user_id: 'a\0b' } }, 'invalid_request'],
    [
      'a lone surrogate in user_id',
      `{"peer_id":"${PEER}","addrs":[],"meta":{"user_id":"\\ud800"}}`,
      'invalid_request',
    ],
  ])('refuses a registration with %s, and stores nothing', async (_, body, code) => {
    const app = createTestApp();
    expect(await refusalOf(await app.post(REGISTER, body))).toEqual([400, code]);
    expect(await listed(app)).toEqual([]);
  });

  test('names the field and the mistake in the detail of a refusal', async () => {
    const app = createTestApp();
    const response = await app.post(REGISTER, { ...good, meta: { user_id: long } });
    expect(await response.json()).toMatchObject({ detail: 'meta.user_id: is longer than 256 bytes' });
  });

  test('refuses a body over 64 KiB, with or without a declared length', async () => {
    const app = createTestApp();
    const body = JSON.stringify({ ...good, junk: 'x'.repeat(MAX_BODY_BYTES) });
    expect(
      await refusalOf(await app.post(REGISTER, body, { 'Content-Length': String(body.length) })),
    ).toEqual([413, 'body_too_large']);
    expect(await refusalOf(await app.post(REGISTER, body))).toEqual([413, 'body_too_large']);
  });

  test('accepts a body of exactly 64 KiB', async () => {
    const empty = JSON.stringify({ ...good, junk: '' });
    const body = JSON.stringify({ ...good, junk: 'x'.repeat(MAX_BODY_BYTES - empty.length) });
    expect((await createTestApp().post(REGISTER, body)).status).toBe(200);
  });

  test('refuses the content type of a form, as a browser or "curl -d" sends it', async () => {
    const response = await createTestApp().post(REGISTER, good, {
      'Content-Type': 'application/x-www-form-urlencoded',
    });
    expect(await refusalOf(response)).toEqual([415, 'unsupported_media_type']);
  });

  test.each([
    'application/json',
    'application/json; charset=utf-8',
    'Application/JSON',
    'application/problem+json',
  ])('accepts the content type %s', async (type) => {
    expect((await createTestApp().post(REGISTER, good, { 'Content-Type': type })).status).toBe(200);
  });

  test.each(['gzip', 'deflate', 'br', 'zstd', 'x-gzip', 'identity, gzip', 'GZIP'])(
    'refuses a body with the encoding %s with 415, and names the mistake',
    async (encoding) => {
      const response = await createTestApp().post(REGISTER, good, { 'Content-Encoding': encoding });
      expect(await response.clone().text()).toContain('without compression');
      expect(await refusalOf(response)).toEqual([415, 'unsupported_media_type']);
    },
  );

  test.each(['identity', '', 'Identity, identity'])(
    'accepts a body with the encoding %j',
    async (encoding) => {
      expect((await createTestApp().post(REGISTER, good, { 'Content-Encoding': encoding })).status).toBe(200);
    },
  );

  test('refuses paths and methods that do not exist', async () => {
    const app = createTestApp();
    expect(await refusalOf(await app.get('/api/v2/peers'))).toEqual([404, 'not_found']);
    expect(await refusalOf(await app.get(REGISTER))).toEqual([405, 'method_not_allowed']);
    const response = await app.post(LIST, {});
    expect(response.headers.get('allow')).toBe('GET, HEAD');
  });

  test('refuses a new peer above the maximum, with Retry-After', async () => {
    const registry = testRegistry(1);
    const app = createTestApp({ registry });
    await app.post(REGISTER, good);
    const response = await app.post(REGISTER, { peer_id: OTHER_PEER, addrs: [] });
    expect(response.headers.get('retry-after')).toBe('45');
    expect(await refusalOf(response)).toEqual([429, 'too_many_peers']);
    expect((await app.post(REGISTER, good)).status).toBe(200);
    expect(await app.metrics()).toContain('rustory_tracker_refusals_total{reason="too_many_peers"} 1');
  });

  test('refuses every request while the registry does not respond, with Retry-After', async () => {
    const registry = {
      ...testRegistry(1),
      register: unavailable,
      unregister: unavailable,
      list: unavailable,
    };
    const app = createTestApp({ registry });
    for (const response of [
      await app.get(LIST),
      await app.post(REGISTER, good),
      await app.post(UNREGISTER, good),
    ]) {
      expect(response.headers.get('retry-after')).toBe('2');
      const text = await response.clone().text();
      expect(text).not.toContain('10.0.0.1');
      expect(await refusalOf(response)).toEqual([503, 'registry_unavailable']);
    }
  });

  test('refuses every request while it is overloaded, with a separate code', async () => {
    const registry = { ...testRegistry(), register: overloaded, unregister: overloaded, list: overloaded };
    const app = createTestApp({ registry });
    for (const response of [
      await app.get(LIST),
      await app.post(REGISTER, good),
      await app.post(UNREGISTER, good),
    ]) {
      expect(response.headers.get('retry-after')).toBe('8');
      expect(await refusalOf(response)).toEqual([503, 'overloaded']);
    }
    const metrics = await app.metrics();
    expect(metrics).toContain('rustory_tracker_refusals_total{reason="overloaded"} 3');
    expect(metrics).toContain('rustory_tracker_refusals_total{reason="registry_unavailable"} 0');
  });

  test('responds with 500 after an internal error, without the cause', async () => {
    const registry = {
      ...testRegistry(1),
      list: () => Promise.reject(new Error('secret')),
    };
    const response = await createTestApp({ registry }).get(LIST);
    expect(await response.clone().text()).not.toContain('secret');
    expect(await refusalOf(response)).toEqual([500, 'internal']);
  });
});
