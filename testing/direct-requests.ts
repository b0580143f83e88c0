// Sends requests to the direct way into a tracker, through the HTTP server of Node and a pair of streams instead of a socket.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';

interface SentRequest {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export type SendDirectly = (path: string, request: SentRequest) => Promise<Response | undefined>;

/** Headers of Node that an app does not set. */
const OF_NODE = new Set(['connection', 'date', 'keep-alive', 'content-length']);

/** @returns a function that resolves to `undefined` when the request is left to Hono */
export function createSendDirectly(
  direct: (request: IncomingMessage, response: ServerResponse) => boolean,
): SendDirectly {
  const leaves = new WeakMap<Duplex, () => void>();
  const server = createServer((request, response) => {
    if (!direct(request, response)) leaves.get(request.socket)?.();
  });
  return async (path, { method, headers, body }) => {
    const [client, socket] = duplexPair();
    server.emit('connection', socket);
    socket.once('close', () => client.push(null));
    const isLeft = new Promise<undefined>((resolve) => {
      leaves.set(socket, () => resolve(undefined));
    });
    const sent = new Headers({
      host: 'localhost',
      ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
    });
    for (const [name, value] of Object.entries(headers)) sent.set(name, value);
    const lines = [...sent].map(([name, value]) => `${name}: ${value}`);
    const head = [`${method} ${path} HTTP/1.1`, ...lines, 'connection: close', '', ''];
    client.write(Buffer.concat([Buffer.from(head.join('\r\n'), 'latin1'), Buffer.from(body ?? '')]));
    const received = await Promise.race([isLeft, buffer(client)]);
    return received && responseOf(received);
  };
}

function responseOf(received: Buffer): Response {
  const end = received.indexOf('\r\n\r\n');
  const [first = '', ...lines] = received.toString('latin1', 0, end).split('\r\n');
  const status = Number(first.split(' ')[1]);
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    if (!OF_NODE.has(name.toLowerCase())) headers.append(name, line.slice(colon + 1).trim());
  }
  const content = status === 304 ? null : new Uint8Array(received.subarray(end + 4));
  return new Response(content, { status, headers });
}
