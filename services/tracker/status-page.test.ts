import { describe, expect, test } from '@jest/globals';
import { ADDR, createTestApp, OTHER_PEER, PEER, REGISTER, testRegistry } from '../../testing/tracker-app.ts';
import { RegistryOverloadedError, RegistryUnavailableError } from './registry/registry.ts';

describe('the status page', () => {
  test('lists devices by user with their addresses and times', async () => {
    const app = createTestApp({ nowUnixMs: () => Date.now() + 90_000 });
    await app.post(REGISTER, {
      peer_id: PEER,
      addrs: [ADDR],
      meta: { user_id: 'alice', hostname: 'laptop', version: '0.9.1' },
    });
    await app.post(REGISTER, { peer_id: OTHER_PEER, addrs: [], meta: null });
    const response = await app.get('/');
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const html = await response.text();
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

  test('lists the 1,000 devices that registered last, and counts all', async () => {
    const registry = testRegistry(2_000);
    for (let n = 0; n < 1_001; n += 1)
      await registry.register({
        peerId: `p${n}`,
        userId: null,
        deviceId: null,
        hostname: null,
        json: JSON.stringify({ peer_id: `peer-${n}.`, addrs: [], meta: null }),
      });
    const html = await (await createTestApp({ registry }).get('/')).text();
    expect(html).toContain('1001 devices');
    expect(html).toContain('Only the 1000 devices');
    expect(html).toContain('peer-1000.');
    expect(html).not.toContain('peer-0.');
  });

  test('reports that no device is registered', async () => {
    expect(await (await createTestApp().get('/')).text()).toContain('No device is registered.');
  });

  test('escapes every text of a device', async () => {
    const app = createTestApp();
    const hostile = "\"><script>alert(1)</script><img src=x onerror='a'>&";
    await app.post(REGISTER, {
      peer_id: PEER,
      addrs: ['/dns4/<b>x/tcp/1'],
      meta: { user_id: hostile, hostname: hostile, device_id: hostile, version: hostile },
    });
    const html = await (await app.get('/')).text();
    expect(html).not.toMatch(/<script|<img|<b>/);
    expect(html).toContain('&lt;script&gt;');
  });

  test('forbids scripts, frames and everything loaded from elsewhere', async () => {
    const policy = (await createTestApp().get('/')).headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
  });

  test('requires the token, which a browser sends as a password', async () => {
    const grant = { id: 't', userId: 'alice', readOnly: true, isHub: false };
    const app = createTestApp(
      {},
      { secret: grant, open: { id: 'o', userId: undefined, readOnly: false, isHub: false } },
    );
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

  test.each([
    [new RegistryUnavailableError('fault'), 'The registry does not answer.', '2'],
    [new RegistryOverloadedError('fault'), 'The tracker is overloaded.', '8'],
  ])('reports that the registry cannot be read: %s', async (error, text, retryAfter) => {
    const registry = {
      ...testRegistry(),
      async list(): Promise<never> {
        throw error;
      },
    };
    const response = await createTestApp({ registry }).get('/');
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe(retryAfter);
    expect(await response.text()).toContain(text);
  });

  test('shows the age of a stale listing', async () => {
    const registry = { ...testRegistry(), list: async () => ({ peers: [], staleForSeconds: 12 }) };
    expect(await (await createTestApp({ registry }).get('/')).text()).toContain('12 s old');
  });
});
