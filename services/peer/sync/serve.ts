// Answers pulls. Reads one page of the store for each request, so that no requester, however slow, holds a
// transaction, and bounds how many answers are in memory at once.
import type { Connection, Stream } from '@libp2p/interface';
import { describeError, toError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { toWire } from '../history/entry.ts';
import type { PeerLibp2p } from '../network/node.ts';
import type { Store } from '../history/store.ts';
import { readToEnd, writeAndClose } from './stream-io.ts';
import {
  decodeRequest,
  encodeAnswer,
  MAX_REQUEST_BYTES,
  PULL_PROTOCOLS,
  type PullRequest,
} from './sync-protocol.ts';
import { createTurns } from './semaphore.ts';

/** Size at which an answer is full, in bytes of JSON; requesters ask on until nothing comes. */
const ANSWER_TARGET_BYTES = 4 * 1024 * 1024;

/**
 * Answers at the same time, in all and for one peer: together they hold some 64 MiB at most. More wait for a place, less
 * long than a requester waits for an answer; one that waits holds what its stream has received, at most 1 MiB.
 */
const TURNS = { most: 16, mostPerPeer: 4, mostWaiting: 64, patienceMs: 10_000 };

/** How long a requester may be silent, in milliseconds, where nothing else is said. */
const DEFAULT_SILENCE_MS = 30_000;

/** How long a requester may take for its request in all, in milliseconds, so that a trickle holds no place for long. */
const REQUEST_DEADLINE_MS = 30_000;

export interface ServeDeps {
  readonly libp2p: PeerLibp2p;
  readonly store: Store;
  readonly log: Logger;
  /** Milliseconds that only grow. */
  readonly clock: () => number;
  readonly silenceMs?: number;
}

/** Starts to answer pulls on the node; the function it resolves to ends that, also for answers under way. */
export async function servePulls(deps: ServeDeps): Promise<() => Promise<void>> {
  const { libp2p, store, log, clock, silenceMs = DEFAULT_SILENCE_MS } = deps;
  const turns = createTurns(TURNS);
  const stopping = new AbortController();

  async function onStream(stream: Stream, connection: Connection): Promise<void> {
    const peer = connection.remotePeer.toString();
    const turn = await turns.take(peer, stopping.signal);
    if ('refusal' in turn) {
      log.warn({ peer, reason: turn.refusal }, 'pull refused');
      stream.abort(new Error(turn.refusal));
      return;
    }
    try {
      await answer(stream, peer);
    } catch (error) {
      stream.abort(toError(error));
      log.warn({ peer, error: describeError(error) }, 'pull failed');
    } finally {
      turn.release();
    }
  }

  async function answer(stream: Stream, peer: string): Promise<void> {
    const startedAt = clock();
    const patience = { silenceMs, signal: stopping.signal };
    const deadline = AbortSignal.any([stopping.signal, AbortSignal.timeout(REQUEST_DEADLINE_MS)]);
    const message = await readToEnd(stream, MAX_REQUEST_BYTES, { silenceMs, signal: deadline });
    const request = await decodeRequest(stream.protocol, message);
    const { entries, bytes } = await prepareAnswer(store, stream.protocol, request);
    await writeAndClose(stream, bytes, patience);
    const fields = { peer, entries, bytes: bytes.length, durationMs: Math.round(clock() - startedAt) };
    // Devices ask every so often; that nothing was new is no news.
    log[entries > 0 ? 'info' : 'debug'](fields, 'pull served');
  }

  await libp2p.handle([...PULL_PROTOCOLS], onStream, {
    maxInboundStreams: TURNS.mostPerPeer,
    // Circuits are limited connections; without this the library refuses the protocol on them.
    runOnLimitedConnection: true,
  });
  return async () => {
    stopping.abort(new Error('this peer is stopping'));
    await libp2p.unhandle([...PULL_PROTOCOLS]);
  };
}

/** Only the bytes outlive this: a slow requester must not keep the page in memory as well. */
async function prepareAnswer(
  store: Store,
  protocol: string,
  request: PullRequest,
): Promise<{ readonly entries: number; readonly bytes: Uint8Array }> {
  const { entries, nextCursor } = readPage(store, request);
  return { entries: entries.length, bytes: await encodeAnswer(protocol, entries, nextCursor) };
}

function readPage(store: Store, { cursor, limit }: PullRequest) {
  const entries: string[] = [];
  let bytes = 0;
  let nextCursor: number | undefined;
  store.readAfter(cursor, limit, ({ seq, entry }) => {
    const json = JSON.stringify(toWire(entry));
    bytes += Buffer.byteLength(json) + 1;
    // The first entry goes out whatever its size, or the requester would never get past it.
    if (entries.length > 0 && bytes > ANSWER_TARGET_BYTES) return false;
    entries.push(json);
    nextCursor = seq;
    return true;
  });
  return { entries, nextCursor };
}
