// Records sync-pull in both versions: the request of a program to a device, and its response to a device.
import type { Stream } from '@libp2p/interface';
import type { Entry } from '../../services/peer/history/entry.ts';
import { toWire } from '../../services/peer/history/entry.ts';
import { readToEnd, writeAndClose } from '../../services/peer/sync/stream-io.ts';
import {
  encodeResponse,
  encodeRequest,
  MAX_RESPONSE_BYTES,
  PULL_PROTOCOLS,
} from '../../services/peer/sync/sync-protocol.ts';
import type { SwarmKey } from '../../services/private-network/key.ts';
import { dialThrough, startDevice } from '../../testing/load-devices.ts';
import { type Cell, STEP_TIMEOUT_MS, trickyEntries } from './cell.ts';

export const RECORDED_ENTRIES: readonly Entry[] = trickyEntries('recorded').slice(0, 4);

/** The request that both sides send. */
/** As in `rr` 0.1, which the programs of the transcripts follow. */
const NO_DELETIONS = { deletions: undefined, nextDeleteCursor: undefined };
const REQUEST = { cursor: 0, deleteCursor: undefined, limit: 1000 };

const STREAM_TIMEOUT = { idleTimeoutMs: STEP_TIMEOUT_MS };

/** One exchange for each version: the first request of the program, and its response with all entries. */
export type SyncTranscript = Record<string, { readonly request: string; readonly answer: string }>;

export async function recordSync(cell: Cell, key: SwarmKey): Promise<SyncTranscript> {
  const transcript: SyncTranscript = {};
  for (const protocol of PULL_PROTOCOLS) {
    const version = protocol.split('/').at(-1) ?? '';
    transcript[version] = {
      request: await recordRequest(cell, key, protocol, version),
      answer: await recordResponse(cell, key, protocol),
    };
  }
  return transcript;
}

async function recordRequest(cell: Cell, key: SwarmKey, protocol: string, version: string): Promise<string> {
  const { relay } = cell.network;
  const device = await startDevice(key, relay);
  const requests: string[] = [];
  const rows = RECORDED_ENTRIES.map((entry) => JSON.stringify(toWire(entry)));
  const respondToPull = async (stream: Stream): Promise<void> => {
    const request = await readToEnd(stream, MAX_RESPONSE_BYTES, STREAM_TIMEOUT);
    const response =
      requests.length === 0
        ? encodeResponse(protocol, { ...NO_DELETIONS, entries: rows, nextCursor: rows.length })
        : encodeResponse(protocol, { ...NO_DELETIONS, entries: [], nextCursor: undefined });
    requests.push(request.toString('hex'));
    await writeAndClose(stream, await response, STREAM_TIMEOUT);
  };
  await device.handle(protocol, respondToPull, { runOnLimitedConnection: true });
  const args = ['pull', '--peer', device.peerId.toString(), '--version', version];
  const { code, stderr } = await cell.run(relay, args);
  await device.stop();
  if (code !== 0) throw new Error(`The program ${cell.program.name} cannot pull:\n${stderr}`);
  return requests[0] ?? '';
}

async function recordResponse(cell: Cell, key: SwarmKey, protocol: string): Promise<string> {
  const { relay } = cell.network;
  const serving = await cell.serve(relay, cell.entriesFile(RECORDED_ENTRIES));
  const device = await startDevice(key);
  const stream = await dialThrough(relay, device, serving.peerId, protocol);
  await writeAndClose(stream, await encodeRequest(protocol, REQUEST), STREAM_TIMEOUT);
  const response = await readToEnd(stream, MAX_RESPONSE_BYTES, STREAM_TIMEOUT);
  await device.stop();
  return response.toString('hex');
}
