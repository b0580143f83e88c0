// Requests that the HTTP parser does not accept: what is wrong with them, and the response to them.
import type { Duplex } from 'node:stream';
import { errorCode } from './errors.ts';

/** What was wrong with a request that did not reach the app. */
export type BrokenRequest =
  | 'tls'
  | 'timeout'
  | 'header_overflow'
  | 'proxy_header'
  | 'malformed'
  | 'pipelined'
  | 'connection_replaced'
  | 'too_many_connections';

/** An error of the HTTP parser, with the bytes that it did not accept. */
export interface BrokenRequestError extends Error {
  readonly rawPacket?: Uint8Array;
}

/** First byte of a TLS record that contains a handshake (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16;

/** How the headers of the PROXY protocol start, in both of its versions. */
const PROXY_HEADERS = [Buffer.from('PROXY '), Buffer.from('0d0a0d0a000d0a515549540a', 'hex')];

export function brokenRequest(error: BrokenRequestError): BrokenRequest {
  const code = errorCode(error);
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'timeout';
  if (code === 'HPE_HEADER_OVERFLOW') return 'header_overflow';
  const { rawPacket } = error;
  if (rawPacket?.[0] === TLS_HANDSHAKE) return 'tls';
  const isProxy = PROXY_HEADERS.some((start) =>
    start.equals((rawPacket ?? start.subarray(1)).subarray(0, start.length)),
  );
  return isProxy ? 'proxy_header' : 'malformed';
}

/** Responds to invalid requests and to requests that did not arrive in time, then closes the connection. */
export function rejectBroken(error: Error, socket: Duplex): void {
  const code = errorCode(error);
  const [status, extraHeaders] =
    code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ['408 Request Timeout', 'Retry-After: 1\r\n']
      : [code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request', ''];
  if (socket.writable && code !== 'ECONNRESET')
    socket.write(`HTTP/1.1 ${status}\r\n${extraHeaders}Connection: close\r\nContent-Length: 0\r\n\r\n`);
  socket.destroy();
}
