// Sends one HTTP request to a tracker over a new connection. The `fetch` of Node.js tries each address of a name for only
// 250 ms, and offers no way to connect in another way.
import { once } from 'node:events';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { errorCode } from '../../shared/errors.ts';
import { connectTcp, type Lookup } from '../../shared/tcp-connect.ts';

/** The default ports of the protocols of a tracker. */
export const PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/** The first status that no response has. */
const END_OF_STATUSES = 600;

/** The statuses of responses that never have a body. */
const EMPTY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304]);

export interface TrackerRequest {
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Ends the request, and reading its response. */
  readonly signal: AbortSignal;
  /** Default: the resolver of the operating system. */
  readonly lookup?: Lookup | undefined;
}

/** Resolves to the response, whatever its status. A redirect is not followed. @throws when there is no response */
export async function requestTracker(
  url: string,
  { method, headers, body, signal, lookup }: TrackerRequest,
): Promise<Response> {
  const { protocol, hostname, port, pathname, search } = new URL(url);
  const host = hostOf(hostname);
  const isSecure = protocol === 'https:';
  const socket = await connectTcp(
    { host, port: Number(port || PORTS[protocol]) },
    { signal, lookup, socket: { noDelay: true } },
  );
  const createConnection = (): Socket =>
    isSecure
      ? connectTls({
          socket,
          host,
          ALPNProtocols: ['http/1.1'],
          ...(isIP(host) === 0 && { servername: host }),
        })
      : socket;
  const request = (isSecure ? requestHttps : requestHttp)({
    method,
    // For the header Host.
    host: hostname,
    port: port || PORTS[protocol],
    path: `${pathname}${search}`,
    headers: {
      // The size of a response is limited, so compressed ones are not read.
      'Accept-Encoding': 'identity',
      ...headers,
      ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }),
    },
    signal,
    createConnection,
  });
  // The wait for the response, and its reader, report errors.
  request.on('error', () => socket.destroy());
  request.end(body);
  // A response that changes the protocol closes the connection without another event.
  const closed = once(request, 'close', { signal }).then(() => {
    throw new Error('The connection closed before the response');
  });
  const [response] = (await Promise.race([once(request, 'response', { signal }), closed])) as [
    IncomingMessage,
  ];
  try {
    return toResponse(response);
  } catch (error) {
    response.destroy();
    throw error;
  }
}

/** The host of a URL as a name or an IP address. */
export function hostOf(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

/** @throws Error when it is not a response that this program reads */
function toResponse(message: IncomingMessage): Response {
  const { statusCode: status = 0, rawHeaders } = message;
  if (status >= END_OF_STATUSES)
    throw new Error(`The response has the status ${status}, which HTTP does not have`);
  const encoding = message.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw new Error('The response is compressed although this program accepts no compression');
  // The error of the library says only "aborted".
  message.on('error', (error) => {
    if (errorCode(error) === 'ECONNRESET')
      Object.assign(error, { message: 'The connection closed before the end of the response' });
  });
  const headers = new Headers();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    headers.append(rawHeaders[index] ?? '', rawHeaders[index + 1] ?? '');
  if (!EMPTY_STATUSES.has(status))
    return new Response(Readable.toWeb(message) as ReadableStream<Uint8Array>, { status, headers });
  message.resume();
  return new Response(null, { status, headers });
}
