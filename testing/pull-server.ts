// Devices that answer pulls as a test chooses.
import type { Stream } from '@libp2p/interface';
import type { Target } from '../services/peer/network/dial.ts';
import { readToEnd, writeAndClose } from '../services/peer/sync/stream-io.ts';
import { MAX_REQUEST_BYTES } from '../services/peer/sync/sync-protocol.ts';
import { toError } from '../services/shared/errors.ts';
import { startDevice } from './peer.ts';
import { WAIT_TIMEOUT_MS } from './wait.ts';

export type PullHandler = (stream: Stream, request: { cursor: number; limit: number }) => Promise<void>;

/** A device with this handler for pulls of version 1.0.0, and the limits that were requested from it. */
export async function startPullServer(handle: PullHandler): Promise<{ target: Target; limits: number[] }> {
  const { node, peerId } = await startDevice(['/ip4/127.0.0.1/tcp/0']);
  const limits: number[] = [];
  await node.libp2p.handle('/rustory/sync-pull/1.0.0', async (stream) => {
    try {
      const message = await readToEnd(stream, MAX_REQUEST_BYTES, { idleTimeoutMs: WAIT_TIMEOUT_MS });
      const request = JSON.parse(message.toString()) as { cursor: number; limit: number };
      limits.push(request.limit);
      await handle(stream, request);
    } catch (error) {
      stream.abort(toError(error));
    }
  });
  return { target: { peerId, addresses: node.libp2p.getMultiaddrs().map(String) }, limits };
}

/** Writes a value as JSON and closes the writing side of the stream. */
export async function writeJson(stream: Stream, value: unknown): Promise<void> {
  await writeAndClose(stream, Buffer.from(JSON.stringify(value)), { idleTimeoutMs: WAIT_TIMEOUT_MS });
}
