// `reserve` and `serve`: a device that can be reached through the relay. The stock transport does not ask again for a
// reservation that it lost, so the node is made anew with the same identity.
import { setTimeout as sleep } from 'node:timers/promises';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection, PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { describeError, toError } from '../../../services/shared/errors.ts';
import { type Fields, readEntries, toWire } from './entries.ts';
import {
  BULK_PROTOCOL,
  MAX_REQUEST_BYTES,
  pullProtocols,
  readMessage,
  receiveBulk,
  writeMessage,
} from './exchange.ts';
import { type Options, say } from './options.ts';
import { createNode, type Node, tellCircuit } from './node.ts';

/** Pause before a lost reservation is asked for again, in milliseconds. */
const RETRY_MS = 500;

export async function respond(options: Options): Promise<void> {
  const identity = await generateKeyPair('Ed25519');
  say('started', { peer_id: peerIdFromPrivateKey(identity).toString() });
  const entries = readEntries(options.optional('entries')).map(toWire);
  for (;;) {
    const reason = await hold(options, identity, entries).catch(describeError);
    if (options.command === 'reserve') {
      if (reason !== undefined) throw new Error(reason);
      return;
    }
    say('lost', { reason, connected: false });
    await sleep(RETRY_MS);
  }
}

/** Reserves and serves until the reservation is gone; resolves to why. @throws when there is none. */
async function hold(
  options: Options,
  identity: PrivateKey,
  entries: readonly Fields[],
): Promise<string | undefined> {
  const gone = Promise.withResolvers<void>();
  let isReserved = false;
  const node = await createNode(options, {
    identity,
    listen: [`${options.text('relay')}/p2p-circuit`],
    onReservation(what) {
      if (what === 'gone') gone.resolve();
      else if (isReserved) tellReservation(node, true);
    },
  });
  await serve(node, options, entries);
  try {
    // It is the first reservation that lets the node listen.
    await node.start();
    isReserved = true;
    tellReservation(node, false);
    if (options.command === 'reserve') return undefined;
    await gone.promise;
    return 'the reservation is gone';
  } finally {
    await node.stop();
  }
}

function tellReservation(node: Node, renewal: boolean): void {
  say('reserved', { renewal, addresses: node.getMultiaddrs().map(String) });
}

async function serve(node: Node, options: Options, entries: readonly Fields[]): Promise<void> {
  const limited = { runOnLimitedConnection: true };
  node.addEventListener('connection:open', ({ detail: connection }: CustomEvent<Connection>) => {
    if (connection.limits !== undefined) tellCircuit(connection);
  });
  await node.handle(
    pullProtocols(options.optional('version')),
    guarded((stream) => answerPull(stream, entries)),
    limited,
  );
  await node.handle(BULK_PROTOCOL, guarded(receiveBulk), limited);
}

function guarded(handle: (stream: Stream) => Promise<void>): (stream: Stream) => Promise<void> {
  return async (stream) => {
    try {
      await handle(stream);
    } catch (error) {
      say('broken', { reason: describeError(error) });
      stream.abort(toError(error));
    }
  };
}

/** Answers one pull; the cursor of an entry is its place, counted from one. */
async function answerPull(stream: Stream, all: readonly Fields[]): Promise<void> {
  const { cursor, limit } = (await readMessage(stream, MAX_REQUEST_BYTES)) as {
    cursor: number;
    limit: number;
  };
  const entries = all.slice(cursor, cursor + limit);
  say('served', { protocol: stream.protocol, entries: entries.length });
  await writeMessage(stream, {
    entries,
    next_cursor: entries.length === 0 ? null : cursor + entries.length,
  });
}
