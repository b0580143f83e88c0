// A device as a process of its own: `node device.testing.ts SWARM_KEY RELAY`. It reserves, and accepts every
// circuit without ever reading from it.
import { readSwarmKey } from '../../services/private-network/key.ts';
import { acceptAndNeverRead, startDevice } from '../load-devices.ts';

const [path = '', address = ''] = process.argv.slice(2);
const device = await startDevice(readSwarmKey(path), { address });
await acceptAndNeverRead(device);
process.stdout.write(`${JSON.stringify({ msg: 'reserved', peerId: device.peerId.toString() })}\n`);
