// Attacks a hub as a registered member until it is ended: 200 streams at once with the start of a push and then a byte now
// and then, pushes of the maximum size of which no answer is read, and small messages that decompress to large ones.
import type { Connection, Stream } from '@libp2p/interface';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { HOSTILE_PUSHES, isAcknowledged, ownEntries } from '../hostile-pushes.ts';
import { openStream, startPushClient } from '../push-client.ts';
import { sendBytes } from '../raw-stream.ts';
import { encode, PUSH } from '../wire-messages.ts';

const MIB = 1024 * 1024;

/** Streams at once that send slowly. */
const SLOW_STREAMS = 200;
const TRICKLE_MS = 200;

/** Connections that flood, and the streams of each that never read. */
const FLOODS = 3;
const STREAMS_PER_FLOOD = 8;

const { SWARM_KEY: swarmKeyPath = '', TRACKER: tracker = '', HUB: hub = '' } = process.env;

/** A push just below the maximum size. Its last entry is cut off, so that nothing of it is valid. */
const bulk = encode({ entries: ownEntries(70_000) }, 'json').subarray(0, 15 * MIB);
const bombs = HOSTILE_PUSHES.filter(([name]) => /GiB|million/.test(name)).map(([, , bytes]) => bytes());

/** Opens a stream and sends bytes without waiting for anything. The hub may reset it at any time. */
async function start(connection: Connection, bytes: Uint8Array): Promise<Stream | undefined> {
  try {
    const stream = await openStream(connection, PUSH.json);
    void sendBytes(stream, bytes).catch(() => {});
    return stream;
  } catch {
    return undefined;
  }
}

async function attackSlowly(connection: Connection): Promise<void> {
  const streams = await Promise.all(
    Array.from({ length: SLOW_STREAMS }, async () => start(connection, bulk.subarray(0, MIB))),
  );
  setInterval(() => {
    for (const stream of streams) if (stream?.writeStatus === 'writable') stream.send(Buffer.from(' '));
  }, TRICKLE_MS);
}

const client = await startPushClient({ swarmKey: readSwarmKey(swarmKeyPath) });
await client.register(tracker, { user_id: 'ada', device_id: 'mallory' });
await attackSlowly(await client.connect(hub));
let connections: Connection[] = [];
for (let round = 0; ; round += 1) {
  while (connections.length < FLOODS) connections.push(await client.connect(hub));
  const acknowledged = await Promise.all(
    connections.map(async (connection, index) => {
      const stuck = await Promise.all(
        Array.from({ length: STREAMS_PER_FLOOD }, async () => start(connection, bulk)),
      );
      for (const stream of stuck) stream?.pause();
      const bomb = bombs[(round + index) % bombs.length] ?? bulk;
      const isStored = await isAcknowledged(client, connection, 'zstd', bomb);
      for (const stream of stuck) stream?.abort(new Error('The next round begins.'));
      return isStored;
    }),
  );
  connections = connections.filter(({ status }) => status === 'open');
  process.stdout.write(
    `${JSON.stringify({ msg: 'round', round, acknowledged: acknowledged.includes(true) })}\n`,
  );
}
