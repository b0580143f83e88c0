import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { createTestApp, OTHER_PEER, PEER, REGISTER, testRegistry } from '../../testing/tracker-app.ts';
import { createClientLog } from './client-log.ts';
import { RegistryUnavailableError } from './registry/registry.ts';

const grant = { userId: undefined, readOnly: false, isHub: false };
const TOKENS = { open: { ...grant, id: 'o' }, bobs: { ...grant, id: 'b', userId: 'bob' } };
const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

/** An app with its info lines, and a device that registers with it. */
function create() {
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { base: null, timestamp: false },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const registry = testRegistry();
  const app = createTestApp({ log, registry, clientLog: createClientLog({ log }) }, TOKENS);
  const register = async (peer_id: string, device_id: string, hostname: string, user_id = 'alice') =>
    app.post(REGISTER, { peer_id, addrs: [], meta: { device_id, hostname, user_id } }, bearer('open'));
  const page = async (token = 'open'): Promise<string> => (await app.get('/', bearer(token))).text();
  return { app, lines, register, page };
}

test('two devices with one identity key are counted, logged and marked', async () => {
  const { app, lines, register, page } = create();
  await register(PEER, 'desk', 'desk');
  await register(PEER, 'lap', 'lap');
  expect(await page()).not.toContain('used on two devices');
  expect(lines).toEqual([]);
  await register(PEER, 'desk', 'desk');
  await register(PEER, 'lap', 'lap');
  expect(lines).toMatchObject([
    {
      level: 30,
      peerId: PEER,
      userId: 'alice',
      differsIn: 'device_id',
      claimants: ['desk', 'lap'],
      msg: 'one identity key is used on two devices',
    },
    { differsIn: 'hostname' },
  ]);
  const metrics = await app.metrics();
  for (const [kind, count] of [
    ['device_id', 2],
    ['hostname', 2],
    ['peer_id', 0],
  ])
    expect(metrics).toContain(`rustory_tracker_identity_conflicts_total{kind="${kind}"} ${count}`);
  expect(await page()).toContain(
    'This identity is used on two devices: its device ids alternate between <bdi>desk</bdi> and <bdi>lap</bdi>.',
  );
});

test('two devices with one device id are counted, logged and marked', async () => {
  const { app, lines, register, page } = create();
  for (const peerId of [PEER, OTHER_PEER, PEER, OTHER_PEER]) await register(peerId, '<b>lap', peerId);
  expect(lines).toMatchObject([{ differsIn: 'peer_id', subject: '<b>lap', claimants: [PEER, OTHER_PEER] }]);
  expect(await app.metrics()).toContain('rustory_tracker_identity_conflicts_total{kind="peer_id"} 2');
  const html = await page();
  for (const other of [PEER, OTHER_PEER])
    expect(html).toContain(`the device id <bdi>&lt;b&gt;lap</bdi> too: <code>${other}</code>`);
});

test('the status page of a token with a user shows only conflicts of this user', async () => {
  const { register, page } = create();
  for (const id of ['a', 'b', 'a']) await register(PEER, id, 'host', 'alice');
  await register(OTHER_PEER, 'bobs', 'bobs', 'bob');
  expect(await page()).toContain('used on two devices');
  expect(await page('bobs')).not.toContain('used on two devices');
});

test('the status page shows a stale listing without marks', async () => {
  const registry = {
    ...testRegistry(),
    conflicts: () => Promise.reject(new RegistryUnavailableError('unavailable')),
  };
  expect((await createTestApp({ registry }).get('/')).status).toBe(200);
});
