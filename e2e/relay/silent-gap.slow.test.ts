// Slow because the network of a device is interrupted for longer than TCP keepalive took to give it up before.
// `node e2e/load/silent-gap.ts` does the same for 15 minutes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import { startRelay } from '../../scripts/local-network.ts';
import { startProgram } from '../../scripts/processes.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { connectStatus, metric, startDevice } from '../../testing/load-devices.ts';
import { createNamespace, HAS_NAMESPACES } from '../../testing/namespace.ts';
import { until } from '../../testing/wait.ts';

const DEVICE = join(import.meta.dirname, '../../testing/programs/pinging-device.ts');
/** Duration of the gap: TCP keepalive with the defaults of Node.js ends after 25 seconds. */
const GAP_MS = 40_000;

afterEach(cleanUp);

if (HAS_NAMESPACES)
  test.each([
    ['that pings, with data in flight', 5],
    ['that never pings, with nothing in flight', 0],
  ])('a device %s keeps its reservation in a silent gap', async (_, pingSeconds) => {
    const folder = mkdtempSync(join(tmpdir(), 'rustory-gap-'));
    onCleanup(() => rmSync(folder, { recursive: true }));
    const namespace = createNamespace();
    onCleanup(namespace.remove);
    const relay = await startRelay(folder, {
      env: { RELAY_LISTEN: `/ip4/${namespace.host}/tcp/0`, LOG_LEVEL: 'debug' },
    });
    onCleanup(relay.stop);
    const device = startProgram('device', DEVICE, {
      under: namespace.under,
      args: [join(folder, 'swarm.key'), relay.address, String(pingSeconds)],
    });
    onCleanup(device.stop);
    const peerId = String((await device.waitFor('reserved')).peerId);
    const source = await startDevice(readSwarmKey(join(folder, 'swarm.key')));
    onCleanup(async () => source.stop());
    expect(await connectStatus(relay, source, peerId)).toBe('OK');
    if (pingSeconds === 0) await until(() => namespace.isQuiet(), 'nothing is in flight to the device');

    namespace.cut();
    // With the pinging device the request is in flight, too.
    if (pingSeconds > 0) expect(await connectStatus(relay, source, peerId)).toBe('CONNECTION_FAILED');
    await sleep(GAP_MS);
    expect(await connectStatus(relay, source, peerId)).toBe('CONNECTION_FAILED');
    expect(await metric(relay, 'rustory_relay_reservations')).toBe(1);
    namespace.restore();
    await until(
      async () => (await connectStatus(relay, source, peerId)) === 'OK',
      'the device can be reached again',
    );
    expect(device.logged('closed')).toEqual([]);
    expect(relay.logged('reserved').filter(({ peer }) => peer === peerId)).toHaveLength(1);
    // The operator sees why the device could not be reached.
    const { reason } = await relay.waitFor('the target of a circuit did not answer');
    expect(['target_no_answer', 'target_quiet']).toContain(reason);
  });
