// A `p2p-serve` of `rr` 1.x as far as pulls are concerned, written from what released clients do: it answers members
// only, and a cursor above what its database ever stored ends the process.
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Libp2p, PrivateKey, Stream } from '@libp2p/interface';
import { createLibp2p } from 'libp2p';
import { toWire } from '../services/peer/history/entry.ts';
import { onCleanup } from './cleanup.ts';
import { makeEntries, testSwarmKey } from './peer.ts';
import { createStockStack } from './stock-stack.ts';

const PLAIN = '/rustory/sync-pull/1.0.0';

export interface RrRequest {
  readonly cursor: number;
  readonly delete_cursor?: number;
  readonly limit: number;
}

export interface RrResponder {
  readonly peerId: string;
  readonly addresses: readonly string[];
  /** Every request that arrived, in order. */
  readonly requests: RrRequest[];
  /** Number of entries; their `ingest_seq` are 1 to this number. */
  entries: number;
  /** The highest `delete_seq`. */
  deletions: number;
  isMember: boolean;
  /** Whether the process runs. */
  readonly isRunning: boolean;
  /** What happens to a request instead of an answer, after it has been read. */
  intercept: ((stream: Stream, request: RrRequest) => 'handled' | undefined) | undefined;
  /** Starts the process again, as its service manager does. */
  restart(): Promise<void>;
}

export async function startRrResponder(): Promise<RrResponder> {
  const identity = await generateKeyPair('Ed25519');
  let node = await startNode(identity, 0);
  onCleanup(async () => node.stop());
  const [address] = node.getMultiaddrs();
  const port = Number(address?.toString().split('/')[4]);
  let isRunning = true;
  const responder: RrResponder = {
    peerId: node.peerId.toString(),
    addresses: [String(address)],
    requests: [],
    entries: 0,
    deletions: 0,
    isMember: true,
    get isRunning() {
      return isRunning;
    },
    intercept: undefined,
    async restart() {
      if (isRunning) return;
      node = await startNode(identity, port);
      isRunning = true;
      await node.handle(PLAIN, onStream);
    },
  };

  async function onStream(stream: Stream): Promise<void> {
    const request = JSON.parse(await readRequest(stream)) as RrRequest;
    responder.requests.push(request);
    if (responder.intercept?.(stream, request) === 'handled') return;
    if (!responder.isMember) return stream.close();
    const { cursor, delete_cursor: deleteCursor = 0, limit } = request;
    if (cursor > responder.entries || deleteCursor > responder.deletions) {
      isRunning = false;
      // The process ends without closing anything.
      for (const connection of node.getConnections()) connection.abort(new Error('The process has ended.'));
      await node.stop();
      return;
    }
    const deletions = Array.from(
      { length: Math.min(limit, responder.deletions - deleteCursor) },
      (_, index) => ({
        entry_id: `deleted-${deleteCursor + index + 1}`,
        user_id: 'ada',
        device_id: 'laptop',
        deleted_at: 1_700_000_000,
      }),
    );
    const entries = makeEntries(responder.entries)
      .slice(cursor, cursor + limit - deletions.length)
      .map(toWire);
    const response = {
      entries,
      next_cursor: entries.length === 0 ? null : cursor + entries.length,
      deletions,
      next_delete_cursor: deletions.length === 0 ? null : deleteCursor + deletions.length,
    };
    stream.send(Buffer.from(JSON.stringify(response)));
    return stream.close();
  }

  await node.handle(PLAIN, onStream);
  return responder;
}

async function startNode(identity: PrivateKey, port: number): Promise<Libp2p> {
  return createLibp2p({
    ...createStockStack({ identity, key: testSwarmKey }),
    addresses: { listen: [`/ip4/127.0.0.1/tcp/${port}`] },
  });
}

async function readRequest(stream: Stream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk.subarray());
  return Buffer.concat(chunks).toString();
}
