// `node e2e/interop/record-stock.ts`: records the messages between the stock client and server of circuit-relay-v2 in
// services/relay/stock.transcripts.json. `services/relay/stock.transcripts.test.ts` compares our relay with them.
import { writeFileSync } from 'node:fs';
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Libp2p, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { AbstractStream } from '@libp2p/utils';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { freePort } from '../../testing/free-port.ts';
import { createStockStack } from '../../testing/stock-stack.ts';
import { until } from '../../testing/wait.ts';
import { generateSwarmKey } from '../../services/private-network/key.ts';

const FILE = 'services/relay/stock.transcripts.json';
const HOP = '/libp2p/circuit/relay/0.2.0/hop';
const STOP = '/libp2p/circuit/relay/0.2.0/stop';
/** The announced address, which every reservation contains. */
const ANNOUNCED = '/dns4/relay.example.org/tcp/4001';
/** The limits of a circuit. The stock server writes its milliseconds into the field for seconds, hence the low number. */
const LIMIT = { seconds: 900, bytes: 67_108_864 };

const swarmKey = generateSwarmKey();

interface Exchange {
  readonly name: string;
  request: string;
  answer: string;
}

/** Records the first message of each direction, with its length prefix, of every stream of a protocol. */
function record(node: Libp2p, protocol: string, exchanges: Exchange[], names: string[]): void {
  node.use(protocol, (stream: Stream, connection, next) => {
    const tapped = stream as unknown as AbstractStream & { readBuffer: { subarray(): Uint8Array } };
    const exchange: Exchange = { name: names.shift() ?? 'more', request: '', answer: '' };
    exchanges.push(exchange);
    // The request may have arrived together with the protocol negotiation.
    let received = Buffer.from(tapped.readBuffer.subarray());
    let sent = Buffer.alloc(0);
    const { onData, send } = tapped;
    const keep = (): void => {
      exchange.request = firstMessage(received).toString('hex');
      exchange.answer = firstMessage(sent).toString('hex');
    };
    tapped.onData = (data) => {
      received = Buffer.concat([received, data.subarray()]);
      keep();
      onData.call(tapped, data);
    };
    tapped.send = (data) => {
      sent = Buffer.concat([sent, data.subarray()]);
      keep();
      return send.call(tapped, data);
    };
    next(stream, connection);
  });
}

/** The first message with its length prefix: a varint of one or two bytes, because messages are shorter than 16 KiB. */
function firstMessage(bytes: Buffer): Buffer {
  const [low = 0, high = 0] = bytes;
  const length = low < 0x80 ? low + 1 : (low & 0x7f) + (high << 7) + 2;
  return bytes.subarray(0, length);
}

const seeds = { relay: '01'.repeat(32), source: '02'.repeat(32), target: '03'.repeat(32) };

async function startNode(seed: string, options: Parameters<typeof createLibp2p>[0]): Promise<Libp2p> {
  const identity = await generateKeyPairFromSeed('Ed25519', Buffer.from(seed, 'hex'));
  const stack = createStockStack({ identity, key: swarmKey });
  return createLibp2p({
    ...stack,
    transports: [...stack.transports, circuitRelayTransport()],
    ...options,
  });
}

// It must be known in advance, because the announced address hides the listen address.
const port = await freePort();
const relay = await startNode(seeds.relay, {
  addresses: { listen: [`/ip4/127.0.0.1/tcp/${port}`], announce: [ANNOUNCED] },
  services: {
    identify: identify(),
    relay: circuitRelayServer({
      reservations: {
        maxReservations: 1,
        defaultDurationLimit: LIMIT.seconds,
        defaultDataLimit: BigInt(LIMIT.bytes),
      },
    }),
  },
});
const exchanges: Exchange[] = [];
record(relay, HOP, exchanges, ['reserve', 'connect', 'connect to nobody', 'reserve when full']);

const relayAddress = `/ip4/127.0.0.1/tcp/${port}/p2p/${relay.peerId.toString()}`;
const target = await startNode(seeds.target, {
  addresses: { listen: [`${relayAddress}/p2p-circuit`] },
  services: { identify: identify() },
});
record(target, STOP, exchanges, ['stop']);
await until(() => target.getMultiaddrs().length > 0, 'the target has a reservation');

const source = await startNode(seeds.source, { services: { identify: identify() } });
await source.dial(multiaddr(`${relayAddress}/p2p-circuit/p2p/${target.peerId.toString()}`));
const nobody = peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', Buffer.alloc(32, 4)));
await source.dial(multiaddr(`${relayAddress}/p2p-circuit/p2p/${nobody.toString()}`)).catch(() => {});
const full = await startNode(seeds.source, {
  addresses: { listen: [`${relayAddress}/p2p-circuit`] },
  services: { identify: identify() },
}).catch(() => undefined);
await until(() => exchanges.filter(({ answer }) => answer !== '').length === 5, 'all exchanges are recorded');

const recorded = { seeds, announced: ANNOUNCED, limit: LIMIT, exchanges };
writeFileSync(FILE, `${JSON.stringify(recorded, undefined, 2)}\n`);
process.stdout.write(`${FILE}: ${exchanges.map(({ name }) => name).join(', ')}\n`);
await Promise.all([relay, target, source, full].map(async (node) => node?.stop()));
