// Requests over TLS as `rr` 1.x makes them: each over a new connection with a full handshake.
import { connect, type TLSSocket } from 'node:tls';
import { AnswerReader, type BodyCheck } from './answer-reader.ts';

/** Maximum time of a request, in milliseconds. `rr` gives up earlier; the report shows how long each took. */
const MAX_REQUEST_MS = 10_000;

export interface TlsRequest {
  /** Time from the first packet to the end of the TLS handshake, in milliseconds. */
  readonly handshakeMs: number;
  /** Time until the answer was read, in milliseconds. */
  readonly milliseconds: number;
}

/**
 * Sends a request and checks its answer. No session is resumed: the context of the client keeps none.
 *
 * @param authority PEM of the certificate authority
 * @throws Error when an answer is wrong or does not come
 */
export async function requestOverTls(
  port: number,
  bytes: Buffer,
  check: BodyCheck,
  authority: string,
): Promise<TlsRequest> {
  const reader = new AnswerReader(check);
  const startedMs = performance.now();
  const socket: TLSSocket = connect({
    host: '127.0.0.1',
    port,
    ca: authority,
    ecdhCurve: 'X25519',
    ALPNProtocols: ['http/1.1'],
  });
  socket.setNoDelay(true);
  const { promise, resolve, reject } = Promise.withResolvers<TlsRequest>();
  let handshakeMs = 0;
  socket.once('secureConnect', () => {
    handshakeMs = performance.now() - startedMs;
    if (socket.isSessionReused()) reject(new Error('The handshake resumed a session.'));
    socket.write(bytes);
  });
  socket.on('data', (data) => {
    try {
      if (reader.read(data as Buffer, data.length))
        resolve({ handshakeMs, milliseconds: performance.now() - startedMs });
    } catch (error) {
      reject(error);
    }
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('The connection was closed before the answer.')));
  const timer = setTimeout(
    () => reject(new Error(`There was no answer within ${MAX_REQUEST_MS} ms.`)),
    MAX_REQUEST_MS,
  );
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
