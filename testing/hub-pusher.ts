// A device that pushes its history to a hub whatever happens to the hub, and knows what was acknowledged.
import type { Connection } from '@libp2p/interface';
import { toError } from '../services/shared/errors.ts';
import { connectAgain, type TestHub } from './hub.ts';
import { type PushClient } from './push-client.ts';
import type { WireEntry } from './wire-entries.ts';

/** Wait for one answer, in milliseconds. The answer of a hub that was killed never comes. */
const ANSWER_MS = 20_000;

export interface Pusher {
  /** Ids of the entries that the hub acknowledged. */
  readonly acknowledged: ReadonlySet<string>;
  /** Sum of `inserted` and of `ignored` in the answers. */
  readonly counts: { readonly inserted: number; readonly ignored: number };
  /** Pushes that failed or were refused, and were repeated. */
  readonly repeated: number;
  /** Resolves when everything is acknowledged. */
  readonly finished: Promise<void>;
}

/** Pushes batches in order, each until it is acknowledged. */
export function startPusher(
  client: PushClient,
  hub: TestHub,
  entries: readonly WireEntry[],
  batch: number,
): Pusher {
  const acknowledged = new Set<string>();
  let connection: Connection | undefined;
  const pusher = { acknowledged, counts: { inserted: 0, ignored: 0 }, repeated: 0, finished: pushAll() };
  return pusher;

  async function pushAll(): Promise<void> {
    for (let offset = 0; offset < entries.length; offset += batch) {
      const part = entries.slice(offset, offset + batch);
      while (!(await pushOnce(part))) pusher.repeated += 1;
      for (const { entry_id } of part) acknowledged.add(entry_id);
    }
  }

  async function pushOnce(part: readonly WireEntry[]): Promise<boolean> {
    try {
      connection ??= await connectAgain(client, hub);
      const signal = AbortSignal.timeout(ANSWER_MS);
      const answer = await client.push(connection, { entries: part }, { signal });
      if (!answer.ok) return false;
      pusher.counts.inserted += answer.inserted ?? 0;
      pusher.counts.ignored += answer.ignored ?? 0;
      return true;
    } catch (error) {
      connection?.abort(toError(error));
      connection = undefined;
      return false;
    }
  }
}
