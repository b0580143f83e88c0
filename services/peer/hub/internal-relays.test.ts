import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog, startDevice, startTestRelay } from '../../../testing/peer.ts';
import { deadlineSignal, until } from '../../../testing/wait.ts';
import { addressesOf, createRelayWatch, learnRelays } from './internal-relays.ts';

afterEach(cleanUp);

const withoutId = (address: string): string => address.replace(/\/p2p\/.*$/, '');
const sleep = async (_: number, signal: AbortSignal): Promise<void> => {
  await new Promise((resolve) => void setImmediate(resolve));
  signal.throwIfAborted();
};

/** A device that asks relays, and its log. */
async function startAsking() {
  const { node } = await startDevice();
  return { libp2p: node.libp2p, node, ...createTestLog() };
}

test('the peer ids of relays are found, in the order of their addresses, also of one that starts later', async () => {
  const { libp2p, log } = await startAsking();
  const [first, old] = [await startTestRelay(), await startTestRelay()];
  const later = withoutId(old.address);
  await old.libp2p.stop();
  const learning = learnRelays({
    libp2p,
    addresses: [later, withoutId(first.address)],
    log,
    sleep,
    signal: deadlineSignal(),
  });
  await until(() => first.libp2p.getConnections().length > 0, 'the first relay is asked');
  const second = await startTestRelay({ listen: [later] });
  expect(addressesOf(await learning)).toEqual([second.address, first.address]);
});

test('relays that do not answer in time are absent, and the log names them', async () => {
  const { libp2p, log, lines } = await startAsking();
  const relay = await startTestRelay();
  const stopping = new AbortController();
  const silent = '/ip4/127.0.0.1/tcp/9';
  const learning = learnRelays({
    libp2p,
    addresses: [silent, withoutId(relay.address)],
    log,
    sleep,
    signal: stopping.signal,
  });
  await until(() => lines.some(({ message }) => message === 'relay found'), 'one relay is found');
  stopping.abort();
  expect(addressesOf(await learning)).toEqual([relay.address]);
  expect(lines.at(-1)).toMatchObject({ message: expect.stringMatching(/^relay not found/) });
});

test('a relay that answers later or with another peer id ends the hub; a known one is only left alone', async () => {
  const { libp2p } = await startAsking();
  const relay = await startTestRelay();
  const address = withoutId(relay.address);
  const isConnected = (peerId: string): boolean =>
    libp2p.getPeers().some((peer) => peer.toString() === peerId);
  const common = { libp2p, addresses: [address], isConnected, exitCode: 7, intervalMs: 20 };
  const peerId = relay.libp2p.peerId.toString();
  const known = createRelayWatch({ ...common, relays: new Map([[address, peerId]]) });
  let isEnded = false;
  void known.failed?.then(() => (isEnded = true));
  const start = async (watch: typeof known): Promise<void> => {
    await watch.start?.();
    onCleanup(async () => watch.stop?.());
  };
  await start(known);
  for (const relays of [new Map<string, string>(), new Map([[address, `${peerId.slice(0, -1)}1`]])]) {
    const watch = createRelayWatch({ ...common, relays });
    await start(watch);
    expect(await watch.failed).toEqual({ text: expect.stringContaining(peerId), exitCode: 7 });
  }
  expect(isEnded).toBe(false);
});
