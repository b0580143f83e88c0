// A peer that answers pulls from rows that a test chooses, as `rr` 1.x does: deletions first, then entries, within the limit.
import { type PullHandler, startPullServer, writeJson } from './pull-server.ts';

interface Row {
  readonly seq: number;
}

export interface ScriptedPeer {
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly requests: Array<{ cursor: number; delete_cursor?: number; limit: number }>;
  rows: Array<Row & { readonly entry: unknown }>;
  deletions: Array<Row & { readonly deletion: unknown }>;
  /** Number of requests that are answered. Further ones are cut off. */
  answersLeft: number;
}

export async function startScriptedPeer(): Promise<ScriptedPeer> {
  const answer: PullHandler = async (stream, request) => {
    const { cursor, delete_cursor: deleteCursor = 0, limit } = request as ScriptedPeer['requests'][number];
    peer.requests.push(request);
    peer.answersLeft -= 1;
    if (peer.answersLeft < 0) return stream.abort(new Error('The connection was cut.'));
    const deletions = peer.deletions.filter(({ seq }) => seq > deleteCursor).slice(0, limit);
    const rows = peer.rows.filter(({ seq }) => seq > cursor).slice(0, limit - deletions.length);
    await writeJson(stream, {
      entries: rows.map(({ entry }) => entry),
      next_cursor: rows.at(-1)?.seq ?? null,
      deletions: deletions.map(({ deletion }) => deletion),
      next_delete_cursor: deletions.at(-1)?.seq ?? null,
    });
  };
  const { target } = await startPullServer(answer);
  const peer: ScriptedPeer = {
    peerId: target.peerId,
    addresses: target.addresses,
    requests: [],
    rows: [],
    deletions: [],
    answersLeft: Infinity,
  };
  return peer;
}
