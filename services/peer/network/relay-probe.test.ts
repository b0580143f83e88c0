import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog, SHORT_PROBE_TIMINGS, startDevice, startTestRelay } from '../../../testing/peer.ts';
import { startTunnel } from '../../../testing/tunnel.ts';
import { deadlineSignal, until } from '../../../testing/wait.ts';
import { openRelay } from './relay-connection.ts';
import { createRelayProbe, type ProbeTimings } from './relay-probe.ts';

afterEach(cleanUp);

/** A device that is connected to a relay through a tunnel, and probes the relay. */
async function startProbe(timings: ProbeTimings) {
  const tunnel = await startTunnel(await startTestRelay());
  const { node } = await startDevice();
  const { libp2p } = node;
  const { log, lines } = createTestLog();
  const state = { network: 'home' };
  const connection = await openRelay(node, [tunnel.address], {
    signal: deadlineSignal(),
    onProgress: () => {},
  });
  await until(() => connection.streams.length === 0, 'identify has ended');
  const relays = (): string[] => [tunnel.address];
  const probe = createRelayProbe({ libp2p, relays, log, network: () => state.network, timings });
  onCleanup(() => probe.stop());
  probe.start();
  return { tunnel, node, connection, state, messages: () => lines.map(({ message }) => message) };
}

describe('a probe of a relay', () => {
  test('aborts a dead connection when the addresses of the machine change', async () => {
    const { tunnel, node, connection, state, messages } = await startProbe(SHORT_PROBE_TIMINGS);
    tunnel.kill();
    state.network = 'train';
    await until(() => connection.status !== 'open', 'the connection is aborted');
    expect(messages()).toEqual(['network changed', 'relay does not answer']);
    expect(
      (await openRelay(node, [tunnel.address], { signal: deadlineSignal(), onProgress: () => {} })).status,
    ).toBe('open');
  });

  test('aborts a dead connection at the next ping without a change of the addresses', async () => {
    const { tunnel, connection, messages } = await startProbe({
      ...SHORT_PROBE_TIMINGS,
      probeIntervalMs: 50,
    });
    tunnel.kill();
    await until(() => connection.status !== 'open', 'the connection is aborted');
    expect(messages()).toContain('relay does not answer');
  });

  test('keeps a connection to a responsive relay', async () => {
    const { connection, state, messages } = await startProbe({
      ...SHORT_PROBE_TIMINGS,
      idleTimeoutMs: 20_000,
    });
    state.network = 'train';
    await until(() => messages().includes('network changed'), 'the change is detected');
    await until(() => connection.streams.length === 0, 'the ping has ended');
    expect(messages()).toEqual(['network changed']);
    expect(connection.status).toBe('open');
  });
});
