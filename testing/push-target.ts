// A device of `rr` 1.x to which a test pushes, written from what released clients do and without the code of the peer: it
// keeps what it got, answers pulls from it, and refuses pushes that carry rows of another user or device.
import type { Stream } from '@libp2p/interface';
import { toError } from '../services/shared/errors.ts';
import { startDevice } from './peer.ts';
import { readToEnd, sendMessage } from './raw-stream.ts';
import { WAIT_TIMEOUT_MS } from './wait.ts';
import type { WireDeletion, WireEntry } from './wire-entries.ts';
import {
  decode,
  encode,
  type Encoding,
  PULL,
  type PullAnswer,
  type PullRequest,
  PUSH,
  type PushAnswer,
  type PushRequest,
} from './wire-messages.ts';

/** What happens to a push instead of the usual answer: any other answer, a cut of the connection, or nothing at all. */
export type Interception = { readonly answer: unknown } | 'cut' | 'silence' | undefined;

export interface ReceivedPush extends Required<PushRequest> {
  readonly encoding: Encoding;
  readonly wireBytes: number;
  readonly jsonBytes: number;
}

export interface PushTarget {
  readonly peerId: string;
  readonly addresses: readonly string[];
  /** Every push that was read, and every pull, in order. */
  readonly pushes: ReceivedPush[];
  readonly pulls: PullRequest[];
  /** What is stored, in the order of arrival. */
  readonly entries: WireEntry[];
  readonly deletions: WireDeletion[];
  /** How the pusher is registered; `undefined`: it is not a member. */
  member: { userId: string; deviceId: string } | undefined;
  /** Whether pulls are answered with nothing. */
  hidesHistory: boolean;
  intercept: ((push: ReceivedPush) => Interception) | undefined;
}

export interface PushTargetOptions {
  /** The versions of the push protocol. Default: both. */
  readonly encodings?: readonly Encoding[];
}

/** Starts the device. It is stopped after the test. */
export async function startPushTarget({
  encodings = ['zstd', 'json'],
}: PushTargetOptions = {}): Promise<PushTarget> {
  const { node, peerId } = await startDevice(['/ip4/127.0.0.1/tcp/0']);
  const target: PushTarget = {
    peerId,
    addresses: node.libp2p.getMultiaddrs().map(String),
    pushes: [],
    pulls: [],
    entries: [],
    deletions: [],
    member: { userId: 'ada', deviceId: 'laptop' },
    hidesHistory: false,
    intercept: undefined,
  };

  for (const encoding of encodings)
    await node.libp2p.handle(PUSH[encoding], async (stream) =>
      serve(stream, encoding, (bytes) => {
        const request = decode(bytes, encoding) as PushRequest;
        const push = {
          entries: request.entries ?? [],
          deletions: request.deletions ?? [],
          encoding,
          wireBytes: bytes.length,
          jsonBytes: JSON.stringify(request).length,
        };
        target.pushes.push(push);
        const interception = target.intercept?.(push);
        if (interception === undefined) return acceptPush(target, push);
        return typeof interception === 'string' ? interception : interception.answer;
      }),
    );
  for (const encoding of ['zstd', 'json'] as const)
    await node.libp2p.handle(PULL[encoding], async (stream) =>
      serve(stream, encoding, (bytes) => {
        const request = decode(bytes, encoding) as PullRequest;
        target.pulls.push(request);
        return answerPull(target, request);
      }),
    );
  return target;
}

async function serve(stream: Stream, encoding: Encoding, work: (bytes: Buffer) => unknown): Promise<void> {
  const signal = AbortSignal.timeout(WAIT_TIMEOUT_MS);
  try {
    const answer = work(await readToEnd(stream, signal));
    if (answer === 'silence') return;
    if (answer === 'cut') throw new Error('The connection was cut.');
    await sendMessage(stream, encode(answer, encoding), signal);
  } catch (error) {
    stream.abort(toError(error));
  }
}

function acceptPush(target: PushTarget, { entries, deletions }: ReceivedPush): PushAnswer {
  const { member } = target;
  const isOwn = (row: WireEntry | WireDeletion): boolean =>
    row['user_id'] === member?.userId && bareId(row['device_id']) === bareId(member?.deviceId);
  if (![...entries, ...deletions].every(isOwn)) return { ok: false, inserted: null, ignored: null };
  const newDeletions = deletions.filter(
    ({ entry_id: id, deleted_at: time }) =>
      !target.deletions.some((known) => known.entry_id === id && known.deleted_at >= time),
  );
  target.deletions.push(...newDeletions);
  const deleted = new Set(target.deletions.map(({ entry_id: id }) => id));
  const known = new Set(target.entries.map(({ entry_id: id }) => id));
  const inserted = entries.filter(({ entry_id: id }) => !known.has(id) && !deleted.has(id));
  target.entries.push(...inserted);
  return {
    ok: true,
    inserted: inserted.length,
    ignored: entries.length - inserted.length,
    deletion_inserted: newDeletions.length,
    deletion_ignored: deletions.length - newDeletions.length,
    deletion_deleted: 0,
  };
}

function answerPull(
  target: PushTarget,
  { cursor, delete_cursor: deleteCursor = 0, limit }: PullRequest,
): PullAnswer {
  const isHidden = target.hidesHistory;
  const deletions = isHidden ? [] : target.deletions.slice(deleteCursor, deleteCursor + limit);
  const entries = isHidden ? [] : target.entries.slice(cursor, cursor + limit - deletions.length);
  return {
    entries,
    next_cursor: entries.length === 0 ? null : cursor + entries.length,
    deletions,
    next_delete_cursor: deletions.length === 0 ? null : deleteCursor + deletions.length,
  };
}

/** A device id without the architecture that some releases appended. */
function bareId(deviceId: unknown): string {
  return String(deviceId).replace(/[-_](x86_64|aarch64|arm64)$/, '');
}
