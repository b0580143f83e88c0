// One exchange of hop messages on a stream: the request is read, and one answer is written.
import type { PeerId, Stream } from '@libp2p/interface';
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { pbStream } from '@libp2p/utils';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';
import { errorCode } from '../shared/errors.ts';
import { refused, type Result } from '../shared/result.ts';
import {
  decodeHopRequest,
  encodeHopAnswer,
  FRAMING,
  type HopAnswer,
  type RequestRejection,
} from './messages.ts';

/** A request, with the target as a peer id. */
export type Request = { readonly type: 'reserve' } | { readonly type: 'connect'; readonly target: PeerId };

export interface HopExchange {
  readRequest(): Promise<Result<{ readonly request: Request }, RequestRejection>>;
  /** Answers and keeps the stream open. */
  answer(answer: HopAnswer): Promise<void>;
  /** Answers and closes the stream. */
  conclude(answer: HopAnswer): Promise<void>;
  /** The stream without the framing of messages; what follows on it is the circuit. */
  unwrap(): Stream;
}

/** Errors of the library for a length above the limit. */
const LENGTH_ERRORS = new Set(['ERR_MSG_DATA_TOO_LONG', 'ERR_MSG_LENGTH_TOO_LONG']);

/** @param signal ends every wait of the exchange */
export function createHopExchange(stream: Stream, signal: AbortSignal): HopExchange {
  const messages = pbStream(stream, FRAMING);

  async function answer(content: HopAnswer): Promise<void> {
    await messages.write(content, { encode: encodeHopAnswer }, { signal });
  }

  return {
    async readRequest() {
      try {
        return await messages.read({ decode: decodeRequest }, { signal });
      } catch (error) {
        // The stream is intact, so the peer can be answered.
        if (LENGTH_ERRORS.has(errorCode(error))) return refused('malformed');
        throw error;
      }
    },
    answer,
    async conclude(content) {
      await answer(content);
      // A peer that does not close its side would keep the stream open until the connection ends.
      const abort = (): void => stream.abort(new Error('The peer did not close the hop stream in time.'));
      signal.addEventListener('abort', abort, { once: true });
      // A signal holds its listeners until it aborts, and with a stream its whole connection.
      stream.addEventListener('close', () => signal.removeEventListener('abort', abort));
      await stream.close({ signal });
    },
    unwrap: () => messages.unwrap(),
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
