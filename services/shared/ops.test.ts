import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Counter, Registry } from 'prom-client';
import { until } from '../../testing/wait.ts';
import { createHealth } from './lifecycle.ts';
import { createLogger } from './log.ts';
import { createOpsServer } from './ops.ts';

describe('the ops port', () => {
  const health = createHealth();
  const metrics = new Registry();
  const log = createLogger('test', 'silent');
  new Counter({ name: 'things_total', help: 'Things.', registers: [metrics] }).inc(3);
  afterEach(() => health.setServing(false));

  describe('while it listens', () => {
    const ops = createOpsServer({ host: '127.0.0.1', port: 0 }, health, metrics, log);
    const request = async (path: string, method = 'GET'): Promise<Response> =>
      fetch(`http://127.0.0.1:${ops.address()?.port}${path}`, { method });

    beforeAll(async () => ops.start());
    afterAll(async () => ops.stop());

    test('serves /livez while the service is unready', async () => {
      expect((await request('/livez')).status).toBe(200);
    });

    test('responds to /readyz with 503 and the reasons while the service is unready', async () => {
      const response = await request('/readyz');
      expect(response.status).toBe(503);
      expect(await response.text()).toBe('lifecycle: starting or stopping\n');
    });

    test('responds to /readyz with 200 while the service is ready', async () => {
      health.setServing(true);
      expect((await request('/readyz')).status).toBe(200);
    });

    test('serves /metrics in the text format of Prometheus', async () => {
      const response = await request('/metrics');
      expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
      expect(await response.text()).toContain('things_total 3');
    });

    test('answers HEAD without the body, ignores a query, and answers 404 to everything else', async () => {
      const head = await request('/livez?verbose=1', 'HEAD');
      expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '3', '']);
      expect([(await request('/')).status, (await request('/livez', 'POST')).status]).toEqual([404, 404]);
    });
  });

  test('listens on a socket, has no drain, and closes the socket on stop', async () => {
    const server = createOpsServer({ host: '127.0.0.1', port: 0 }, health, metrics, log);
    expect(server.drain).toBeUndefined();
    await server.start();
    const { port } = server.address() ?? {};
    expect(await (await fetch(`http://127.0.0.1:${port}/livez`)).text()).toBe('ok\n');
    await server.stop();
    await until(() => !process.getActiveResourcesInfo().includes('TCPServerWrap'), 'the socket is closed');
  });

  test('fails to start when its address is in use', async () => {
    const first = createOpsServer({ host: '127.0.0.1', port: 0 }, health, metrics, log);
    await first.start();
    const taken = first.address() ?? { host: '', port: 0 };
    await expect(createOpsServer(taken, health, metrics, log).start()).rejects.toThrow('EADDRINUSE');
    await first.stop();
  });
});
