// One exchange of hop messages on a stream: reads the request and writes one response.
import type { PeerId, Stream } from '@libp2p/interface';
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { pbStream } from '@libp2p/utils';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';
import { errorCode } from '../shared/errors.ts';
import { refused, type Result } from '../shared/result.ts';
import {
  decodeHopRequest,
  encodeHopResponse,
  FRAMING,
  type HopResponse,
  type RequestRejection,
} from './messages.ts';

/** A request, with the target as a peer id. */
export type Request = { readonly type: 'reserve' } | { readonly type: 'connect'; readonly target: PeerId };

export interface HopExchange {
  readRequest(): Promise<Result<{ readonly request: Request }, RequestRejection>>;
  /** Writes the response and keeps the stream open. */
  respond(response: HopResponse): Promise<void>;
  /** Writes the response and closes the stream. */
  conclude(response: HopResponse): Promise<void>;
  /** The stream without the framing of messages, for the bytes of the circuit. */
  unwrap(): Stream;
  /** Whether a response can still be read. */
  isOpen(): boolean;
  /** Calls back when the stream closes. The returned function removes the callback. */
  onClose(callback: () => void): () => void;
}

/** Error codes of the library for a message that is longer than the limit. */
const LENGTH_ERRORS = new Set(['ERR_MSG_DATA_TOO_LONG', 'ERR_MSG_LENGTH_TOO_LONG']);

/** @param signal ends every wait of the exchange */
export function createHopExchange(stream: Stream, signal: AbortSignal): HopExchange {
  const messages = pbStream(stream, FRAMING);

  async function respond(response: HopResponse): Promise<void> {
    await messages.write(response, { encode: encodeHopResponse }, { signal });
  }

  return {
    async readRequest() {
      try {
        return await messages.read({ decode: decodeRequest }, { signal });
      } catch (error) {
        // The stream is intact, so a response can be sent.
        if (LENGTH_ERRORS.has(errorCode(error))) return refused('malformed');
        throw error;
      }
    },
    respond,
    async conclude(response) {
      await respond(response);
      // A peer that does not close its side would keep the stream open until the connection ends.
      const abort = (): void => stream.abort(new Error('The peer did not close the hop stream in time.'));
      signal.addEventListener('abort', abort, { once: true });
      // The signal would reference its listener, and with it the stream and its connection, until it aborts.
      stream.addEventListener('close', () => signal.removeEventListener('abort', abort));
      await stream.close({ signal });
    },
    unwrap: () => messages.unwrap(),
    isOpen: () => stream.status === 'open',
    onClose(callback) {
      stream.addEventListener('close', callback);
      if (stream.status !== 'open') callback();
      return () => stream.removeEventListener('close', callback);
    },
  };
}

function decodeRequest(
  bytes: Parameters<typeof decodeHopRequest>[0],
): Result<{ readonly request: Request }, RequestRejection> {
  const decoded = decodeHopRequest(bytes);
  if (!decoded.ok) return decoded;
  const { request } = decoded;
  if (request.type === 'reserve') return { ok: true, request };
  try {
    const target = peerIdFromMultihash(decodeMultihash(request.target));
    return { ok: true, request: { type: 'connect', target } };
  } catch {
    return refused('malformed');
  }
}
