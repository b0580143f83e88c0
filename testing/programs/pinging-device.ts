// A device as a separate process: `node testing/programs/pinging-device.ts SWARM_KEY RELAY PING_SECONDS`. It reserves,
// accepts every circuit and echoes its bytes, and pings the relay like rr: on one stream, 15 s after the last response. With
// PING_SECONDS 0 it never pings. Its kernel does not probe the connection.
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { acceptBareCircuits, startDevice } from '../load-devices.ts';

const HOUR_MS = 3_600_000;

const [path = '', address = '', seconds = '0'] = process.argv.slice(2);
const device = await startDevice(
  readSwarmKey(path),
  { address },
  { keepAliveDelayMs: HOUR_MS, idleTimeoutMs: 0 },
);
await acceptBareCircuits(device, (stream) =>
  stream.addEventListener('message', ({ data }) => stream.send(data)),
);
const [connection] = device.getConnections();
connection?.addEventListener('close', () => process.stdout.write(`${JSON.stringify({ msg: 'closed' })}\n`));
if (Number(seconds) > 0) pingForever(await device.dialProtocol(multiaddr(address), '/ipfs/ping/1.0.0'));
process.stdout.write(`${JSON.stringify({ msg: 'reserved', peerId: device.peerId.toString() })}\n`);

function pingForever(stream: Stream): void {
  const ping = (): void => {
    if (stream.status === 'open') stream.send(new Uint8Array(32).fill(1));
  };
  stream.addEventListener('message', () => setTimeout(ping, Number(seconds) * 1000));
  ping();
}
