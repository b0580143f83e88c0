import { afterEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair } from '@libp2p/crypto/keys';
import manifest from '../../../package.json' with { type: 'json' };
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { testSwarmKey } from '../../../testing/peer.ts';
import { testWireIo } from '../../../testing/wire-io.ts';
import { createProtectionProgress, LibraryMemberError, takeReservationStore } from './library-internals.ts';
import { createPeerNode, STOP_PROTOCOL } from './node.ts';

afterEach(cleanUp);

const noop = (): void => {};

/** An object with the members that we use of the library's circuit transport. */
const transport = () => ({
  reservationStore: {
    addRelay: noop,
    getReservation: noop,
    addEventListener: noop,
    removeEventListener: noop,
    relayFilter: { add: noop, has: () => true },
    peerStore: { all: noop, merge: noop },
  },
});

async function startNode(listen: readonly string[] | undefined) {
  const identity = await generateKeyPair('Ed25519');
  const node = await createPeerNode({
    io: testWireIo,
    identity,
    swarmKey: testSwarmKey,
    listen,
    version: '0.0.0',
  });
  onCleanup(async () => node.libp2p.stop());
  await node.start();
  return node;
}

describe('the installed version of libp2p', () => {
  test.each(['libp2p', '@libp2p/circuit-relay-v2'] as const)('is pinned: %s', (packageName) => {
    expect(manifest.dependencies[packageName]).toMatch(/^\d/);
  });

  test('has every private member that the peer uses', async () => {
    // The members are checked when the node is created. The error names a removed member.
    await expect(startNode([])).resolves.toBeDefined();
  });

  test('registers the stop protocol, which only a node that listens keeps', async () => {
    expect((await startNode([])).libp2p.getProtocols()).toContain(STOP_PROTOCOL);
    expect((await startNode(undefined)).libp2p.getProtocols()).not.toContain(STOP_PROTOCOL);
  });
});

describe('a version of libp2p without a member', () => {
  test.each([
    ['CircuitRelayTransport.reservationStore', {}],
    [
      'ReservationStore.addRelay',
      { reservationStore: { ...transport().reservationStore, addRelay: undefined } },
    ],
    [
      'ReservationStore.getReservation',
      { reservationStore: { ...transport().reservationStore, getReservation: undefined } },
    ],
    [
      'ReservationStore.relayFilter',
      { reservationStore: { ...transport().reservationStore, relayFilter: undefined } },
    ],
    [
      'ReservationStore.relayFilter.has',
      { reservationStore: { ...transport().reservationStore, relayFilter: { add: noop } } },
    ],
  ])('is rejected with the name of the package, of %s, and of our file', (member, object) => {
    expect(() => takeReservationStore(object)).toThrow(LibraryMemberError);
    expect(() => takeReservationStore(object)).toThrow(
      `@libp2p/circuit-relay-v2: this version has no ${member}, which services/peer/network/library-internals.ts uses.`,
    );
  });

  test('is rejected when the upgrader has no upgradeOutbound', () => {
    expect(() => createProtectionProgress().watch({})).toThrow(
      'libp2p: this version has no Upgrader.upgradeOutbound',
    );
  });
});

test('the filter of relays that the library does not try again is always empty', () => {
  const library = transport();
  takeReservationStore(library);
  library.reservationStore.relayFilter.add();
  expect(library.reservationStore.relayFilter.has()).toBe(false);
});
