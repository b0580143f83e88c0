// The commands `reserve` and `serve`: a device that is reachable through the relay. The stock transport does not
// request a lost reservation again, so a new node with the same identity is created.
import { setTimeout as sleep } from 'node:timers/promises';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection, PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { describeError, toError } from '../../../services/shared/errors.ts';
import { type Fields, readEntries, toWire } from './entries.ts';
import {
  allowed,
  BULK_PROTOCOL,
  MAX_REQUEST_BYTES,
  PULL_PROTOCOLS,
  PUSH_PROTOCOLS,
  readMessage,
  receiveBulk,
  writeMessage,
} from './exchange.ts';
import { type Options, print } from './options.ts';
import { createNode, type Node, reportCircuit } from './node.ts';
import { respondToPush } from './push.ts';

/** Delay before a lost reservation is requested again, in milliseconds. */
const RETRY_DELAY_MS = 500;

export async function respond(options: Options): Promise<void> {
  const identity = await generateKeyPair('Ed25519');
  print('started', { peer_id: peerIdFromPrivateKey(identity).toString() });
  const entries = readEntries(options.optional('entries')).map(toWire);
  for (;;) {
    const reason = await holdReservation(options, identity, entries).catch(describeError);
    if (options.command === 'reserve') {
      if (reason !== undefined) throw new Error(reason);
      return;
    }
    print('lost', { reason, connected: false });
    await sleep(RETRY_DELAY_MS);
  }
}

/** Reserves and serves until the reservation ends. Returns the reason. @throws Error if the relay refuses it */
async function holdReservation(
  options: Options,
  identity: PrivateKey,
  entries: readonly Fields[],
): Promise<string | undefined> {
  const ended = Promise.withResolvers<void>();
  let isReserved = false;
  const node = await createNode(options, {
    identity,
    listen: [`${options.text('relay')}/p2p-circuit`],
    onReservation(event) {
      if (event === 'ended') ended.resolve();
      else if (isReserved) reportReservation(node, true);
    },
  });
  await serve(node, options, entries);
  try {
    // The node starts when it has its first reservation.
    await node.start();
    isReserved = true;
    reportReservation(node, false);
    if (options.command === 'reserve') return undefined;
    await ended.promise;
    return 'The reservation has ended.';
  } finally {
    await node.stop();
  }
}

function reportReservation(node: Node, renewal: boolean): void {
  print('reserved', { renewal, addresses: node.getMultiaddrs().map(String) });
}

async function serve(node: Node, options: Options, entries: readonly Fields[]): Promise<void> {
  const limited = { runOnLimitedConnection: true };
  node.addEventListener('connection:open', ({ detail: connection }: CustomEvent<Connection>) => {
    if (connection.limits !== undefined) reportCircuit(connection);
  });
  const version = options.optional('version');
  await node.handle(
    allowed(PULL_PROTOCOLS, version),
    guarded((stream) => respondToPull(stream, entries)),
    limited,
  );
  await node.handle(
    allowed(PUSH_PROTOCOLS, version),
    guarded((stream) => respondToPush(stream, options)),
    limited,
  );
  await node.handle(BULK_PROTOCOL, guarded(receiveBulk), limited);
}

/** Resets the stream if its handler fails. */
function guarded(handle: (stream: Stream) => Promise<void>): (stream: Stream) => Promise<void> {
  return async (stream) => {
    try {
      await handle(stream);
    } catch (error) {
      print('broken', { reason: describeError(error) });
      stream.abort(toError(error));
    }
  };
}

/** Responds to one pull. The cursor of an entry is its position, counted from one. */
async function respondToPull(stream: Stream, all: readonly Fields[]): Promise<void> {
  const { cursor, limit } = (await readMessage(stream, MAX_REQUEST_BYTES)) as {
    cursor: number;
    limit: number;
  };
  const entries = all.slice(cursor, cursor + limit);
  print('served', { protocol: stream.protocol, entries: entries.length });
  await writeMessage(stream, {
    entries,
    next_cursor: entries.length === 0 ? null : cursor + entries.length,
  });
}
