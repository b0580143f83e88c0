import { describe, expect, test } from '@jest/globals';
import { ADDR, createTestApp, OTHER_PEER, PEER } from '../../testing/tracker-app.ts';
import { createMemoryRegistry } from './registry/memory-registry.ts';
import { RegistryUnavailableError } from './registry/registry.ts';

const REGISTER = '/api/v1/peers/register';

describe('the status page', () => {
  test('shows devices by user with addresses and when they were seen', async () => {
    const app = createTestApp({ now: () => Date.now() + 90_000 });
    await app.post(REGISTER, {
      peer_id: PEER,
      addrs: [ADDR],
      meta: { user_id: 'alice', hostname: 'laptop', version: '0.9.1' },
    });
    await app.post(REGISTER, { peer_id: OTHER_PEER, addrs: [], meta: null });
    const answer = await app.get('/');
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const html = await answer.text();
    for (const text of [
      'alice',
      'laptop',
      '0.9.1',
      PEER,
      OTHER_PEER,
      ADDR,
      'no user',
      'no address',
      '1 min ago',
      '2 devices',
    ])
      expect(html).toContain(text);
    expect(html).not.toContain('<script');
  });

  test('shows the thousand that registered last, and counts them all', async () => {
    const registry = createMemoryRegistry({ ttlSeconds: 60, maxPeers: 2_000, now: Date.now });
    for (let n = 0; n < 1_001; n += 1)
      await registry.register({
        peerId: `p${n}`,
        userId: null,
        json: JSON.stringify({ peer_id: `peer-${n}.`, addrs: [], meta: null }),
      });
    const html = await (await createTestApp({ registry }).get('/')).text();
    expect(html).toContain('1001 devices');
    expect(html).toContain('Only the 1000');
    expect(html).toContain('peer-1000.');
    expect(html).not.toContain('peer-0.');
  });

  test('says so when nobody is registered', async () => {
    expect(await (await createTestApp().get('/')).text()).toContain('No device is registered.');
  });

  test('shows what a device says of itself as text and nothing else', async () => {
    const app = createTestApp();
    const evil = "\"><script>alert(1)</script><img src=x onerror='a'>&";
    await app.post(REGISTER, {
      peer_id: PEER,
      addrs: ['/dns4/<b>x/tcp/1'],
      meta: { user_id: evil, hostname: evil, device_id: evil, version: evil },
    });
    const html = await (await app.get('/')).text();
    expect(html).not.toMatch(/<script|<img|<b>/);
    expect(html).toContain('&lt;script&gt;');
  });

  test('forbids scripts, frames and everything loaded', async () => {
    const policy = (await createTestApp().get('/')).headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
  });

  test('is behind the token, which a browser asks for as a password', async () => {
    const grant = { id: 't', userId: 'alice', readOnly: true };
    const app = createTestApp({}, { secret: grant, open: { id: 'o', userId: undefined, readOnly: false } });
    const open = { Authorization: 'Bearer open' };
    await app.post(REGISTER, { peer_id: PEER, addrs: [], meta: { user_id: 'alice' } }, open);
    await app.post(REGISTER, { peer_id: OTHER_PEER, addrs: [], meta: { user_id: 'bob' } }, open);
    const refused = await app.get('/');
    expect(refused.status).toBe(401);
    expect(refused.headers.get('www-authenticate')).toMatch(/^Basic /);
    const html = await (await app.get('/', { Authorization: `Basic ${btoa('me:secret')}` })).text();
    expect(html).toContain(PEER);
    expect(html).not.toContain('bob');
  });

  test('says that the registry is away, and how old what it shows is', async () => {
    const memory = createMemoryRegistry({ ttlSeconds: 60, maxPeers: 10, now: Date.now });
    const away = { ...memory, list: () => Promise.reject(new RegistryUnavailableError('away')) };
    const answer = await createTestApp({ registry: away }).get('/');
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('2');
    expect(await answer.text()).toContain('does not answer');
    const stale = { ...memory, list: async () => ({ peers: [], staleForSeconds: 12 }) };
    expect(await (await createTestApp({ registry: stale }).get('/')).text()).toContain('12 s ago');
  });
});

describe('the API page', () => {
  test('shows every call and every schema of the document', async () => {
    const app = createTestApp();
    const document = (await (await app.get('/openapi.json')).json()) as {
      paths: object;
      components: { schemas: object };
    };
    const html = await (await app.get('/docs')).text();
    for (const name of [...Object.keys(document.paths), ...Object.keys(document.components.schemas)])
      expect(html).toContain(name);
    expect(Object.keys(document.paths)).toHaveLength(4);
  });
});
