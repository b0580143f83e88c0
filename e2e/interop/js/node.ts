// The node: TCP → swarm key → Noise → muxer, and the same layers inside circuits. All is stock except the swarm key.
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { identify, type Identify } from '@libp2p/identify';
import type { Connection, Libp2p, PrivateKey, StreamMuxerFactory } from '@libp2p/interface';
import { mplex } from '@libp2p/mplex';
import { noise } from '@libp2p/noise';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import { readSwarmKey } from '../../../services/private-network/key.ts';
import { createStockProtector } from '../../../testing/stock-psk.ts';
import { type Options, print } from './options.ts';

export type Node = Libp2p<{ identify: Identify }>;

export interface NodeInit {
  readonly identity: PrivateKey;
  readonly listen: readonly string[];
  /** Called when a reservation is granted and when it ends. */
  readonly onReservation?: (event: 'granted' | 'ended') => void;
}

/** Makes a node without starting it. */
export async function createNode(options: Options, init: NodeInit): Promise<Node> {
  const createCircuits = circuitRelayTransport();
  return createLibp2p({
    privateKey: init.identity,
    start: false,
    addresses: { listen: [...init.listen] },
    transports: [
      tcp(),
      (components) => {
        const circuits = createCircuits(components);
        watch(circuits, init.onReservation);
        return circuits;
      },
    ],
    connectionProtector: createStockProtector(readSwarmKey(options.text('key'))),
    connectionEncrypters: [noise()],
    streamMuxers: muxersOf(options.text('muxer')),
    // Its ping queues behind bulk data on the same connection, times out, and closes a connection that is only busy.
    connectionMonitor: { enabled: false },
    services: {
      // The command `dial` sends its own request to see the response, and only one request at a time is allowed.
      identify: identify({ runOnConnectionOpen: options.command !== 'dial' }),
      ping: ping(),
    },
    nodeInfo: { userAgent: 'rustory-interop/js' },
  });
}

function muxersOf(name: string): Array<() => StreamMuxerFactory> {
  const muxers = { yamux: [yamux()], mplex: [mplex()], both: [yamux(), mplex()] }[name];
  if (muxers === undefined) throw new Error(`Unknown muxer "${name}".`);
  return muxers;
}

// Only the circuit transport, whose class is not exported, emits the events of reservations.
function watch(circuits: object, onReservation: NodeInit['onReservation']): void {
  if (onReservation === undefined || !('reservationStore' in circuits)) return;
  const store = circuits.reservationStore as EventTarget;
  store.addEventListener('relay:created-reservation', () => onReservation('granted'));
  store.addEventListener('relay:removed', () => onReservation('ended'));
}

/** Prints a circuit with the limits that the relay sent. */
export function reportCircuit({ remotePeer, limits }: Connection): void {
  print('circuit', {
    peer: remotePeer.toString(),
    seconds: limits?.seconds,
    bytes: limits?.bytes === undefined ? undefined : Number(limits.bytes),
  });
}
