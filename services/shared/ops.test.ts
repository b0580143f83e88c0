import { afterEach, describe, expect, test } from '@jest/globals';
import { Counter, Registry } from 'prom-client';
import { createHealth } from './lifecycle.ts';
import { createLogger } from './log.ts';
import { until } from '../../testing/wait.ts';
import { createOpsApp, createOpsServer } from './ops.ts';

describe('the ops port', () => {
  const health = createHealth();
  const metrics = new Registry();
  const log = createLogger('test', 'silent');
  new Counter({ name: 'things_total', help: 'Things.', registers: [metrics] }).inc(3);
  const app = createOpsApp(health, metrics);

  afterEach(() => health.setServing(false));

  test('is live whatever the readiness', async () => {
    expect((await app.request('/livez')).status).toBe(200);
  });

  test('says why the service is unready', async () => {
    const answer = await app.request('/readyz');
    expect(answer.status).toBe(503);
    expect(await answer.text()).toBe('lifecycle: starting or stopping\n');
  });

  test('is ready while serving', async () => {
    health.setServing(true);
    expect((await app.request('/readyz')).status).toBe(200);
  });

  test('shows metrics as Prometheus text', async () => {
    const answer = await app.request('/metrics');
    expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(await answer.text()).toContain('things_total 3');
  });

  test('listens on a socket, stops, and leaves nothing open', async () => {
    const server = createOpsServer({ host: '127.0.0.1', port: 0 }, health, metrics, log);
    await server.start();
    await server.stop();
    await until(() => !process.getActiveResourcesInfo().includes('TCPServerWrap'), 'the socket is closed');
  });

  test('says so when its address is taken', async () => {
    const first = createOpsServer({ host: '127.0.0.1', port: 0 }, health, metrics, log);
    await first.start();
    const taken = first.address() ?? { host: '', port: 0 };
    await expect(createOpsServer(taken, health, metrics, log).start()).rejects.toThrow('EADDRINUSE');
    await first.stop();
  });
});
