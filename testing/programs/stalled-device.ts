// A device as a separate process: `node testing/programs/stalled-device.ts SWARM_KEY RELAY`. It reserves, accepts every
// circuit, and never reads from it.
import { readSwarmKey } from '../../services/private-network/key.ts';
import { acceptAndNeverRead, startDevice } from '../load-devices.ts';

const [path = '', address = ''] = process.argv.slice(2);
const device = await startDevice(readSwarmKey(path), { address });
await acceptAndNeverRead(device);
process.stdout.write(`${JSON.stringify({ msg: 'reserved', peerId: device.peerId.toString() })}\n`);
