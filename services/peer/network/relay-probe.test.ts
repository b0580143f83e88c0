import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog, SHORT_PROBE_TIMINGS, startDevice, startTestRelay } from '../../../testing/peer.ts';
import { startTunnel } from '../../../testing/tunnel.ts';
import { deadlineSignal, until } from '../../../testing/wait.ts';
import { openRelay } from './relay-connection.ts';
import { pingRelay } from './relay-ping.ts';
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

test('a ping that waits on a lost connection does not delay the ping of the next connection', async () => {
  const { node: relay } = await startDevice(['/ip4/127.0.0.1/tcp/0']);
  const { node } = await startDevice();
  const addresses = relay.libp2p.getMultiaddrs().map(String);
  const open = async () => openRelay(node, addresses, { signal: deadlineSignal(), onProgress: () => {} });
  const ping = async () => pingRelay(node.libp2p, relay.libp2p.peerId, deadlineSignal());
  let answers = false;
  const arrived = Promise.withResolvers<void>();
  await relay.libp2p.unhandle('/ipfs/ping/1.0.0');
  await relay.libp2p.handle('/ipfs/ping/1.0.0', (stream) => {
    stream.addEventListener('message', ({ data }) => {
      if (answers) stream.send(data);
      arrived.resolve();
    });
  });

  const connection = await open();
  const unanswered = ping();
  await arrived.promise;
  connection.abort(new Error('The machine is in another network.'));
  await expect(unanswered).rejects.toThrow('The connection to the relay was lost.');
  answers = true;
  await open();
  expect(await ping()).toBeGreaterThanOrEqual(0);
});
