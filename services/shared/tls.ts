// TLS of an HTTP server: replaces the certificate while the server runs, bounds handshakes, reports failed ones, and
// answers clients that speak plain HTTP.
import type { Server, ServerOptions } from 'node:https';
import type { Socket } from 'node:net';
import type { SecureVersion, TLSSocket } from 'node:tls';
import { errorCode } from './errors.ts';

/** Maximum time for a handshake in milliseconds; longer than any client of the tracker waits for one. */
const HANDSHAKE_TIMEOUT_MS = 5_000;

/** The code of the error when a client sends an HTTP request without TLS. */
export const PLAIN_HTTP_CODE = 'ERR_SSL_HTTP_REQUEST';

/** The member of a TLS socket that is the TCP socket below it. */
const PARENT = '_parent';

const PLAIN_HTTP_TEXT = 'This port serves https. Use https:// instead of http:// in the URL.\n';

/** Where a server gets its certificate from. */
export interface CertificateSource {
  /** Certificate chain and private key for new connections, in PEM. */
  current(): { readonly cert: Buffer; readonly key: Buffer };
  /** Calls the listener whenever `current` has changed. */
  onChange(listener: () => void): void;
}

/** A handshake that did not succeed. */
export interface FailedHandshake {
  /** The code of the error, of OpenSSL or of the socket. */
  readonly code: string;
  /** The address of the client; `undefined` when unknown. */
  readonly address: string | undefined;
  /** Bytes that the client had sent. */
  readonly bytes: number;
}

export interface TlsOptions {
  readonly source: CertificateSource;
  readonly minVersion: SecureVersion;
  /** Maximum time for a handshake in milliseconds. Default 5,000. */
  readonly handshakeTimeoutMs?: number;
  readonly onSecured: () => void;
  readonly onFailed: (handshake: FailedHandshake) => void;
}

export function tlsServerOptions({
  source,
  minVersion,
  handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS,
}: TlsOptions): ServerOptions {
  const { cert, key } = source.current();
  return { cert, key, minVersion, handshakeTimeout: handshakeTimeoutMs };
}

/** @returns a function that closes all connections without a finished handshake */
export function superviseTls(server: Server, options: TlsOptions): () => void {
  const { source, minVersion, onSecured, onFailed } = options;
  const handshaking = new Set<Socket>();
  // A closed socket has no address any more.
  const addresses = new WeakMap<Socket, string | undefined>();
  source.onChange(() => {
    const { cert, key } = source.current();
    server.setSecureContext({ cert, key, minVersion });
  });
  server.prependListener('connection', (socket: Socket) => {
    handshaking.add(socket);
    addresses.set(socket, socket.remoteAddress);
    socket.once('close', () => handshaking.delete(socket));
  });
  server.on('secureConnection', (secured) => {
    const socket = rawSocket(secured);
    if (socket !== undefined) handshaking.delete(socket);
    onSecured();
  });
  server.on('tlsClientError', (error, failed) => {
    const socket = rawSocket(failed);
    const code = errorCode(error);
    onFailed({ code, address: socket && addresses.get(socket), bytes: socket?.bytesRead ?? 0 });
    if (code === PLAIN_HTTP_CODE && socket?.writable === true) rejectPlainHttp(socket);
    else socket?.destroy();
  });
  return () => {
    for (const socket of handshaking) socket.destroy();
  };
}

/**
 * The TCP socket below a TLS socket. Node has no public way to get it, and after a failure only it can still send.
 * `tls.test.ts` fails when a new version of Node has no such member.
 */
export function rawSocket(secured: TLSSocket): Socket | undefined {
  return (secured as { [PARENT]?: Socket })[PARENT];
}

function rejectPlainHttp(socket: Socket): void {
  const headers = `Content-Type: text/plain\r\nContent-Length: ${PLAIN_HTTP_TEXT.length}\r\nConnection: close`;
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 400 Bad Request\r\n${headers}\r\n\r\n${PLAIN_HTTP_TEXT}`);
}
