// The commands `dial`, `pull`, `push` and `bulk`: a device that dials another device through the relay.
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { describeError } from '../../../services/shared/errors.ts';
import { type Fields, fromWire } from './entries.ts';
import {
  allowed,
  BULK_PROTOCOL,
  MAX_RESPONSE_BYTES,
  PING_PROTOCOL,
  pingOn,
  PULL_PROTOCOLS,
  readMessage,
  sendBulk,
  writeMessage,
} from './exchange.ts';
import { type Options, print } from './options.ts';
import { createNode, type Node, reportCircuit } from './node.ts';
import { push } from './push.ts';

/** Default of `--limit`: maximum entries per request. */
const DEFAULT_LIMIT = 1000;

const DIAL_TIMEOUT_MS = 20_000;

export async function request(options: Options): Promise<void> {
  const identity = await generateKeyPair('Ed25519');
  print('started', { peer_id: peerIdFromPrivateKey(identity).toString() });
  const node = await createNode(options, { identity, listen: [] });
  await node.start();
  const address = multiaddr(`${options.text('relay')}/p2p-circuit/p2p/${options.text('peer')}`);
  const connection = await node.dial(address, { signal: AbortSignal.timeout(DIAL_TIMEOUT_MS) });
  reportCircuit(connection);
  if (options.command === 'pull') await pull(connection, options);
  else if (options.command === 'push') await push(connection, options);
  else if (options.command === 'bulk') await bulk(connection, options);
  else await identifyAndPing(node, connection);
  await node.stop();
}

/** Identify and ping on the existing circuit: with only a peer id the stock ping would open a second circuit. */
async function identifyAndPing(node: Node, connection: Connection): Promise<void> {
  const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS);
  let identify: Record<string, unknown>;
  try {
    const { agentVersion } = await node.services.identify.identify(connection, { signal });
    identify = { agent: agentVersion };
  } catch (error) {
    identify = { identify_error: describeError(error) };
  }
  const stream = await connection.newStream(PING_PROTOCOL, { signal, runOnLimitedConnection: true });
  await pingOn(stream);
  print('dialed', { peer: connection.remotePeer.toString(), ...identify });
}

async function pull(connection: Connection, options: Options): Promise<void> {
  const limit = Number(options.optional('limit') ?? DEFAULT_LIMIT);
  let count = 0;
  for (let cursor = 0; ;) {
    const stream = await connection.newStream(allowed(PULL_PROTOCOLS, options.optional('version')), {
      runOnLimitedConnection: true,
    });
    await writeMessage(stream, { cursor, limit });
    const response = (await readMessage(stream, MAX_RESPONSE_BYTES)) as {
      entries: Fields[];
      next_cursor: number | null;
    };
    for (const entry of response.entries) print('entry', { entry: fromWire(entry) });
    count += response.entries.length;
    if (response.next_cursor === null) return print('pulled', { entries: count, protocol: stream.protocol });
    cursor = response.next_cursor;
  }
}

async function bulk(connection: Connection, options: Options): Promise<void> {
  const stream = await connection.newStream(BULK_PROTOCOL, { runOnLimitedConnection: true });
  print('confirmed', { sha256: await sendBulk(stream, Number(options.text('bytes')), options.pause) });
}
